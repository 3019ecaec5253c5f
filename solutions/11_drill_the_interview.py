# ---
# jupyter:
#   batchlab:
#     title: Drill the interview
#     level: interview
#     minutes: 60
#     tiers: [simulated]
#     needs: ["03_predict_the_queue", "04_tune_dynamic_batching"]
#     summary: Answer numbers, sick services and design questions under time, and learn what to read again.
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Drill the interview
#
# **What you'll do**
#
# - Answer numeric questions whose numbers come from your name.
# - Diagnose services from their figures, and argue a design with your own data.
# - Sit a timed mock interview and read its score sheet.
#
# **What you'll learn**
#
# - Which topics you know cold, and which lab to open again.
# - What a strong answer holds that a fair one lacks.
#
# **What you'll need**
#
# - 60 minutes, labs 03 and 04; no server.
# - Tier: `simulated`.

# %%
from IPython.display import Markdown
from IPython.display import display as show

from batchlab import patients
from batchlab.drill import bank, mock, own_data, repetition
from batchlab.grading import Lab

LEARNER = "Ada"  # write your name: it chooses the numbers
SEED = patients.seed_of(LEARNER)
check = Lab("11_drill_the_interview")


def ask(name):
    """Return a question of the bank with your numbers, and show it, with its picture where it has one."""
    asked = bank.question(name, SEED)
    choices = "\n".join(f'- `"{option}"`: {words}' for option, words in asked.choices.items())
    needed = f"*Answer in {asked.unit or 'a factor'}, {asked.tolerance}.*" if asked.kind == "numeric" else choices
    show(Markdown(f"{asked.text}\n\n{needed}"))
    if asked.picture:
        asked.picture.draw()
    return asked


# %% [markdown]
# ## Numbers
#
# An interviewer wants an estimate and the way to it, not six digits.
# **Predict.** Write your answer down before you look anything up.

# %% tags=["nbval-ignore-output"]
flight = ask("little_in_flight")

# %% gid="flight" kind="answer"
flight_answer = ...
### BEGIN SOLUTION
flight_answer = flight.answer  # yours depends on your name
### END SOLUTION

# %% gid="flight_check" kind="test" points=1
check.that(
    "flight",
    flight_answer,
    lambda value: flight.judge(value) or True,
    hint="Rate times time, in seconds.",
)

# %% tags=["nbval-ignore-output"]
print(flight.solution if flight_answer is not ... else "The solution appears here once you have answered.")

# %% tags=["nbval-ignore-output"]
factor = ask("last_tenth_of_load")

# %% gid="factor" kind="answer"
factor_answer = ...
### BEGIN SOLUTION
factor_answer = factor.answer  # yours depends on your name
### END SOLUTION

# %% gid="factor_check" kind="test" points=1
check.that("factor", factor_answer, lambda value: factor.judge(value) or True, hint="Load over slack.")

# %% tags=["nbval-ignore-output"]
print(factor.solution if factor_answer is not ... else "The solution appears here once you have answered.")

# %% tags=["nbval-ignore-output"]
batch = ask("largest_batch")

# %% gid="batch" kind="answer"
batch_answer = ...
### BEGIN SOLUTION
batch_answer = batch.answer  # yours depends on your name
### END SOLUTION

# %% gid="batch_check" kind="test" points=1
check.that("batch", batch_answer, lambda value: batch.judge(value) or True, hint="Take the fixed cost off first.")

# %% tags=["nbval-ignore-output"]
print(batch.solution if batch_answer is not ... else "The solution appears here once you have answered.")

# %% tags=["nbval-ignore-output"]
lone = ask("lone_request")

# %% gid="lone" kind="answer"
lone_answer = ...
### BEGIN SOLUTION
lone_answer = lone.answer  # yours depends on your name
### END SOLUTION

# %% gid="lone_check" kind="test" points=1
check.that("lone", lone_answer, lambda value: lone.judge(value) or True, hint="Who joins a request at night?")

# %% tags=["nbval-ignore-output"]
print(lone.solution if lone_answer is not ... else "The solution appears here once you have answered.")

# %% tags=["nbval-ignore-output"]
queue = ask("queue_from_counters")

# %% gid="queue" kind="answer"
queue_answer = ...
### BEGIN SOLUTION
queue_answer = queue.answer  # yours depends on your name
### END SOLUTION

# %% gid="queue_check" kind="test" points=1
check.that("queue", queue_answer, lambda value: queue.judge(value) or True, hint="It adds up requests.")

# %% tags=["nbval-ignore-output"]
print(queue.solution if queue_answer is not ... else "The solution appears here once you have answered.")

