# ---
# jupyter:
#   batchlab:
#     title: Predict the queue
#     level: intermediate
#     minutes: 60
#     tiers: [simulated, emulated]
#     needs: ["01_sweep_static_batches", "02_measure_the_tail"]
#     summary: Predict a server's waiting times by formula and by a digital twin, then find out who was right.
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Predict the queue
#
# **What you'll do**
#
# - Predict how long requests wait, first by formula, then with a digital twin of Triton.
# - Run the real server, and see where each prediction fails, and why.
# - Lock a prediction before the run, and be graded on the gap.
#
# **What you'll learn**
#
# - Load, and why the last tenth of it costs more than all the rest.
# - What bursts and batches do to the formulas of the textbook.
# - How Triton hands over its batches, and why a wait of 5 ms can cost more than 5 ms.
#
# **What you'll need**
#
# - 60 minutes, labs 01 and 02.
# - Tiers: `simulated` and `emulated`.

# %%
import dataclasses

import pandas as pd
from IPython.display import Image

from batchlab import arrivals, changes, explorer, plots, profiles, queueing, server, simulate, timeline, twin
from batchlab.calibrate import calibrate
from batchlab.grading import Lab
from batchlab.load import closed_loop, open_loop
from batchlab.measure import pace
from batchlab.own_numbers import QueueNumbers
from batchlab.service import Overheads

MODEL = "resnet50_t4_eager"
T4 = profiles.load_profiles()["rn50-amp-t4-eager"]
check = Lab("03_predict_the_queue")
plots.use_style()

# %% [markdown]
# In a course your id stands here, and two questions then ask for numbers of your own.
# Else leave it empty.

# %%
LEARNER = ""
mine = QueueNumbers.of(LEARNER)

# %% tags=["nbval-ignore-output"]
triton = server.start([MODEL])
AS_COMMITTED = triton.config(MODEL)
print(f"Triton {triton.version} at {triton.url}")

# %% [markdown]
# `resnet50_t4_eager` plays ResNet-50 on a T4, from published times.
# Triton, its queue and its batcher are real.
# For the first half we switch the batcher off: one image at a time.


# %% tags=["nbval-ignore-output"]
def no_batching():
    return triton.reconfigure(MODEL, max_batch_size=1, dynamic_batching=None)


no_batching()

# %%
service_ms = float(T4.latency_ms(1))
capacity_rps = 1000 / service_ms
print(f"one image takes {service_ms:.2f} ms, so the device can answer {capacity_rps:.0f} images/s")

# %% [markdown]
# ## Load
#
# The **load** is the share of its capacity that a server is asked for.
# At load 0.5 the device is busy half of the time.


# %% tags=["nbval-ignore-output"]
def drive_alone(load, seconds):
    return open_loop(triton, MODEL, arrivals.poisson(load * capacity_rps, seconds, seed=1))


half = drive_alone(0.5, seconds=5)
half.summary()

# %% [markdown]
# **Little's law** holds whatever the traffic, and for every part of a system: *how many* is *rate* times *how long*.
# Triton says how long a request waited in its queue, so we know how many waited.

# %% tags=["nbval-ignore-output"]
counted = half.mean_in_flight
by_law = queueing.little_in_flight(half.throughput_rps, half.mean_latency_ms)
waiting = queueing.little_in_flight(half.throughput_rps, half.server.queue_ms)
print(f"in the system: counted {counted:.2f}, by the law {by_law:.2f}; of these, waiting: {waiting:.2f}")

# %% tags=["measured"]
assert abs(by_law / counted - 1) < 0.1
print("The law and the count agree within a tenth.")

# %% [markdown]
# Half of the time nothing is to be done, and still somebody waits: requests come at random, and sometimes together.
#
# **Predict.** From load 0.5 to load 0.95 the traffic does not even double.
# By which factor does the *mean wait* grow?

# %% gid="predict_factor" kind="answer"
predicted_factor = ...
### BEGIN SOLUTION
predicted_factor = 19
### END SOLUTION

