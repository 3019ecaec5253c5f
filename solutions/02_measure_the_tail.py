# ---
# jupyter:
#   batchlab:
#     title: Measure the tail
#     level: beginner
#     minutes: 70
#     tiers: [emulated, cpu]
#     needs: ["00_start_here"]
#     summary: Learn why a load test can report a tail ten times too short, and how many requests a P99 needs.
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Measure the tail
#
# **What you'll do**
#
# - Put the same mean load on the same server in two ways, and get two very different tails.
# - Stall the server for a moment and see who notices.
# - Decide how many requests a P99 needs before you may say it aloud.
#
# **What you'll learn**
#
# - Open and closed loops, coordinated omission, warm-up, bursts.
# - Why "P99 = 95 ms" from 300 requests is not a result.
#
# **What you'll need**
#
# - 70 minutes, and lab 00.
# - Tiers: `emulated`, and `cpu` for the warm-up.

# %%
import numpy as np
import pandas as pd

from batchlab import arrivals, external, loadtools, measure, plots, server
from batchlab.grading import Lab
from batchlab.load import closed_loop, open_loop
from batchlab.own_numbers import TailNumbers
from batchlab.slo import Slo, min_requests, verdict
from batchlab.stopping import clumping

MODEL = "bert_large_t4"
check = Lab("02_measure_the_tail")
plots.use_style()

# %% [markdown]
# In a course your id stands here, and one question then asks for numbers of your own.
# Else leave it empty.

# %%
LEARNER = ""
mine = TailNumbers.of(LEARNER)

# %% tags=["nbval-ignore-output"]
triton = server.start([MODEL, "text_encoder", "text_classifier"])
print(f"Triton {triton.version} at {triton.url}")

# %% [markdown]
# ## One device, one client
#
# BERT-large on an emulated T4 needs about 12 ms a request.
# First the load test that everybody writes: ask, wait for the answer, ask again.

# %% tags=["nbval-ignore-output"]
closed = closed_loop(triton, MODEL, clients=1, think_s=0.003, seconds=8)
closed.summary()

# %% [markdown]
# A client that waits for its answer is a **closed loop**.
# Real users do not wait for each other: they come when they come.
# That is an **open loop**: a schedule of send times, made before the run, whatever the server does.
#
# **Predict.** The open loop sends at the same mean rate, at random moments.
# By which factor will its P99 exceed the closed loop's?

# %% gid="predict_factor" kind="answer"
predicted_factor = ...
### BEGIN SOLUTION
predicted_factor = 8
### END SOLUTION

# %% tags=["nbval-ignore-output"]
schedule = arrivals.poisson(closed.throughput_rps, seconds=15, seed=7)
open_ = open_loop(triton, MODEL, schedule, warmup_s=1)
open_.summary()

# %% gid="predict_factor_check" kind="test" points=1
p99_factor = open_.percentile_ms(99).value / closed.percentile_ms(99).value
check.prediction("predict_factor", predicted_factor, measured=p99_factor, within=0.8)

# %% tags=["measured"]
assert abs(open_.offered_rps / closed.throughput_rps - 1) < 0.15
assert p99_factor > 3
print("Same server, same mean rate: the closed loop understates the P99 more than threefold.")

# %% tags=["nbval-ignore-output"]
ax = plots.closed_against_open(closed, open_)

# %% [markdown]
# The closed loop is polite: while the server is busy it sends nothing, so nobody ever queues.
# Users are not polite.
#
# ## Count from the moment that was meant
#
# A sender can be late as well, and then it hides the wait: it starts the clock when it got round to sending.
# So latency counts from the **intended** time of the schedule.
#
# **Your turn.** The columns of `samples` are in seconds.
# Return two arrays of milliseconds: the latency from the intended time, and the sender's lateness.


# %% gid="latency" kind="answer"
def latency_and_lateness_ms(samples):
    """Return (latency from the intended time, lateness of the sender), both in ms, one value per row."""
    ...
    ### BEGIN SOLUTION
    latency_ms = (samples["done_s"] - samples["intended_s"]) * 1000
    lateness_ms = (samples["sent_s"] - samples["intended_s"]) * 1000
    return latency_ms.to_numpy(), lateness_ms.to_numpy()
    ### END SOLUTION


# %% gid="latency_check" kind="test" points=2
late_sender = pd.DataFrame({"intended_s": [0.0, 0.1], "sent_s": [0.0, 0.4], "done_s": [0.01, 0.41]})


