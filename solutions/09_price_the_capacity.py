# ---
# jupyter:
#   batchlab:
#     title: Price the capacity
#     level: advanced
#     minutes: 90
#     tiers: [simulated]
#     needs: ["03_predict_the_queue", "04_tune_dynamic_batching"]
#     summary: From published times and prices to the cost of 1000 answers, a day of a fleet, and a memo that decides.
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Price the capacity
#
# **What you'll do**
#
# - Check a famous success story: do its three numbers fit together?
# - Turn published throughputs and prices into the cost of 1000 answers within an SLO.
# - Build a day, let three fleets follow it, and find out what moves the bill.
# - Write the memo on which somebody decides.
#
# **What you'll learn**
#
# - Why the cheapest GPU-hour is rarely the cheapest answer.
# - What an SLO, a night and a spare replica cost.
# - How to offer two configurations instead of one compromise.
#
# **What you'll need**
#
# - 90 minutes, labs 03 and 04.
# - Tier: `simulated`, on published times; no server.

# %%
import dataclasses

import pandas as pd
from IPython.display import Markdown

from batchlab import arrivals, capacity, cost, frontier, plots, profiles, published, simulate, twin
from batchlab.day import Day
from batchlab.grading import Lab
from batchlab.memo import Memo
from batchlab.own_numbers import CapacityNumbers
from batchlab.scaling import WAYS, Case
from batchlab.sensitivity import around, tornado
from batchlab.slo import Slo
from batchlab.spot import Spot

PROFILES = profiles.load_profiles()
check = Lab("09_price_the_capacity")
plots.use_style()

# %% [markdown]
# In a course your id stands here, and some questions then ask for numbers of your own.
# Else leave it empty.

# %%
LEARNER = ""
mine = CapacityNumbers.of(LEARNER)

# %% [markdown]
# ## A story, checked
#
# It is told in many interviews:
#
# > We went from batch 8 to batch 32.
# > Throughput tripled, cloud cost fell by 40 %, and latency rose from 100 to 450 ms.
# > So we ran two configurations: small batches for people, large ones for jobs.
#
# Three numbers, and each has to do with the others.
#
# **Your turn.** A GPU-hour costs what it did, and brings three times as many answers.
# By which share does the cost of *one answer* fall?

# %% gid="saving" kind="answer"
saved_share = ...
### BEGIN SOLUTION
saved_share = 1 - 1 / 3
### END SOLUTION

# %% gid="saving_check" kind="test" points=1
check.number(
    "saving",
    saved_share,
    expected=2 / 3,
    unit="share",
    hints={1 / 3: "A third is what is left to pay. What is saved?", 0.4: "That is what the story says. What follows?"},
    hint="What did an answer cost before, if it costs 1 now?",
)

# %% [markdown]
# The story says 40 %, and not two thirds.
# Its end explains why: not all requests went to batch 32.
#
# **Your turn.** Those that stayed at batch 8 cost what they did, the others a third.
# Which share of the requests went to batch 32, if the whole bill fell by 40 %?

# %% gid="moved" kind="answer"
moved_share = ...
### BEGIN SOLUTION
moved_share = 0.4 / (2 / 3)
### END SOLUTION

# %% gid="moved_check" kind="test" points=2
check.number(
    "moved",
    moved_share,
    expected=0.6,
    unit="share",
    hints={0.4: "If 40 % went, and each saves two thirds, how much of the bill is saved?"},
    hint="Let m be the share that moved: (1 - m) + m / 3 is what is left to pay.",
)

# %% [markdown]
# Two other readings give the same 40 %.

# %%
emptier = (1 / 3) / 0.6
print(f"If all requests moved, the new fleet was in use only {emptier:.2f} times as much as the old one.")
print(f"Or GPUs were {0.4 / (2 / 3):.0%} of the bill, and nothing else of it fell.")