# %% [markdown]
# ## A formula for the wait
#
# For random arrivals (Poisson) there is an exact formula, found by Pollaczek in 1930 and Khinchine in 1932.
#
# $$ W = \frac{\rho \, S}{1 - \rho} \cdot \frac{1 + c^2}{2} $$
#
# $\rho$ is the load, $S$ the mean service time, and $c^2$ its variance over its squared mean.
# A device that always takes the same time has $c^2 = 0$, and the queue is called **M/D/1**.
# Exponential times have $c^2 = 1$, and the queue is called **M/M/1**.
#
# **Your turn.** Write it down.


# %% gid="pollaczek" kind="answer"
def mean_wait_ms(rate_rps, service_ms, service_scv):
    """Return the mean wait in ms; `service_scv` is the variance of the service time over its squared mean."""
    ...
    ### BEGIN SOLUTION
    load = rate_rps * service_ms / 1000
    return load * service_ms / (1 - load) * (1 + service_scv) / 2
    ### END SOLUTION


# %% gid="pollaczek_check" kind="test" points=2
check.function(
    "pollaczek",
    mean_wait_ms,
    cases=[
        ((50, 10, 0), queueing.md1(50, 10).mean_wait_ms),
        ((50, 10, 1), queueing.mm1(50, 10).mean_wait_ms),
        ((90, 10, 0.3), queueing.mg1(90, 10, 0.3).mean_wait_ms),
    ],
    hint="The load is the rate per second times the service time in seconds.",
)

# %% gid="predict_factor_check" kind="test" points=1
at_half, at_most = (queueing.md1(load * capacity_rps, service_ms).mean_wait_ms for load in (0.5, 0.95))
check.prediction("predict_factor", predicted_factor, measured=at_most / at_half, within=0.3)

# %% [markdown]
# It is the 1 - load below the line: the last free moments of a server are what keeps its queue short.
#
# ## The twin
#
# The **digital twin** plays Triton's own rules without a server, millions of requests a second.
# It takes the same schedules and gives the same record as a real run.

# %% tags=["nbval-ignore-output"]
alone = twin.model(T4, max_batch_size=1, batching=False)
LOADS = (0.5, 0.8, 0.95)
long_runs = [
    simulate.simulate(alone, arrivals.poisson(load * capacity_rps, 500_000 / capacity_rps, seed=1)) for load in LOADS
]
table = pd.DataFrame(
    {
        "M/D/1, ms": [queueing.md1(load * capacity_rps, service_ms).mean_wait_ms for load in LOADS],
        "twin, ms": [run.server.queue_ms for run in long_runs],
    },
    index=pd.Index(LOADS, name="load"),
)
table.round(1)

# %% tags=["measured"]
assert (table["twin, ms"] / table["M/D/1, ms"] - 1).abs().max() < 0.1
print("At every load, twin and formula agree within a tenth.")

# %% [markdown]
# Two ways that know nothing of each other give one answer.
# So the twin is right about the theory; is the theory right about the server?

# %% tags=["nbval-ignore-output"]
real_runs = [half, drive_alone(0.8, seconds=8), drive_alone(0.95, seconds=10)]

# %% tags=["nbval-ignore-output"]
ax = plots.formula_against_runs(
    {
        "M/M/1": lambda load: queueing.mm1(load * capacity_rps, service_ms).mean_wait_ms,
        "M/D/1": lambda load: queueing.md1(load * capacity_rps, service_ms).mean_wait_ms,
    },
    {"twin": long_runs, "real server": real_runs},
    x=lambda run: run.offered_rps / capacity_rps,
    y=lambda run: run.server.queue_ms,
    x_range=(0.3, 0.97),
    x_label="load, by the data sheet",
    y_label="mean wait (ms)",
    y_top=300,
)

# %% [markdown]
# At low load the real server keeps to the line, and near its capacity it leaves it.
# The data sheet tells how long the *device* takes.
# Between two images the server also has to take one apart, hand it over, and put an answer together.
# (M/M/1 is no better: a line that is wrong about everything can still be met at one point.)
#
# ## What the data sheet leaves out
#
# Two short runs tell it.
# A lone client never waits for others: what it sees beyond the device's time is the whole way there and back.
# Three clients keep the device supplied: what passes between two answers, beyond the device's time, is lost each time.

