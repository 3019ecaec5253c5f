# ---
# jupyter:
#   batchlab:
#     title: Compare servers
#     level: advanced
#     minutes: 75
#     tiers: [emulated]
#     needs: ["02_measure_the_tail", "04_tune_dynamic_batching"]
#     summary: One model, one schedule, one SLO on Triton, TorchServe, LitServe and mosec; TensorFlow Serving on paper.
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Compare servers
#
# **What you'll do**
#
# - Translate one batching policy into the words and units of five servers.
# - Run four of them on one emulated device, and ask each what a lone request costs.
# - Climb a staircase of rates up to the device's limit, and see how far each server keeps the SLO.
#
# **What you'll learn**
#
# - Max wait, max batch, queue and workers go by other names elsewhere, and one of them is not everywhere.
# - Two servers with the same max wait do not wait alike.
# - A choice of server is decided by more than its speed: who maintains it, and how it is operated.
#
# **What you'll need**
#
# - 75 minutes, labs 02 and 04; Java 17 for TorchServe.
# - Tier: `emulated`. The servers are real, the device is played back.

# %%
import numpy as np
import pandas as pd

from batchlab import comparison, plots, profiles, rival_server, rivals, server, tf_serving
from batchlab.grading import Lab
from batchlab.own_numbers import ServerNumbers
from batchlab.rival_server import Batching
from batchlab.slo import Slo

PROFILE = profiles.load_profiles()["rn50-amp-t4-eager"]
POLICY = Batching(max_batch_size=8, max_wait_ms=5, queue=200, workers=1)
SLO = Slo(p99_ms=100)
check = Lab("10_compare_servers")
plots.use_style()

# %% [markdown]
# In a course your id stands here, and three questions then ask for numbers of your own.
# Else leave it empty.

# %%
LEARNER = ""
mine = ServerNumbers.of(LEARNER)

# %% [markdown]
# The model is ResNet-50 on a T4, as PyTorch runs it: a batch of up to eight takes hardly longer than one image.
# Every server gets the *same* emulated device: one clock, one lock, and so one physical limit.

# %%
pd.DataFrame({"batch size": PROFILE.batch_sizes, "ms": PROFILE.latencies_ms}).query("`batch size` <= 8")

# %% [markdown]
# **Your turn.** With batches of at most eight, how many images per second can this device ever answer?

# %% gid="limit" kind="answer"
limit_rps = ...
### BEGIN SOLUTION
limit_rps = 8 / 12.2699 * 1000
### END SOLUTION

# %% gid="limit_check" kind="test" points=1
check.number(
    "limit",
    limit_rps,
    expected=comparison.limit_rps(PROFILE, 8),
    rel=0.01,
    unit="1/s",
    hint="Full batches, one after another: items over seconds per batch.",
)

# %% [markdown]
# ## One policy, five dialects
#
# The policy is: at most 8 in a batch, wait at most 5 ms for company, at most 200 waiting, one worker.
# Each server has its own words for it.

# %%
rivals.glossary()

# %% [markdown]
# **Your turn.** Write the wait below as each server wants it: the bare number, in the unit of its knob.

# %%
print(f"wait at most {mine.wait_ms} ms")

# %% gid="units" kind="answer"
waits = {"triton": ..., "torchserve": ..., "litserve": ..., "mosec": ..., "tfserving": ...}
### BEGIN SOLUTION
ms = mine.wait_ms
waits = {"triton": ms * 1000, "torchserve": ms, "litserve": ms / 1000, "mosec": ms, "tfserving": ms * 1000}
### END SOLUTION

# %% gid="units_check" kind="test" points=2
asked_ms = ServerNumbers.of(LEARNER).wait_ms
check.numbers(
    "units",
    waits,
    expected={name: each.max_wait.of(asked_ms) for name, each in rivals.servers().items()},
    rel=1e-6,
    hint="The unit stands in brackets behind the knob.",
)

# %% [markdown]
# A factor of a million lies between two of these numbers, and no server complains about a wrong one.
#
# **Your turn.** One of the five has no limit to its queue.
# Which, and so which will let every request wait when there is too little capacity?

# %% gid="endless" kind="answer"
endless_queue = ...
### BEGIN SOLUTION
endless_queue = "LitServe"
### END SOLUTION