# %% [markdown]
# So "cost fell by 40 %" says nothing until you know *of what*: of an answer at full use, of a fleet, of the whole bill.
# Now the latency.
#
# **Your turn.** A batch of 8 computed for 100 ms at the most, for no answer took longer.
# With three times the throughput, how long does a batch of 32 *compute*, at the most, in ms?

# %% gid="compute" kind="answer"
longest_compute_ms = ...
### BEGIN SOLUTION
longest_compute_ms = 100 * (32 / 8) / 3
### END SOLUTION

# %% gid="compute_check" kind="test" points=2
check.number(
    "compute",
    longest_compute_ms,
    expected=400 / 3,
    unit="ms",
    hints={
        400.0: "Four times the items, but also three times as many of them per second.",
        300.0: "Three times the throughput is no three times the time.",
        450.0: "That is the latency. How much of it can be computing?",
    },
    hint="Throughput is batch size over time; put 8 over t(8) beside 32 over t(32).",
)

# %%
print(f"At least {450 - 400 / 3:.0f} of the 450 ms are spent waiting, not computing.")

# %% [markdown]
# ## Is there such a device?
#
# These are the published curves of the course: throughput at batch 32, over that at batch 8.
#
# **Predict.** How many of them at least triple, as in the story?

# %% gid="predict_tripled" kind="answer"
predicted_count = ...
### BEGIN SOLUTION
predicted_count = 1
### END SOLUTION

# %%
gains = {name: each.throughput_ips(32) / each.throughput_ips(8) for name, each in PROFILES.items()}
pd.Series(gains, name="batch 32 over batch 8").sort_values(ascending=False).round(2)

# %% gid="predict_tripled_check" kind="test" points=1
tripled = sum(gain >= 3 for gain in gains.values())
check.prediction("predict_tripled", predicted_count, measured=tripled, within=0.3)

# %% [markdown]
# It takes a large fixed cost to gain so much *after* batch 8: here, Python that launches one kernel after another.
# Compiled models have had their gain by then.
# Measure your own curve before you promise anybody a factor.
#
# ## Where the waiting came from
#
# Take a device that obeys the story: `t(b) = 32 + b / 2` ms, so `t(8) = 36` and `t(32) = 48`.
# One server waits until a batch is full; the other takes what is there, as in lab 04.

# %%
STORY = profiles.synthetic_profile(32, 0.5, 32)
SERVERS = {
    "waits for 8": {"max_batch_size": 8, "preferred_batch_size": (8,), "max_delay_ms": 2000},
    "waits for 32": {"max_batch_size": 32, "preferred_batch_size": (32,), "max_delay_ms": 2000},
    "takes what is there, up to 32": {"max_batch_size": 32},
}


def story_run(knobs, rate_rps):
    return simulate.simulate(twin.model(STORY, **knobs), arrivals.poisson(rate_rps, 20_000 / rate_rps, seed=1))


# %% tags=["nbval-ignore-output"]
told = {
    name: [story_run(knobs, rate).percentile_ms(99).value for rate in (100, 200)] for name, knobs in SERVERS.items()
}
print("P99 in ms, simulated on a made-up device")
pd.DataFrame(told, index=["100 requests/s", "200 requests/s"]).T.round(0)

# %%
eager = story_run(SERVERS["takes what is there, up to 32"], 600)
assert told["waits for 32"][0] > 3 * told["takes what is there, up to 32"][0]
assert eager.percentile_ms(99).value < 150
print("Without the wait, the same device carries 600/s with its P99 below 150 ms: most of the price was never due.")

# %% [markdown]
# Much of the story's trade-off is a wait that nobody needed.
# What remains of it is real: a batch of 32 does take longer than one of 8, and a full server has a queue.
#
# ## The cost of an answer
#
# **Your turn.** Price 1000 answers *within the SLO*.
# Late answers and idle seconds are paid for, and count nothing.