# %% tags=["nbval-ignore-output"]
lone = closed_loop(triton, MODEL, clients=1, seconds=2)
busy = closed_loop(triton, MODEL, clients=3, seconds=2)
print(f"one client: P50 {lone.percentile_ms(50).value:.2f} ms; three clients: {busy.throughput_rps:.1f} images/s")

# %% [markdown]
# **Your turn.** Return both: the whole overhead of a lone request, and what is lost between two requests, in ms.


# %% gid="overheads" kind="answer"
def overheads_ms(lone_latency_ms, busy_rps, service_ms):
    """Return (round trip beyond the service, time lost between two services), both in ms."""
    ...
    ### BEGIN SOLUTION
    return lone_latency_ms - service_ms, 1000 / busy_rps - service_ms
    ### END SOLUTION


# %% gid="overheads_check" kind="test" points=2
check.function(
    "overheads",
    overheads_ms,
    cases=[((12.0, 95.0, 10.0), (2.0, 1000 / 95 - 10)), ((5.5, 240.0, 4.0), (1.5, 1000 / 240 - 4))],
    rel=0.001,
    hint="If 95 images are answered in a second, how long is it from one answer to the next?",
)

# %% tags=["nbval-ignore-output"]
lost_ms = max(1000 / busy.throughput_rps - service_ms, 0)
true_load = 0.95 * capacity_rps / busy.throughput_rps
print(f"lost each time: {lost_ms:.2f} ms, so load 0.95 by the data sheet is really {true_load:.3f}")

# %% [markdown]
# A few percent more service time, and at load 0.95 nothing is left of the few percent that were free.
# That is why a capacity plan from a data sheet fails at the peak, and only there.
#
# ## Where the formula fails: bursts
#
# M/D/1 asks for a rate and a service time, and for nothing else.
# Now the same mean rate at load 0.7 comes in clumps of burstiness 6.
#
# **Predict.** By which factor does the mean wait grow, against Poisson traffic of the same rate?

# %% gid="predict_bursts" kind="answer"
predicted_burst_factor = ...
### BEGIN SOLUTION
predicted_burst_factor = 6
### END SOLUTION

# %% tags=["nbval-ignore-output"]
MEASURED_T4 = twin.model(T4, max_batch_size=1, batching=False, overheads=Overheads(dispatch_ms=lost_ms))
RATE = 0.7 * capacity_rps
clumps = {"Poisson": 1.0, "bursts": 6.0}
shape = {
    name: simulate.simulate(alone, arrivals.gamma(RATE, 500_000 / RATE, burstiness=b, seed=2)).server.queue_ms
    for name, b in clumps.items()
}
print({name: f"{wait:.0f} ms" for name, wait in shape.items()})

# %% gid="predict_bursts_check" kind="test" points=1
check.prediction(
    "predict_bursts", predicted_burst_factor, measured=shape["bursts"] / shape["Poisson"], within=0.4, hint="Kingman."
)

# %% [markdown]
# Kingman's approximation (1961) puts the burstiness in the place where $1$ stood: $(c_a^2 + c^2)/2$.
# Here are both formulas, the twin, and the real server, the latter two on the very same schedule.

# %% tags=["nbval-ignore-output"]
traffic = {name: arrivals.gamma(RATE, 8, burstiness=b, seed=14) for name, b in clumps.items()}
served = {name: open_loop(triton, MODEL, schedule) for name, schedule in traffic.items()}
played = {name: simulate.simulate(MEASURED_T4, schedule) for name, schedule in traffic.items()}
pd.DataFrame(
    {
        "M/D/1": {name: queueing.md1(RATE, service_ms).mean_wait_ms for name in clumps},
        "Kingman": {name: queueing.ggc(RATE, service_ms, b, 0).mean_wait_ms for name, b in clumps.items()},
        "twin, these 8 s": {name: run.server.queue_ms for name, run in played.items()},
        "server, these 8 s": {name: run.server.queue_ms for name, run in served.items()},
    }
).round(0)

# %% tags=["nbval-ignore-output"]
tails = {f"{who}, {name}": run for who, runs in (("twin", played), ("server", served)) for name, run in runs.items()}
ax = plots.latency_ecdf(tails)