# %% tags=["nbval-ignore-output"]
sample = ask("requests_for_a_percentile")

# %% gid="sample" kind="answer"
sample_answer = ...
### BEGIN SOLUTION
sample_answer = sample.answer  # yours depends on your name
### END SOLUTION

# %% gid="sample_check" kind="test" points=1
check.that(
    "sample",
    sample_answer,
    lambda value: sample.judge(value) or True,
    hint="Luck must be ruled out.",
)

# %% tags=["nbval-ignore-output"]
print(sample.solution if sample_answer is not ... else "The solution appears here once you have answered.")

# %% tags=["nbval-ignore-output"]
fan = ask("fan_out")

# %% gid="fan" kind="answer"
fan_answer = ...
### BEGIN SOLUTION
fan_answer = fan.answer  # yours depends on your name
### END SOLUTION

# %% gid="fan_check" kind="test" points=1
check.that("fan", fan_answer, lambda value: fan.judge(value) or True, hint="The page needs all of its calls.")

# %% tags=["nbval-ignore-output"]
print(fan.solution if fan_answer is not ... else "The solution appears here once you have answered.")

# %% tags=["nbval-ignore-output"]
neighbour = ask("neighbours_batch")

# %% gid="neighbour" kind="answer"
neighbour_answer = ...
### BEGIN SOLUTION
neighbour_answer = neighbour.answer  # yours depends on your name
### END SOLUTION

# %% gid="neighbour_check" kind="test" points=1
check.that(
    "neighbour",
    neighbour_answer,
    lambda value: neighbour.judge(value) or True,
    hint="It must compute, too.",
)

# %% tags=["nbval-ignore-output"]
print(neighbour.solution if neighbour_answer is not ... else "The solution appears here once you have answered.")

# %% tags=["nbval-ignore-output"]
good = ask("price_of_goodput")

# %% gid="good" kind="answer"
good_answer = ...
### BEGIN SOLUTION
good_answer = good.answer  # yours depends on your name
### END SOLUTION

# %% gid="good_check" kind="test" points=1
check.that("good", good_answer, lambda value: good.judge(value) or True, hint="Late answers cost, and count nothing.")

# %% tags=["nbval-ignore-output"]
print(good.solution if good_answer is not ... else "The solution appears here once you have answered.")

# %% [markdown]
# ## Diagnosis
#
# Only the figures speak, and a picture of the same simulated run.
# For each cause that you do not choose, find what rules it out.

# %% tags=["nbval-ignore-output"]
sick_batch = ask("sick_large_batch")

# %% gid="sick_batch" kind="answer"
sick_batch_cause = ...
### BEGIN SOLUTION
sick_batch_cause = sick_batch.answer
### END SOLUTION

# %% gid="sick_batch_check" kind="test" points=2
check.choice("sick_batch", sick_batch_cause, right=sick_batch.answer, because=sick_batch.because)

# %% tags=["nbval-ignore-output"]
print(sick_batch.solution if sick_batch_cause is not ... else "The solution appears here once you have answered.")

# %% tags=["nbval-ignore-output"]
sick_tool = ask("sick_test")

# %% gid="sick_tool" kind="answer"
sick_tool_cause = ...
### BEGIN SOLUTION
sick_tool_cause = sick_tool.answer
### END SOLUTION

# %% gid="sick_tool_check" kind="test" points=2
check.choice("sick_tool", sick_tool_cause, right=sick_tool.answer, because=sick_tool.because)

# %% tags=["nbval-ignore-output"]
print(sick_tool.solution if sick_tool_cause is not ... else "The solution appears here once you have answered.")

# %% tags=["nbval-ignore-output"]
sick_guest = ask("sick_neighbour")

# %% gid="sick_guest" kind="answer"
sick_guest_cause = ...
### BEGIN SOLUTION
sick_guest_cause = sick_guest.answer
### END SOLUTION

# %% gid="sick_guest_check" kind="test" points=2
check.choice("sick_guest", sick_guest_cause, right=sick_guest.answer, because=sick_guest.because)

# %% tags=["nbval-ignore-output"]
print(sick_guest.solution if sick_guest_cause is not ... else "The solution appears here once you have answered.")

# %% [markdown]
# ## Design
#
# The question is open, and the rubric is shown afterwards.
# Here are figures of your own runs to argue with.

# %% tags=["nbval-ignore-output"]
show(Markdown(own_data.own_runs()))
missed_p99 = ask("p99_is_missed")