# %% gid="unit_cost" kind="answer"
def usd_per_1000(usd_per_hour, within_rps):
    """Return USD per 1000 answers, for a machine that gives `within_rps` answers within the SLO per second."""
    ...
    ### BEGIN SOLUTION
    return usd_per_hour / 3600 / within_rps * 1000
    ### END SOLUTION


# %% gid="unit_cost_check" kind="test" points=2
check.function(
    "unit_cost",
    usd_per_1000,
    cases=[((3.6, 1000), cost.usd_per_1000(3.6, 1000)), ((0.526, 332.4), cost.usd_per_1000(0.526, 332.4))],
    rel=0.001,
    hint="An hour has 3600 seconds.",
)

# %% [markdown]
# MLPerf publishes how many images per second a GPU classifies with P99 within 15 ms, under random arrivals.
# Four of them can be rented from one cloud provider.

# %%
ONE_CLOUD = {"t4": "g4dn.xlarge", "l4": "g6.xlarge", "a100": "p4de.24xlarge", "h100": "p5.48xlarge"}
for gpu, machine in ONE_CLOUD.items():
    price = cost.price_of(machine)
    print(f"{gpu.upper():5} {price.usd_per_gpu_hour:.2f} USD an hour, price of {price.as_of}")

# %% [markdown]
# **Predict.** Where is an *answer* cheapest: `"T4"`, `"L4"`, `"A100"` or `"H100"`?

# %% gid="predict_gpu" kind="answer"
cheapest_gpu = ...
### BEGIN SOLUTION
cheapest_gpu = "L4"
### END SOLUTION

# %%
bounded = {gpu: published.load_published()[f"rn50-int8-{gpu}-server"] for gpu in ONE_CLOUD}
rows = {
    gpu.upper(): {
        "images/s": bounded[gpu].inferences_per_s,
        "USD/h, one cloud": cost.price_of(machine).usd_per_gpu_hour,
        "USD a million": 1000 * bounded[gpu].usd_per_1000(cost.price_of(machine)),
        "USD a million, cheapest offer": 1000 * bounded[gpu].usd_per_1000(cost.cheapest(bounded[gpu].gpu)),
    }
    for gpu, machine in ONE_CLOUD.items()
}
bill = pd.DataFrame(rows).T
bill.round(4)

# %% gid="predict_gpu_check" kind="test" points=1
check.choice(
    "predict_gpu",
    cheapest_gpu,
    right=bill["USD a million"].idxmin(),
    because={
        "T4": "its hour is the cheapest, and brings the fewest answers.",
        "A100": "it answers more than the L4, and its price has grown by more than that.",
        "H100": "it answers the most, and its hour costs more than that is worth here.",
    },
)

# %% [markdown]
# Now look at the last column: at the cheapest offers another GPU wins.
# The provider moves the cost of an answer more than the GPU does, so date your prices and name their source.

# %%
print(f"one cloud: {bill['USD a million'].idxmin()}, anywhere: {bill['USD a million, cheapest offer'].idxmin()}")
for gpu in bounded:
    print(cost.cheapest(bounded[gpu].gpu), "of", cost.cheapest(bounded[gpu].gpu).as_of)

# %% [markdown]
# ## What one replica carries
#
# MLPerf did the load test for us; for a model of your own you need a **capacity curve**.
# Here it comes from the twin: BERT on a T4, with three largest batches, and nothing but the device counted.

# %%
SLO = Slo(p99_ms=50)


def curve_of(profile, max_batch, slo=SLO):
    model = twin.model(PROFILES[profile], max_batch_size=max_batch)
    return capacity.of_twin(model, slo, requests=30_000, name=f"{PROFILES[profile].gpu}, batch {max_batch}")


# %% tags=["nbval-ignore-output"]
curves = [curve_of("bertbase128-fp16-t4", size) for size in (1, 8, 32)]
ax = plots.capacity_curves(curves)