# %% tags=["measured"]
gap = played["bursts"].server.queue_ms / served["bursts"].server.queue_ms
assert 0.6 < gap < 1.6
assert served["bursts"].server.queue_ms > 2 * queueing.md1(RATE, service_ms).mean_wait_ms
print("Under bursts M/D/1 is off by more than a factor of two; the twin, on the same schedule, is not.")

# %% [markdown]
# A formula speaks of the long run; eight seconds of bursts are not long.
# The twin plays *this* schedule, clump by clump.
#
# ## Where the formula fails: batches
#
# Now the batcher goes on: up to 32 images together, and no wait for company.


# %% tags=["nbval-ignore-output"]
def configure(wait_ms=0.0, **more):
    knobs = {"max_batch_size": 32, "max_queue_delay_microseconds": round(wait_ms * 1000), **more}
    triton.load(MODEL, changes.apply(AS_COMMITTED, knobs))


configure()

# %%
try:
    queueing.md1(300, service_ms)
except queueing.QueueingError as error:
    print(error)

# %% [markdown]
# The formula refuses 300 images/s, and the server will shrug: while one batch computes, the next one gathers.
# In the time of a batch, `t(b)`, about `rate * t(b)` requests arrive, and these are the next batch.
#
# **Your turn.** A batch size that reproduces itself is a *fixed point*: `b = rate * t(b)`.
# Find it by putting the result in again and again, from 1; no batch is smaller than 1.


# %% gid="fixed_point" kind="answer"
def mean_batch(rate_rps, batch_ms):
    """Return the b that fulfils b = rate * t(b); `batch_ms(b)` is the time of a batch of b, in ms."""
    ...
    ### BEGIN SOLUTION
    b = 1.0
    for _ in range(1000):
        b = max(rate_rps * batch_ms(b) / 1000, 1.0)
    return b
    ### END SOLUTION


# %% gid="fixed_point_check" kind="test" points=2
def ten_and_one(b):
    return 10 + b


check.function(
    "fixed_point",
    mean_batch,
    cases=[((400, ten_and_one), 4 / 0.6), ((700, ten_and_one), 7 / 0.3), ((20, ten_and_one), 1.0)],
    rel=0.01,
    hint="t(b) is in ms, the rate in requests per second.",
)

# %% [markdown]
# So the mean batch should follow from the rate alone.
# One short **calibration** tells the twin what the data sheet leaves out, for batches of every size.

# %% tags=["nbval-ignore-output"]
rung_s = max(0.5, 0.25 / pace())  # at any pace long enough for a few batches
calibration = calibrate(triton, MODEL, max_batch_size=32, seconds_per_rung=rung_s, progress=False)
print(f"calibrated in {calibration.seconds:.0f} s;", "; ".join(calibration.warnings) or "nothing speaks against it")
pd.Series(dataclasses.asdict(calibration.overheads), name="overhead").round(2)

# %% tags=["nbval-ignore-output"]
batching = twin.model(calibration, max_batch_size=32)
RATES = (150, 300, 600)
batched = [open_loop(triton, MODEL, arrivals.poisson(rate, 3, seed=rate), warmup_s=0.5) for rate in RATES]
twins = [simulate.simulate(batching, arrivals.poisson(rate, 30, seed=rate)) for rate in RATES]


# %% tags=["nbval-ignore-output"]
def between_batches_ms(b):
    lost = calibration.overheads
    return calibration.service.latency_ms(b) + lost.dispatch_ms + lost.dispatch_item_ms * b


ax = plots.formula_against_runs(
    {
        "b = rate x t(b), data sheet": lambda rate: mean_batch(rate, calibration.service.latency_ms) or 0,
        "b = rate x t(b), calibrated": lambda rate: mean_batch(rate, between_batches_ms) or 0,
    },
    {"twin": twins, "real server": batched},
    x=lambda run: run.offered_rps,
    y=lambda run: run.server.mean_batch,
    x_range=(100, 620),
    x_label="rate (requests/s)",
    y_label="mean batch (items)",
)