# %% [markdown]
# **Your turn.** Answer in at most eight sentences.
#
# Rubric, one point each:
#
# - measures where the time goes before anything is changed;
# - names one hypothesis, and the test that could refute it;
# - iterates on both knobs and on the model, and says when to stop.

# %% [markdown] gid="design_p99" kind="manual" points=3
# ### BEGIN SOLUTION
# I first split the time into client, queue, copy and compute, from Triton's counters and a trace.
# Low GPU use and a long queue tell me that requests wait for company or for each other, not for arithmetic.
# My hypothesis is that the batch is too large for the limit, or that the wait serves nobody.
# I would set max batch 16 and a wait inside the budget, at most 20 ms, and send bursts in an open loop.
# If P99 falls and the mean batch stays, I was right; if not, I look at the copy and at the client.
# Then I tune both knobs step by step, and compile the model so that a larger batch fits.
# I stop when the verdict passes with enough requests at the highest rate that we expect, with headroom.
# ### END SOLUTION

# %% [markdown]
# Compare with what an interviewer listens for.

# %%
for grade, words in missed_p99.rubric.items():
    print(f"{grade}: {words}\n")

# %% [markdown]
# The second classic is a story, and only yours will do.

# %%
trade_off = bank.question("a_trade_off_you_made")
print(trade_off.text)

# %% [markdown]
# **Your turn.** Tell it in at most eight sentences.
#
# Rubric, one point each:
#
# - numbers before and after, for latency, throughput and cost;
# - who decided, and on what grounds;
# - the compromise, and what was watched afterwards.

# %% [markdown] gid="design_trade" kind="manual" points=3
# ### BEGIN SOLUTION
# A video service ran at batch 8 with 100 ms, and the bill was too high.
# At batch 32 throughput tripled and the cost fell by 40 %, but the latency rose to 450 ms.
# I put both to the owners of the product, as money per month against a wait that users feel.
# They kept the fast answer where somebody waits, and took the cheap one for jobs.
# So we ran two configurations, small batches for the player and large ones for the catalogue.
# Afterwards we watched the share of late answers and the price of 1000 of them, each for itself.
# ### END SOLUTION

# %%
for grade, words in trade_off.rubric.items():
    print(f"{grade}: {words}\n")

# %% [markdown]
# ## A mock interview
#
# Eight questions in thirty minutes, by a clock that a new kernel does not stop.
# `interview.next()` gives a question, and `interview.answer(id, value)` takes an answer.
# A diagnosis has a picture: `question.picture.draw()`.

# %% tags=["nbval-ignore-output"]
interview = mock.begin("engineer", SEED)
first_question = interview.next()
print(f"{interview.left_s / 60:.0f} minutes left")
first_question.text if first_question else "All is answered."

# %% [markdown]
# **Your turn.** The clock runs and you are stuck on a number.
# What does a good interviewer want next?
# `"estimate"`: a number with your assumptions aloud, `"silence"` until it is exact, or `"skip"`.

# %% gid="stuck" kind="answer"
when_stuck = ...
### BEGIN SOLUTION
when_stuck = "estimate"
### END SOLUTION

# %% gid="stuck_check" kind="test" points=1
check.choice(
    "stuck",
    when_stuck,
    right="estimate",
    because={
        "silence": "nobody can follow a thought that is not spoken, and the minutes go.",
        "skip": "a rough number with its assumptions is worth most of the points.",
    },
)

# %% tags=["nbval-ignore-output"]
Markdown(interview.sheet())

# %% [markdown]
# The last column names the lab to open again.
# What you miss in `batchlab drill` on the terminal comes back by itself, in boxes of 0, 1, 3, 7 and 21 days.

# %% tags=["nbval-ignore-output"]
print("due today:", ", ".join(repetition.due(bank.ids())) or "nothing yet; try `batchlab drill --count 5`")

# %% [markdown]
# ## On your own
#
# - Change `LEARNER` and answer all numbers again, by heart.
# - Sit `mock.begin("staff", SEED)` with a friend who reads the questions aloud.
#
# ## In practice
#
# - Say the unit and the assumption before the number.
# - Measure first, change one thing, and name what would prove you wrong.
#
# ## Further reading
#
# - S. Leitner, *So lernt man lernen*, 1972: the boxes.
# - J. Dean, L. A. Barroso, *The Tail at Scale*, CACM 2013.

# %% tags=["nbval-ignore-output"]
check.summary()

# %% [markdown]
# **What you did**
#
# - Answered numbers, diagnosed services and argued designs, and sat a mock interview.
#
# **What you learned**
#
# - Which topics you know cold, and which lab to open again.
# - A strong answer measures, names a hypothesis and says what it costs.