# %% [markdown]
# The ring is what you may sell: the highest rate whose P99 keeps the promise.
# Not the throughput of a benchmark without a limit.
#
# **Predict.** Somebody asks for a P99 of 20 ms instead of 50, with batch 8 on the T4.
# By which factor does an answer become dearer?

# %% gid="predict_tight" kind="answer"
predicted_factor = ...
### BEGIN SOLUTION
predicted_factor = 1.2
### END SOLUTION

# %% tags=["nbval-ignore-output"]
T4 = cost.cheapest("T4")
strict = curve_of("bertbase128-fp16-t4", 8, Slo(p99_ms=20))
dearer = frontier.option(strict, T4).usd_per_1000 / frontier.option(curves[1], T4).usd_per_1000
print(f"{curves[1].rate_rps:.0f}/s within 50 ms, {strict.rate_rps:.0f}/s within 20 ms: {dearer:.2f} times the cost")

# %% gid="predict_tight_check" kind="test" points=1
check.prediction("predict_tight", predicted_factor, measured=dearer, within=0.25)

# %% [markdown]
# An SLO is a price list: every millisecond that you promise less leaves more of the server empty.
#
# ## A day
#
# A billion requests a day, and at midnight only a share of noon's rate.

# %%
DAY = Day.of_requests(1e9, trough_share=mine.trough_share)
print(f"{DAY.trough_rps:,.0f}/s at midnight, which is {mine.trough_share:.0%} of noon's {DAY.peak_rps:,.0f}/s")

# %% [markdown]
# **Your turn.** How many replicas does a rate need?
# Leave a share `headroom` of each one's rate free, and add `spare` whole ones that may fail.


# %% gid="replicas" kind="answer"
def replicas(rate_rps, replica_rps, headroom, spare):
    """Return the number of replicas, a whole number."""
    ...
    ### BEGIN SOLUTION
    import math

    return math.ceil(rate_rps / (replica_rps * (1 - headroom))) + spare
    ### END SOLUTION


# %% gid="replicas_check" kind="test" points=2
check.function(
    "replicas",
    replicas,
    cases=[((1000, 100, 0.0, 0), 10), ((1001, 100, 0.0, 0), 11), ((1000, 100, 0.3, 1), 16), ((900, 100, 0.25, 2), 14)],
    hint="Headroom makes each replica smaller; the spare ones come on top, whatever the rate.",
)

# %% [markdown]
# **Your turn.** A fleet is sized for noon, with the headroom below, and runs all day.
# Which share of what it could carry is asked of it, over the day?
# Leave spare replicas and rounding aside; the rate between midnight and noon is a cosine.

# %%
print(f"headroom {mine.headroom:g}; midnight over noon {mine.trough_share:g}")

# %% gid="in_use" kind="answer"
share_in_use = ...
### BEGIN SOLUTION
share_in_use = (1 + mine.trough_share) / 2 * (1 - mine.headroom)
### END SOLUTION

# %% gid="in_use_check" kind="test" points=1
asked = CapacityNumbers.of(LEARNER)
mean_over_peak, at_noon = (1 + asked.trough_share) / 2, 1 - asked.headroom
check.number(
    "in_use",
    share_in_use,
    expected=mean_over_peak * at_noon,
    rel=0.02,
    unit="share",
    hints={mean_over_peak: "That is the mean over the peak. And the headroom?", at_noon: "At noon, yes. And at night?"},
    hint="The mean of a cosine lies half way between its lowest and its highest value.",
)

# %% [markdown]
# The rest of the bill is paid for nothing, so let the fleet follow the day.
# *Hourly* changes its size every hour, and knows the hour to come.
#
# **Predict.** Which share of the static fleet's bill does it save?

# %% gid="predict_hourly" kind="answer"
predicted_saving = ...
### BEGIN SOLUTION
predicted_saving = 0.9 * (1 - mine.trough_share) / 2
### END SOLUTION