# %% gid="endless_check" kind="test" points=1
check.choice(
    "endless",
    endless_queue,
    right="LitServe",
    because={
        "Triton": "it has max_queue_size; only its default is no limit.",
        "TorchServe": "job_queue_size is 100 unless you raise it, and then it answers 503.",
        "mosec": "its --capacity is 1024 unless you change it, and then it answers 429.",
        "TensorFlow Serving": "it has max_enqueued_batches.",
    },
    hint="Look at the column 'queue'.",
)

# %% [markdown]
# ## TensorFlow Serving, checked on paper
#
# TensorFlow Serving is a Docker image, so it is not run here.
# But its batching file is a protobuf text, and its schema can be asked.

# %%
print(tf_serving.render(max_batch_size=8, max_wait_ms=5, queue=200, workers=1))

# %%
print("Not run here:\n" + tf_serving.docker_command("$PWD/saved_model", "$PWD/batching_parameters.txt", "resnet50"))

# %% [markdown]
# **Your turn.** Its queue is counted in *batches*.
# With the two knobs below, how many single requests can wait?

# %%
print("max_batch_size {}, max_enqueued_batches {}".format(*mine.queue))

# %% gid="queued" kind="answer"
queued_requests = ...
### BEGIN SOLUTION
queued_requests = mine.queue[0] * mine.queue[1]
### END SOLUTION

# %% gid="queued_check" kind="test" points=1
rides, batches = ServerNumbers.of(LEARNER).queue
check.number(
    "queued",
    queued_requests,
    expected=rides * batches,
    abs=0.5,
    unit="requests",
    hint="Each waiting batch can be full.",
)

# %% [markdown]
# **Your turn.** This file does not load: somebody wrote it from memory.
# Mend it: at most 16 in a batch, a wait of 2 ms, 4 threads, and only batches of 4, 8 or 16.

# %% gid="mend" kind="answer"
batching_file = ...
"""
max_batch_size: 16
batch_timeout_ms { value: 2 }
num_batch_threads { value: 4 }
allowed_batch_sizes: [4, 8, 32]
"""
### BEGIN SOLUTION
batching_file = """
max_batch_size { value: 16 }
batch_timeout_micros { value: 2000 }
num_batch_threads { value: 4 }
allowed_batch_sizes: [4, 8, 16]
"""
### END SOLUTION


# %% gid="mend_check" kind="test" points=2
def loads(text):
    try:
        values = tf_serving.parse(text)
    except tf_serving.BatchingFileError as error:
        return str(error)
    wanted = {"max_batch_size": 16, "batch_timeout_micros": 2000, "num_batch_threads": 4}
    wrong = [name for name, value in wanted.items() if values.get(name) != value]
    if values.get("allowed_batch_sizes") != [4, 8, 16]:
        wrong.append("allowed_batch_sizes")
    return True if not wrong else f"It loads, but {' and '.join(wrong)} is not what was asked for."


check.that("mend", batching_file, test=loads, hint="The schema wraps each number: name { value: 1 }.")

# %% [markdown]
# ## Four servers on one device
#
# `rival_server.start` writes a server's own configuration and model file and starts it, on this machine only.
# Triton is told the same policy, without the limit of the queue: lab 04 showed what such a rule does to its batcher.


# %%
def start(name):
    """Return a running server and the name of its model; a machine that lacks something raises, and says what."""
    if name != "triton":
        rival = rival_server.start(name, PROFILE, batching=POLICY)
        return rival, rival.model
    triton = server.start(["resnet50_t4_eager"], reuse=False)
    triton.reconfigure(
        "resnet50_t4_eager",
        max_batch_size=POLICY.max_batch_size,
        max_queue_delay_microseconds=POLICY.max_wait_ms * 1000,
    )
    return triton, "resnet50_t4_eager"


# %% [markdown]
# **Predict.** The device takes 12.7 ms for one image, and the max wait is 5 ms.
# On Triton, a client sends one request, waits for the answer, and asks again.
# How long does each request take, in ms?

# %% gid="predict_lone" kind="answer"
predicted_lone_ms = ...
### BEGIN SOLUTION
predicted_lone_ms = 12.7 + 5
### END SOLUTION

# %% [markdown]
# All servers run one after the other, and each gets the same staircase, once for each seed.
# It is Poisson traffic whose rate rises step by step.
# A step holds if 99 % of *all* its requests are answered within 100 ms.

# %%
STAIRS = comparison.Stairs(comparison.limit_rps(PROFILE, 8), shares=(0.3, 0.45, 0.6, 0.75, 0.9), lead_s=0.8)
SEEDS = (1, 2, 3)
runs, lone_ms, formed, absent = {}, {}, {}, {}