def try_latency(function):
    answer = function(late_sender)
    if answer is None:
        return None
    if len(answer) != 2:
        return "it should return two arrays."
    if np.allclose(answer[0], [10, 10]):
        return "this latency counts from the actual send. The second user has waited since 0.1 s."
    return (np.allclose(answer[0], [10, 310]) and np.allclose(answer[1], [0, 300])) or "the values are off; ms?"


check.that("latency", latency_and_lateness_ms, test=try_latency)

# %% [markdown]
# Every run of this course carries its sender's lateness, and is refused when the sender was the limit.

# %% tags=["nbval-ignore-output"]
print(f"P99 of lateness: {np.percentile(open_.lateness_ms, 99):.2f} ms, valid: {open_.valid}")

# %% [markdown]
# ## A stall
#
# Servers pause: garbage collection, a neighbour, a large batch.
# We cause a pause on purpose: one batch of 64 keeps the device busy for two thirds of a second.
# First the closed loop lives through it.

# %%
import threading


def stall(after_s, items=64):
    """Occupy the device with one large batch, `after_s` seconds from now."""
    big = {"item": np.zeros((items, 1), np.int32)}
    timer = threading.Timer(after_s * measure.pace(), lambda: server.connect(triton.url).infer(MODEL, big))
    timer.start()
    return timer


# %% tags=["nbval-ignore-output"]
timer = stall(4)
closed_stalled = closed_loop(triton, MODEL, clients=1, think_s=0.003, seconds=8)
timer.join()
print(f"slowest {max(closed_stalled.latencies_ms):.0f} ms, P99 {closed_stalled.percentile_ms(99).value:.0f} ms")

# %% [markdown]
# One slow answer among five hundred: the P99 hardly blinks.
#
# **Predict.** Now an open loop of a modest 40 requests/s, and the same pause of 700 ms.
# About how many *users* will wait more than 100 ms because of it?

# %% gid="predict_users" kind="answer"
predicted_users = ...
### BEGIN SOLUTION
predicted_users = 40
### END SOLUTION

# %% tags=["nbval-ignore-output"]
timer = stall(5)
open_stalled = open_loop(triton, MODEL, arrivals.constant(40, seconds=10), warmup_s=1)
timer.join()
waited = int((open_stalled.latencies_ms > 100).sum())
print(f"{waited} users waited more than 100 ms, P99 {open_stalled.percentile_ms(99).value:.0f} ms")

# %% gid="predict_users_check" kind="test" points=1
check.prediction("predict_users", predicted_users, measured=waited, within=0.5)

# %% [markdown]
# The pause itself, and then the crowd that it left behind: both count.
# A load test that stops sending while it waits leaves these users out.
# The name for that is **coordinated omission**.

# %% tags=["measured"]
assert closed_stalled.percentile_ms(99).value < 100
assert open_stalled.percentile_ms(99).value > 300
print("The same pause: under 100 ms at P99 in the closed loop, over 300 ms in the open one.")

# %% [markdown]
# ## Bursts
#
# Poisson traffic is random; real traffic also comes in clumps.
# `gamma` makes both: burstiness 1 is Poisson, more is clumpier.
# It is the squared coefficient of variation of the gaps between requests.

# %% tags=["nbval-ignore-output"]
calm = arrivals.poisson(45, seconds=15, seed=3)
bursty = arrivals.gamma(45, seconds=15, burstiness=6, seed=3)
ax = plots.rate_over_time(bursty, bin_s=0.25)

# %% [markdown]
# **Your turn.** Compute the burstiness of a schedule from its send times.
# Variance of the gaps, divided by their mean squared.


# %% gid="burstiness" kind="answer"
def burstiness(times_s):
    """Return the squared coefficient of variation of the gaps between ascending times, in s."""
    ...
    ### BEGIN SOLUTION
    gaps_s = np.diff(times_s)
    return gaps_s.var() / gaps_s.mean() ** 2
    ### END SOLUTION


# %% gid="burstiness_check" kind="test" points=1
check.function(
    "burstiness",
    burstiness,
    cases=[
        ((np.array([0.0, 1, 2, 3, 4]),), 0.0),
        ((np.array([0.0, 1, 4, 5, 8]),), 0.25),
        ((bursty.times_s,), float(bursty.burstiness)),
    ],
    rel=0.01,
)

# %% tags=["nbval-ignore-output"]
calm_run = open_loop(triton, MODEL, calm, warmup_s=1)
bursty_run = open_loop(triton, MODEL, bursty, warmup_s=1)
ax = plots.latency_ecdf({"Poisson": calm_run, "bursts": bursty_run}, slo=100)

# %% tags=["measured"]
assert bursty_run.percentile_ms(99).value > 1.5 * calm_run.percentile_ms(99).value
print("Same mean rate, same server: bursts lengthen the P99 by more than half.")