# %% tags=["nbval-ignore-output"]
case = Case.of(curves[1], DAY, T4, headroom=mine.headroom, spare=1, spot=Spot(discount=0.6))
static, hourly, spot = bills = [way(case) for way in WAYS.values()]
pd.DataFrame([bill.describe() for bill in bills]).drop(columns="assumption").round(4)

# %% gid="predict_hourly_check" kind="test" points=1
saved = 1 - hourly.usd_per_day / static.usd_per_day
check.prediction("predict_hourly", predicted_saving, measured=saved, within=0.3)

# %% tags=["nbval-ignore-output"]
ax = plots.fleets_over_day(bills, case, provenance=curves[1].provenance)

# %% [markdown]
# *Spot* machines cost less, and the provider may take them back.
# What the model assumes of that stands at the foot of the picture: read it before you believe the bill.
# A fleet without a forecast looks like this.

# %%
late = case.hourly(lag_hours=1)
print(f"sized by the hour before: {late.turned_away} turned away with a headroom of {case.headroom:.0%},")
tight = dataclasses.replace(case, headroom=0.0, spare=0).hourly(lag_hours=1)
print(f"and {tight.turned_away} without headroom: it pays for what nobody forecast.")

# %% [markdown]
# **Diagnose.** One assumption of the spot model flatters it most.
#
# - `"independent"`: machines are lost one by one, each for itself.
# - `"drained"`: a notice is long enough to finish what is running.
# - `"paid while up"`: a machine that is away costs nothing.
#
# Try `Spot(...)` with other numbers in a cell of your own.

# %% gid="spot_risk" kind="answer"
weakest = ...
### BEGIN SOLUTION
weakest = "independent"
### END SOLUTION

# %% gid="spot_risk_check" kind="test" points=1
check.choice(
    "spot_risk",
    weakest,
    right="independent",
    because={
        "drained": "requests in flight are few: a batch takes milliseconds, and a machine is lost once in many hours.",
        "paid while up": "so it is: who is away sends no bill. Look for what happens to several machines at once.",
    },
)

# %% tags=["nbval-ignore-output"]
apart = dataclasses.replace(case, spot=Spot(0.6, interruptions_per_hour=1 / 24, replace_minutes=20)).on_spot()
pool = Spot(0.6, interruptions_per_hour=0, replace_minutes=20, pool_losses_per_day=1)
together = dataclasses.replace(case, spot=pool).on_spot()
print(f"each machine once a day: {apart.turned_away} turned away; all at once: {together.turned_away}")

# %%
assert together.rejected_share > 10 * apart.rejected_share
print("As many machines are lost, but together: more than ten times as many requests are turned away.")

# %% [markdown]
# A GPU that is scarce is scarce for everybody: machines of one kind can go in the same minute.
#
# ## What moves the bill
#
# Five inputs, each 30 % lower and 30 % higher, one at a time.
#
# **Predict.** Which moves the cost of an answer most?
# `"price"`, `"rate of a replica"`, `"requests"`, `"night"` (its rate over noon's) or `"headroom"`.

# %% gid="predict_driver" kind="answer"
driver = ...
### BEGIN SOLUTION
driver = "rate of a replica"
### END SOLUTION

# %% gid="predict_driver_check" kind="test" points=1
check.choice(
    "predict_driver",
    driver,
    right="rate of a replica",
    because={
        "price": "close: it moves the cost in proportion. What of an input that stands below the line?",
        "requests": "more requests bring more replicas and more answers: the cost of one hardly moves.",
        "night": "a fuller night fills idle machines, but only the part of the day that is night.",
        "headroom": "a third of a small share is little.",
    },
)

# %% tags=["nbval-ignore-output"]
swings = tornado(case, around(case, 0.3))
ax = plots.tornado(swings, provenance=curves[1].provenance)