def measure(name):
    """Start a server, measure it alone and on the staircase for each seed, and end it."""
    title = rivals.servers()[name].title
    try:
        running, model = start(name)
    except server.StartError as problem:
        runs[title], absent[title] = [], str(problem)
        return f"{title} does not run here: {problem}"
    with running:
        lone_ms[title] = comparison.lone_ms(running, model)
        runs[title] = STAIRS.climb(running, model, SEEDS)
        formed[title] = comparison.batches(running, model)
    return f"{title}: one request alone takes {np.median(lone_ms[title]):.1f} ms"


# %% tags=["nbval-ignore-output"]
ax = plots.rate_over_time(STAIRS.arrivals(*SEEDS), bin_s=0.4)

# %% tags=["nbval-ignore-output"]
print(measure("triton"))
print(measure("torchserve"))

# %% tags=["nbval-ignore-output"]
print(measure("litserve"))
print(measure("mosec"))

# %% gid="predict_lone_check" kind="test" points=1
check.prediction(
    "predict_lone", predicted_lone_ms, measured=lambda: np.median(lone_ms["Triton"]), within=0.4, unit="ms"
)

# %% [markdown]
# ## The same wait, another clock
#
# A lone request waits for company that never comes.
# How long does it take beyond the 12.7 ms of the device: at best, in the middle, at worst?

# %% tags=["nbval-ignore-output"]
beyond = {title: np.percentile(ms, (10, 50, 90)) - PROFILE.latency_ms(1) for title, ms in lone_ms.items()}
alone = pd.DataFrame(beyond, index=["P10, ms", "P50, ms", "P90, ms"]).T
print("a lone request, beyond the device (emulated)")
alone.round(1)

# %% [markdown]
# Triton counts the wait from the moment at which the oldest request came, so every lone request pays all of it.

# %% [markdown]
# LitServe's worker opens a window, collects what comes within, and opens the next; an empty one is thrown away.
# So a request that comes in the middle of a window waits for the rest of it only, and no two wait alike.
#
# **Your turn.** A lone request reaches such a worker at a random moment of the window below.
# How long does it wait on average, in ms?

# %%
print(f"a window of {mine.window_ms} ms")

# %% gid="window" kind="answer"
mean_window_wait_ms = ...
### BEGIN SOLUTION
mean_window_wait_ms = mine.window_ms / 2
### END SOLUTION

# %% gid="window_check" kind="test" points=1
window_ms = ServerNumbers.of(LEARNER).window_ms
check.number(
    "window",
    mean_window_wait_ms,
    expected=window_ms / 2,
    rel=0.02,
    unit="ms",
    hint="Uniform between 0 and the whole window.",
)

# %% [markdown]
# ## Share of the limit
#
# A server's share is the last step *before the first* that broke.
#
# **Your turn.** Return it: `steps` are pairs of share and whether it held, rising; 0 where the first one broke.


# %% gid="share" kind="answer"
def share_of_limit(steps):
    """Return the last share before the first step that did not hold, or 0."""
    ...
    ### BEGIN SOLUTION
    reached = 0
    for share, held in steps:
        if not held:
            return reached
        reached = share
    return reached
    ### END SOLUTION


# %% gid="share_check" kind="test" points=2
check.function(
    "share",
    share_of_limit,
    cases=[
        (([(0.3, True), (0.6, True), (0.9, False)],), 0.6),
        (([(0.3, True), (0.6, False), (0.9, True)],), 0.3),
        (([(0.3, False), (0.6, True)],), 0),
        (([(0.3, True), (0.9, True)],), 0.9),
    ],
    hint="A step that holds above one that broke was luck.",
)

# %% tags=["nbval-ignore-output"]
table = comparison.summary(runs, STAIRS, SLO)
print("emulated: real servers, the T4 is played back; means of", len(SEEDS), "seeds")
table.astype({"share": float}).round(2)

# %% tags=["nbval-ignore-output"]
for title, why in absent.items():
    print(f"{title}: {why}")
ax = plots.share_of_limit(runs, STAIRS, SLO)

# %% [markdown]
# And which batches did each form to get there?

# %% tags=["nbval-ignore-output"]
batches = pd.DataFrame(formed).rename_axis("batch size").sort_index()
items = batches.mul(batches.index, axis=0).sum()
print("mean batch:", (items / batches.sum()).round(2).to_dict())
batches.fillna(0).astype(int)