# %% [markdown]
# A mean rate says little about a tail.
# Ask for the shape of the traffic, or replay a recording of it.
#
# ## How many requests does a P99 need?
#
# A P99 from 100 requests is the second slowest of them: mostly luck.
# Let us see how much luck, by drawing many small samples from one long run.

# %% tags=["nbval-ignore-output"]
rng = np.random.default_rng(0)
pool_ms = calm_run.latencies_ms
spread = {n: [np.percentile(rng.choice(pool_ms, n), 99) for _ in range(500)] for n in (50, 200, 1000, 5000)}
pd.DataFrame(
    {n: np.percentile(values, [5, 50, 95]) for n, values in spread.items()},
    index=["lucky (5 %)", "typical", "unlucky (95 %)"],
).round(0)

# %% [markdown]
# MLPerf, the benchmark of the industry, has a rule for it.
# A claim "99 % within the limit" passes at 99 % confidence only if enough requests carry it.
# With no miss at all it takes 459.
#
# Suppose the true share of misses were 1 %, just at the edge.
# The chance of seeing no miss in n requests is 0.99 to the power n, and at 459 it falls below 1 %.
#
# **Your turn.** Work such a number out, for the promise below.
# Which is the smallest number of requests without a miss that proves it?

# %%
print(f"P{mine.percentile:g} within the limit, at {mine.confidence:.0%} confidence")

# %% gid="rule" kind="answer"
requests_without_a_miss = ...
### BEGIN SOLUTION
requests_without_a_miss = int(np.ceil(np.log(1 - mine.confidence) / np.log(mine.percentile / 100)))
### END SOLUTION

# %% gid="rule_check" kind="test" points=2
asked = TailNumbers.of(LEARNER)
check.number(
    "rule",
    requests_without_a_miss,
    expected=min_requests(0, asked.percentile, asked.confidence),
    abs=0.5,
    hint="Take logarithms. For 459, n times log(0.99) must be at most log(0.01). Round up.",
)

# %% [markdown]
# Each miss that you do see makes the bill longer.

# %%
pd.Series({misses: min_requests(misses) for misses in (0, 1, 2, 5, 10)}, name="requests needed")

# %% [markdown]
# **Your turn.** A colleague shows 800 requests with 3 misses, and says "P99 holds: 99.6 % are within the limit".
# What does the rule say?
# `"pass"`, `"fail"` or `"more data"`?

# %% gid="colleague" kind="answer"
colleague = ...
### BEGIN SOLUTION
colleague = "more data"
### END SOLUTION

# %% gid="colleague_check" kind="test" points=1
check.choice(
    "colleague",
    colleague,
    right="more data" if min_requests(3) > 800 else "pass",
    because={
        "pass": "0.4 % looks fine, but luck could do that. Look up min_requests(3).",
        "fail": "3 of 800 is under 1 %: nothing here speaks against the claim. It is only too little to prove it.",
    },
)

# %% [markdown]
# So a **verdict** has three outcomes, not two.

# %% tags=["nbval-ignore-output"]
verdict(calm_run, Slo(p99_ms=250))

# %% [markdown]
# The rule assumes that requests are independent, and in a queue they are not: misses come in clumps.
# We simulate 200 runs of one server at 80 % load; a request takes one unit of time and waits for the one before it.

# %%
rng = np.random.default_rng(1)
wait, waits = np.zeros(200), []
for gaps in rng.exponential(1 / 0.8, (12_000, 200)):
    wait = np.maximum(wait + 1 - gaps, 0)
    waits.append(wait)
waits = np.array(waits[2_000:])  # one column for each run
missed = waits > np.quantile(waits, 1 - 0.0105)  # 1.05 % of all requests miss: no run should pass
shuffled = rng.permutation(missed.ravel()).reshape(missed.shape)

# %% [markdown]
# Shuffled, the same misses are independent.
# The third row counts neighbours that share their fate as one request.


# %%
def passes(missed, neighbours=1.0):
    return len(missed) / neighbours >= min_requests(int(np.ceil(missed.sum() / neighbours)))


wrong = {
    "shuffled": np.mean([passes(run) for run in shuffled.T]),
    "as the queue made them": np.mean([passes(run) for run in missed.T]),
    "discounted": np.mean([passes(run, clumping(wait)) for run, wait in zip(missed.T, waits.T, strict=True)]),
}
assert wrong["as the queue made them"] > 0.25 > 0.03 > max(wrong["shuffled"], wrong["discounted"])
pd.Series(wrong, name="share of runs that pass wrongly (simulated)").round(3)