# %%
assert swings[0].name == "rate_rps"
print(f"30 % less of it: {swings[0].at_low / swings[0].at_base:.1f} times the cost of an answer.")

# %% [markdown]
# This is what all the labs before were for: batching, compiling and tuning move the widest bar, and it is yours.
#
# ## What to choose from
#
# One option **beats** another if it is at least as good in cost, tail and rate, and better in one.
# What nothing beats is the **Pareto front**: only these are worth a discussion.
#
# **Your turn.** Write it down for two options, each a tuple `(usd_per_1000, tail_ms, rate_rps)`.


# %% gid="beats" kind="answer"
def beats(one, other):
    """Return True if `one` beats `other`: less cost, less tail, more rate."""
    ...
    ### BEGIN SOLUTION
    as_good = one[0] <= other[0] and one[1] <= other[1] and one[2] >= other[2]
    return as_good and one != other
    ### END SOLUTION


# %% gid="beats_check" kind="test" points=2
check.function(
    "beats",
    beats,
    cases=[
        (((1.0, 20.0, 500.0), (2.0, 30.0, 400.0)), True),
        (((1.0, 20.0, 500.0), (2.0, 30.0, 600.0)), False),
        (((1.0, 20.0, 500.0), (1.0, 20.0, 500.0)), False),
        (((1.0, 20.0, 500.0), (1.0, 20.0, 400.0)), True),
    ],
    hint="Cost and tail: less is better. Rate: more is better. Equal in all three is no win.",
)

# %% tags=["nbval-ignore-output"]
CARDS = {"bertbase128-fp16-t4": "T4", "bertbase128-int8-t4": "T4", "bertbase128-fp16-l4": "L4"}
CARDS |= {"bertbase128-int8-l4": "L4", "bertbase128-fp16-a100": "A100-40GB"}
shop = {
    f"{gpu} {PROFILES[name].precision}, batch {size}": (curve_of(name, size), cost.cheapest(gpu))
    for name, gpu in CARDS.items()
    for size in (8, 32)
}
priced = [frontier.option(curve, price, label) for label, (curve, price) in shop.items()]
frontier.table(priced).round(5)

# %% tags=["nbval-ignore-output"]
ax = plots.cost_front(priced)

# %% [markdown]
# Published times of the device alone, so the front is a short list and no order: load-test what is on it.
# An INT8 model has to pass an accuracy gate first.
#
# ## Two configurations
#
# Back to the story's end.
# Some requests come from people, who are promised a P99 of 20 ms; the others are jobs, for which 500 ms will do.
# Both run on T4s, apart.

# %% tags=["nbval-ignore-output"]
people = frontier.option(curve_of("bertbase128-fp16-t4", 8, Slo(p99_ms=20)), T4, "people: 20 ms")
jobs = frontier.option(curve_of("bertbase128-fp16-t4", 32, Slo(p99_ms=500)), T4, "jobs: 500 ms")
frontier.table([people, jobs])[["option", "rate_rps", "tail_ms", "usd_per_1000"]].round(5)

# %% [markdown]
# **Your turn.** What do 1000 answers cost on average, with people's share as below?
# Use `people.usd_per_1000` and `jobs.usd_per_1000`.

# %%
print(f"{mine.people_share:.0%} of the requests come from people")

# %% gid="blended" kind="answer"
blended_usd = ...
### BEGIN SOLUTION
blended_usd = mine.people_share * people.usd_per_1000 + (1 - mine.people_share) * jobs.usd_per_1000
### END SOLUTION

# %% gid="blended_check" kind="test" points=1
share = CapacityNumbers.of(LEARNER).people_share
check.number(
    "blended",
    blended_usd,
    expected=frontier.blend([(people, share), (jobs, 1 - share)]),
    rel=0.005,
    hints={
        frontier.blend([(jobs, share), (people, 1 - share)]): "Those are the shares the other way round.",
        frontier.blend([(people, 0.5), (jobs, 0.5)]): f"Not half and half: {share:.0%} are for people.",
    },
    hint="Each answer costs what its own configuration costs.",
)