# %% tags=["measured"]
assert all(
    0.75 < ours.server.mean_batch / run.server.mean_batch < 1.3 for ours, run in zip(twins, batched, strict=True)
)
assert batched[-1].server.mean_batch > 2 * batched[0].server.mean_batch
print("Four times the rate, more than twice the mean batch; twin and server agree within a quarter.")

# %% [markdown]
# A batch server answers more load with larger batches: it has no capacity of 79 images/s, it has a curve.
#
# ## Lock your prediction
#
# The next run is an exam, with bursts, max batch 32 and no wait.
# Its device, its rate and its burstiness are yours.
# What the calibration found around the batches holds for every emulated device.

# %% gid="exam" kind="readonly"
profile, rate_rps = mine.exam
device = profiles.load_profiles()[profile]
exam = arrivals.gamma(rate_rps, 6, burstiness=mine.exam_burstiness, seed=mine.exam_seed)
exam_twin = twin.model(device, name=MODEL, max_batch_size=32, overheads=calibration.overheads)
print(f"{device.model} on a {device.gpu}: {rate_rps} requests/s, burstiness {mine.exam_burstiness}")

# %% [markdown]
# **Your turn.** Which *median* latency will the real server show, in ms?
# Ask `exam_twin` on the schedule `exam`, then write the number down: the server will judge it.

# %% gid="locked" kind="answer"
locked_p50_ms = ...
### BEGIN SOLUTION
locked_p50_ms = simulate.simulate(exam_twin, exam, warmup_s=0.5).percentile_ms(50).value
### END SOLUTION

# %% tags=["nbval-ignore-output"]
knobs = {"max_batch_size": 32, "max_queue_delay_microseconds": 0}
triton.load(MODEL, changes.apply(profiles.emulated_config(device, name=MODEL), knobs))
judge = open_loop(triton, MODEL, exam, warmup_s=0.5)
predicted = simulate.simulate(exam_twin, exam, warmup_s=0.5)
pd.DataFrame({"twin": dict(predicted.describe()), "server": dict(judge.describe())}).loc[
    ["p50_ms", "p99_ms", "throughput_rps", "mean_batch"]
].astype(float).round(1)

# %% gid="locked_check" kind="test" points=2
check.prediction("locked", locked_p50_ms, measured=judge.percentile_ms(50).value, within=0.3, unit="ms")

# %% tags=["nbval-ignore-output"]
ax = plots.latency_ecdf({"twin": predicted, "server": judge})

# %% [markdown]
# ## A wait of 5 ms
#
# Max wait 5 ms lets a batch gather for 5 ms before it leaves.
# The device takes 12 ms for a batch, so nobody should notice.
#
# **Predict.** At 500 images/s, what does a max wait of 5 ms instead of 0 do to the *median* latency?
# `"lower"`, `"same"`, `"up to 5 ms more"` or `"more than 5 ms more"`.

# %% gid="predict_wait" kind="answer"
predicted_wait = ...
### BEGIN SOLUTION
predicted_wait = "more than 5 ms more"
### END SOLUTION

# %% tags=["nbval-ignore-output"]
steady = arrivals.poisson(500, 3.5, seed=4)
replays = {}
calm = dataclasses.replace(calibration.overheads, jitter_ms=0)  # the client's jitter would only blur the pictures
for wait_ms in (0, 5):
    model = twin.model(calibration, max_batch_size=32, max_delay_ms=wait_ms, overheads=calm)
    replays[wait_ms] = simulate.replay([simulate.Stream(model, steady)], warmup_s=0.5)[MODEL]
medians = {wait_ms: replay.run.percentile_ms(50).value for wait_ms, replay in replays.items()}
print({f"wait {wait_ms} ms": f"P50 {median:.1f} ms" for wait_ms, median in medians.items()})

# %% gid="predict_wait_check" kind="test" points=1
extra_ms = medians[5] - medians[0]
check.choice(
    "predict_wait",
    predicted_wait,
    right="more than 5 ms more" if extra_ms > 5 else "up to 5 ms more",
    because={
        "lower": "larger batches would help, but the mean batch is given by the rate: b = rate * t(b).",
        "same": "that would be so if the batch went on gathering while the device is busy. Look at the replay.",
        "up to 5 ms more": "so one would think. Look at the replay: what do batches do after they have left?",
    },
)