# %% [markdown]
# In a busy queue, then, a PASS of the plain rule is a good sign and no proof.
# `verdict(run, slo, correlated=True)` discounts like this, and asks for many times as many requests.
#
# ## What a tool rounds away
#
# Load tools save memory by rounding.
# Locust keeps response times of 100 ms and more to the nearest 10 ms.
#
# **Your turn.** Write its rounding: below 100 ms to the nearest whole ms, from 100 ms on to the nearest 10.


# %% gid="rounding" kind="answer"
def rounded(latency_ms):
    """Return the latency in ms as Locust's statistics keep it."""
    ...
    ### BEGIN SOLUTION
    return round(latency_ms) if latency_ms < 100 else round(latency_ms, -1)
    ### END SOLUTION


# %% gid="rounding_check" kind="test" points=1
check.function("rounding", rounded, cases=[((12.4,), 12), ((99.4,), 99), ((104.9,), 100), ((137.0,), 140)], abs=0.01)

# %% [markdown]
# 104.9 ms becomes 100 ms, and an SLO of 100 ms passes.
# This course uses Locust to *send*, and keeps the raw samples itself.
#
# ## Other tools, same schedule
#
# hey, wrk, vegeta and JMeter are good tools, each with its own idea of a load test.
# The next cell gives one and the same schedule to those that are installed here, and reads their answers back.

# %% tags=["nbval-ignore-output"]
steady = arrivals.constant(45, seconds=6)
target = external.Target.infer(triton.url, MODEL, {"item": np.zeros((1, 1), np.int32)})
origin = triton.provenance(MODEL)
installed = [tool for tool in loadtools.tools() if not tool.missing()]
reports = {t.name: external.send(t, steady, target, provenance=origin, clients=8).reported for t in installed}
reports["batchlab"] = dict(open_loop(triton, MODEL, steady).describe())
pd.DataFrame(reports).reindex(["requests", "throughput_rps", "mean_ms", "p50_ms", "p99_ms"]).T.round(1)

# %% [markdown]
# They do not agree, and none of them is wrong: they measured different things.

# %%
external.what_each_hides(loadtools.tools())

# %% [markdown]
# **Your turn.** You must show what users feel while the server stalls.
# Which kind of tool will do?
# `"a"`: a closed loop with many clients.
# `"b"`: an open loop that counts from the actual send.
# `"c"`: an open loop that counts from the intended time.

# %% gid="which_tool" kind="answer"
which_tool = ...
### BEGIN SOLUTION
which_tool = "c"
### END SOLUTION

# %% gid="which_tool_check" kind="test" points=1
check.choice(
    "which_tool",
    which_tool,
    right="c",
    because={
        "a": "while it waits, it does not send: the users of the stall are never there.",
        "b": "a late sender starts the clock late, and the wait before it is gone.",
    },
)

# %% [markdown]
# ## The first requests
#
# A model that was just loaded answers its first requests more slowly: caches are cold, memory is not yet there.
# Load it anew, and look at the order of the latencies.

# %% tags=["nbval-ignore-output"]
triton.unload("text_classifier")
triton.load("text_classifier")
fresh = closed_loop(triton, "text_classifier", clients=1, seconds=2, warmup_s=0)
first, later = fresh.latencies_ms[0], np.median(fresh.latencies_ms[20:])
print(f"first {first:.1f} ms, later {later:.1f} ms: {first / later:.1f} times")

# %% [markdown]
# Those belong to nobody's P99.
# Leave a warm-up out of the statistics, and say how long it was: every `Run` has a `warmup_s`.
#
# ## On your own
#
# - Halve the rate of the open loop.
#   How far does its P99 fall, and why by more than half?
# - Find the burstiness at which the P99 of 45 requests/s passes 500 ms.
#
# ## In practice
#
# - Write down with every P99: open or closed loop, how many requests, which clock, which traffic.
# - A closed loop is right for one question: what do *n* busy workers get?
#
# ## Further reading
#
# - G. Tene, *How NOT to Measure Latency*, talk, 2013: coordinated omission.
# - B. Schroeder, A. Wierman, M. Harchol-Balter, *Open Versus Closed: A Cautionary Tale*, NSDI 2006.
# - V. J. Reddi and others, *MLPerf Inference Benchmark*, ISCA 2020.

# %% tags=["nbval-ignore-output"]
check.summary()

# %% [markdown]
# **What you did**
#
# - Put the same mean load on the same server in two ways, and got two very different tails.
# - Stalled the server for a moment and saw who notices.
# - Decided how many requests a P99 needs before you may say it aloud.
#
# **What you learned**
#
# - Open and closed loops, coordinated omission, warm-up, bursts.
# - Why "P99 = 95 ms" from 300 requests is not a result.