# %% tags=["nbval-ignore-output"]
mixed = frontier.blend([(people, mine.people_share), (jobs, 1 - mine.people_share)])
print(f"{mixed / people.usd_per_1000 - 1:+.0%} against the strict promise for all, with the people's promise unchanged")

# %% [markdown]
# Two pools keep both promises, each at its own price, and need two dashboards.
#
# ## The memo
#
# `Memo` puts one page together from such objects; no number in it is typed.
# Here it is for the cheapest option of the front.

# %% tags=["nbval-ignore-output"]
chosen = frontier.front(priced)[0]
curve, price = shop[chosen.name]
final = Case.of(curve, DAY, price, headroom=mine.headroom, spare=1, spot=Spot(discount=0.6))
swings = tuple(tornado(final, around(final, 0.3)))
memo = Memo("Sorting a billion messages a day", curve, chosen, tuple(priced), final, swings=swings)
Markdown(memo.text())

# %% tags=["nbval-ignore-output"]
figure = memo.figure()

# %% [markdown]
# **Your turn.** A page of numbers decides nothing.
# Write what you would say to the head of product, in at most eight sentences, with numbers from above and no jargon.
#
# Rubric, one point each:
#
# - says what is promised to whom, and which option you recommend;
# - says what it costs per day, and against what: another option, with its own price and latency;
# - offers two configurations, or says why one is enough;
# - names the input that would change the decision most, and one assumption that is not measured.

# %% [markdown] gid="memo" kind="manual" points=4
# ### BEGIN SOLUTION
# We promise people that 99 of 100 messages are sorted within 20 ms, and jobs that they are within half a second.
# I recommend two pools: one for people that is kept half empty on purpose, and one for jobs that runs nearly full.
# One pool under the strict promise would be simpler, and every job in it would pay for a speed that it does not need.
# The bill of the day stands in the table; following the traffic hour by hour saves about a third of it.
# Spot machines save more, if they are not all taken back at once, which is an assumption and was not measured.
# What one machine carries moves the cost most, and it is known from published times only.
# So before we sign, let us spend one day on a load test of the real server.
# ### END SOLUTION

# %% [markdown]
# ## On your own
#
# - Give `Day` a trough of 0.8: what is left of the saving by scaling?
# - Price your tuner's winner of lab 04: `batchlab tune ... --csv points.csv`, then the command below.
# - Let the fleet be late by two hours, and find the headroom that makes up for it.
#
# ## In practice
#
# - Quote a cost *per answer within the SLO*, with the SLO, the price, its date, and how full the fleet is.
# - On your own server: `batchlab cost --measured points.csv --gpu T4 --slo-p99-ms 100 --peak-rps 5000 --memo memo.md`.
# - Ask of every success story: of what did the cost fall, and at which load was the latency taken?
#
# ## Further reading
#
# - L. A. Barroso, U. Hölzle, P. Ranganathan, *The Datacenter as a Computer*, 3rd ed., chapter on cost.
# - MLCommons, *MLPerf Inference Rules*: the scenarios Server and Offline.
# - C. Zhang and others, *MArk*, USENIX ATC 2019: serving under an SLO on on-demand and spot machines.

# %% tags=["nbval-ignore-output"]
check.summary()

# %% [markdown]
# **What you did**
#
# - Took a success story apart: what three numbers imply, and where its latency came from.
# - Priced published throughputs, a capacity curve, and a day of a billion requests with three fleets.
# - Found what moves the bill, what is worth choosing from, and wrote the memo.
#
# **What you learned**
#
# - A cost belongs to an answer within the SLO, at a load, at a price with a date.
# - Nights, headroom and strict promises are what one pays for beyond the computing.
# - Two configurations often beat one compromise.