# %% tags=["measured"]
assert table.loc["Triton", "share"] > 0.25
ran = table[table["seeds"] > 0]
assert len(ran) + len(absent) == 4
assert (ran["share"] < 1).all()
print("Nobody delivers the whole limit, and Triton delivers more than a quarter of it under this SLO.")

# %% [markdown]
# What is missing to 1 is the server's own: parsing, copies from process to process, a device that waits for a batch.
# Server and client share the cores here; on a larger machine all would look better, and 0.9 is the last step there is.

# %% [markdown]
# **Your turn.** Before you believe such a table: which column says whether the *client* was the limit?
# `"seeds"`, `"lateness_p99_ms"` or `"rate_rps"`.
# A row that is not `trusted` was measured by a late client: quiet the machine, and run that server again.

# %% gid="client" kind="answer"
tells_of_client = ...
### BEGIN SOLUTION
tells_of_client = "lateness_p99_ms"
### END SOLUTION

# %% gid="client_check" kind="test" points=1
check.choice(
    "client",
    tells_of_client,
    right="lateness_p99_ms",
    because={
        "seeds": "more seeds make the mean steadier; a late client is late with every seed.",
        "rate_rps": "it is the share in other units.",
    },
    hint="Lab 02: what a sender does not send in time.",
)

# %% [markdown]
# ## More than speed
#
# A server lives for years; somebody has to patch it, and to turn its knobs at night.

# %%
rivals.operations()[["built of", "full queue", "to turn a knob"]]

# %%
rivals.operations()[["maintenance", "source", "read"]]

# %% [markdown]
# **Your turn.** Your company starts a new public service, and its rules demand security patches for every component.
# Which of the five is out, however fast it is?

# %% gid="patched" kind="answer"
ruled_out = ...
### BEGIN SOLUTION
ruled_out = "TorchServe"
### END SOLUTION

# %% gid="patched_check" kind="test" points=1
check.choice(
    "patched",
    ruled_out,
    right="TorchServe",
    because=dict.fromkeys(["Triton", "LitServe", "mosec", "TensorFlow Serving"], "it had a release this year."),
    hint="Look at the column 'maintenance'.",
)

# %% [markdown]
# **Your turn.** The max wait must change every evening and every morning, without a restart.
# Which of the five can do that for a model that stays loaded under its name?

# %% gid="evening" kind="answer"
changes_at_night = ...
### BEGIN SOLUTION
changes_at_night = "Triton"
### END SOLUTION

# %% gid="evening_check" kind="test" points=1
check.choice(
    "evening",
    changes_at_night,
    right="Triton",
    because={
        "TorchServe": "its management API changes the number of workers; the wait belongs to a registration.",
        **dict.fromkeys(["LitServe", "mosec", "TensorFlow Serving"], "it reads the wait at its start."),
    },
    hint="Lab 04 did it: a call of reconfigure.",
)

# %% [markdown]
# ## On your own
#
# - Give `POLICY` two workers, and climb again.
#   On one device, who gains, and why?
# - Raise the max wait to 20 ms.
#   Which server's share falls the most?
#
# ## In practice
#
# - Compare servers on one device, with one schedule and one SLO, or you compare benchmarks.
# - Translate the policy first, with its units; then ask each server for the batches that it really formed.
# - The same from the command line, on any server: `batchlab load NAME --protocol mosec --url HOST:PORT --tier gpu`,
#   and for all others `--protocol http --path /PATH --body TEXT`.
#
# ## Further reading
#
# - TorchServe's documentation: *Batch inference*, and the notice above it.
# - TensorFlow Serving's *Batching guide*: how its threads and its timeout play together.
# - LitServe's *Batching*, and mosec's *Concept and FAQs*.

# %% tags=["nbval-ignore-output"]
check.summary()

# %% [markdown]
# **What you did**
#
# - Translated one batching policy into the words and units of five servers.
# - Ran four of them on one emulated device, and asked each what a lone request costs.
# - Climbed a staircase of rates up to the device's limit, and saw how far each server keeps the SLO.
#
# **What you learned**
#
# - Max wait, max batch, queue and workers go by other names elsewhere, and one of them is not everywhere.
# - Two servers with the same max wait do not wait alike.
# - A choice of server is decided by more than its speed: who maintains it, and how it is operated.