# %% [markdown]
# ## Why each batch left
#
# The twin remembers every batch: when the batcher handed it over, and for which reason.
# First without a wait.

# %% tags=["nbval-ignore-output"]
ax = plots.batch_timeline(timeline.window(replays[0], start_s=2.0, seconds=0.1))

# %% [markdown]
# A batch is handed over with its first request, and goes on growing until the device takes it.
# Now with a wait of 5 ms.

# %% tags=["nbval-ignore-output"]
ax = plots.batch_timeline(timeline.window(replays[5], start_s=2.0, seconds=0.1))

# %% [markdown]
# Step through it, event by event.

# %% tags=["nbval-ignore-output"]
timeline.step(timeline.window(replays[5], start_s=2.0, seconds=0.1))

# %% [markdown]
# When its oldest request has waited 5 ms, a batch is handed over although the device is busy: Triton *prefetches*.
# It then sits out the batch ahead of it and hardly grows: most who arrive now are for the batch after it.
#
# **Your turn.** How many requests join a batch *after* it was handed over?
# `samples` tells when each was sent (`intended_s`) and its `batch`; `batches` tells when each `batch` was `closed_s`.
# Return the share of such requests.


# %% gid="joiners" kind="answer"
def share_of_late_joiners(samples, batches):
    """Return the share, 0 to 1, of the requests that were sent after their own batch had been handed over."""
    ...
    ### BEGIN SOLUTION
    closed_s = batches.set_index("batch")["closed_s"].loc[samples["batch"]].to_numpy()
    return (samples["intended_s"].to_numpy() > closed_s).mean()
    ### END SOLUTION


# %% gid="joiners_check" kind="test" points=2
five = pd.DataFrame({"intended_s": [0.0, 0.1, 0.2, 0.3, 0.4], "batch": [1, 1, 1, 3, 3]})
two = pd.DataFrame({"batch": [3, 1], "closed_s": [0.35, 0.05]})
check.function("joiners", share_of_late_joiners, cases=[((five, two), 0.6), ((five[:3], two), 2 / 3)], rel=0.001)

# %% tags=["nbval-ignore-output"]
for wait_ms, replay in replays.items():
    share = share_of_late_joiners(replay.run.samples.round(6), replay.batches.round(6))  # to a microsecond
    print(f"wait {wait_ms} ms: {100 * (share or 0):.0f} % of the requests joined late")

# %% [markdown]
# ## Isolate the cause
#
# By its sources, Triton stops prefetching as soon as a model has priority levels, a queue limit or a default timeout.
# Take two with nothing else in common: a limit that is never reached, and priorities that nobody uses.
# If prefetch is the cause, then either of them cures the wait of 5 ms, and neither changes a wait of 0.

# %%
SWITCHES = {
    "as it is": {},
    "queue limit 100,000": {"max_queue_size": 100_000},
    "2 priority levels": {"priority_levels": 2, "default_priority_level": 1},
}
PLAN = [(0, "as it is"), (0, "queue limit 100,000"), *((5, name) for name in SWITCHES)]


# %% tags=["nbval-ignore-output"]
def both(wait_ms, switch):
    configure(wait_ms, **SWITCHES[switch])
    ours = batching.changed(max_queue_delay_microseconds=1000 * wait_ms, **SWITCHES[switch])
    runs = open_loop(triton, MODEL, steady, warmup_s=0.5), simulate.simulate(ours, steady, warmup_s=0.5)
    return [run.percentile_ms(50).value for run in runs]


seen = pd.DataFrame(
    [both(*row) for row in PLAN], index=pd.MultiIndex.from_tuples(PLAN), columns=["server P50", "twin P50"]
)
seen.round(1)

# %% tags=["measured"]
p50 = seen["server P50"]
cured = [p50[5, name] for name in SWITCHES if name != "as it is"]
assert p50[5, "as it is"] > max(cured) > 0
assert abs(p50[0, "queue limit 100,000"] / p50[0, "as it is"] - 1) < 0.25
print("Each switch alone cures the wait of 5 ms; without a wait the same switch changes little.")

# %% [markdown]
# **Your turn.** What made the wait of 5 ms so dear?
# `"priorities"`, `"the wait alone"`, `"prefetch alone"`, or `"prefetch and a wait"`.

# %% gid="cause" kind="answer"
cause = ...
### BEGIN SOLUTION
cause = "prefetch and a wait"
### END SOLUTION

# %% gid="cause_check" kind="test" points=1
check.choice(
    "cause",
    cause,
    right="prefetch and a wait",
    because={
        "priorities": "a queue limit cures it as well, and knows no priorities. What do the switches share?",
        "the wait alone": "with a switch the wait is still 5 ms, and the cost is gone.",
        "prefetch alone": "at a wait of 0 Triton prefetches too, and the switch changes nothing there.",
    },
)

# %% [markdown]
# One warning before you turn prefetch off everywhere: without it, at low rates, Triton's batcher may oversleep.
# Measure at *your* rate.
#
# ## On your own
#
# Sliders on the twin: no server needed, every move is 20,000 simulated requests.

# %% tags=["nbval-ignore-output"]
BERT = {"profile": "bertbase128-fp16-t4", "max_batch": 32}
free = explorer.explore(slo_ms=mine.slo_ms, burstiness=mine.burstiness, rate_rps=300, **BERT)
free

# %% tags=["nbval-ignore-output"]
Image(free.png)

# %% [markdown]
# **Your turn.** BERT on a T4, max batch 32, max wait 0; burstiness and limit stand below.
# Find the highest rate that keeps the P99 within the limit; being within a tenth of it is enough.

# %%
print(f"burstiness {mine.burstiness:g}, P99 within {mine.slo_ms} ms")

# %% gid="highest_rate" kind="answer"
highest_rate_rps = ...
### BEGIN SOLUTION
kept = [rate for rate in range(300, 1000, 20) if free.set(rate_rps=rate).percentile_ms(99).value <= mine.slo_ms]
highest_rate_rps = max(kept)
### END SOLUTION


# %% gid="highest_rate_check" kind="test" points=2
def try_rate(rate_rps):
    asked = QueueNumbers.of(LEARNER)
    judge = explorer.explore("bertbase128-fp16-t4", asked.slo_ms, burstiness=asked.burstiness, max_batch=32)
    at, above = (judge.set(rate_rps=round(rate)).percentile_ms(99).value for rate in (rate_rps, 1.1 * rate_rps))
    if at > asked.slo_ms:
        return f"P99 {at:.0f} ms at {rate_rps:.0f}/s: too much. Set burstiness, batch and wait as asked."
    return above > asked.slo_ms or f"P99 {above:.0f} ms at a tenth more: there is room."


check.that("highest_rate", highest_rate_rps, test=try_rate)

# %% [markdown]
# - Turn *max wait* up to 50 ms at 300/s and at your highest rate: where does it hurt more?
# - Turn *prefetch* off and do it again.
#
# ## In practice
#
# - Plan with measured service times; a data sheet leaves out what happens between two batches.
# - Keep a tenth or two of the capacity free, more under bursts.
# - Use a formula to know what to expect, a twin to choose, and the server to decide.
# - Max wait 0 is a good start on Triton: it lets batches grow for as long as the device is busy.
#
# ## Further reading
#
# - M. Harchol-Balter, *Performance Modeling and Design of Computer Systems*, 2013.
# - J. F. C. Kingman, *The single server queue in heavy traffic*, 1961.
# - Y. Inoue, *Queueing analysis of GPU-based inference servers with dynamic batching*, 2021: formulas for batches.

# %% tags=["nbval-ignore-output"]
check.summary()

# %% [markdown]
# **What you did**
#
# - Predicted how long requests wait, first by formula, then with a digital twin of Triton.
# - Ran the real server, and saw where each prediction fails, and why.
# - Locked a prediction before the run, and were graded on the gap.
#
# **What you learned**
#
# - Load, and why the last tenth of it costs more than all the rest.
# - What bursts and batches do to the formulas of the textbook.
# - How Triton hands over its batches, and why a wait of 5 ms can cost more than 5 ms.
