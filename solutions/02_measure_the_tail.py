# ---
# jupyter:
#   batchlab:
#     title: Measure the tail
#     level: beginner
#     minutes: 70
#     tiers: [emulated]
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
# - Tier: `emulated`.

# %%
import numpy as np
import pandas as pd

from batchlab import arrivals, plots, server
from batchlab.grading import Lab
from batchlab.load import closed_loop, open_loop
from batchlab.slo import Slo, min_requests, verdict

MODEL = "bert_large_t4"
check = Lab("02_measure_the_tail")
plots.use_style()

# %% tags=["nbval-ignore-output"]
triton = server.start([MODEL])
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
check.prediction("predict_factor", predicted_factor, measured=p99_factor, within=1.0)

# %%
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
    if answer is None or len(answer) != 2:
        return "it should return two arrays."
    if np.allclose(answer[0], [10, 10]):
        return "this latency counts from the actual send. The second user has waited since 0.1 s."
    return np.allclose(answer[0], [10, 310]) and np.allclose(answer[1], [0, 300]) or "the values are off; ms?"


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
    timer = threading.Timer(after_s, lambda: server.connect(triton.url).infer(MODEL, big))
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
# **Predict.** At a modest 40 requests/s in an open loop, about how many *users* wait more than 100 ms because of a
# pause of 700 ms?

# %% [markdown]
# Write the number down.

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

# %%
assert closed_stalled.percentile_ms(99).value < 100
assert open_stalled.percentile_ms(99).value > 300
print("The same pause: under 100 ms at P99 in the closed loop, over 300 ms in the open one.")

# %% [markdown]
# ## Bursts
#
# Poisson traffic is random; real traffic also comes in clumps.
# `gamma` makes both: burstiness 1 is Poisson, more is clumpier.
# It is the coefficient of variation of the gaps between requests.

# %% tags=["nbval-ignore-output"]
calm = arrivals.poisson(45, seconds=15, seed=3)
bursty = arrivals.gamma(45, seconds=15, burstiness=3, seed=3)
ax = plots.rate_over_time(bursty, bin_s=0.25)

# %% [markdown]
# **Your turn.** Compute the burstiness of a schedule from its send times.
# Standard deviation of the gaps, divided by their mean.


# %% gid="burstiness" kind="answer"
def burstiness(times_s):
    """Return the coefficient of variation of the gaps between ascending times, in s."""
    ...
    ### BEGIN SOLUTION
    gaps_s = np.diff(times_s)
    return gaps_s.std() / gaps_s.mean()
    ### END SOLUTION


# %% gid="burstiness_check" kind="test" points=1
check.function(
    "burstiness",
    burstiness,
    cases=[
        ((np.array([0.0, 1, 2, 3, 4]),), 0.0),
        ((np.array([0.0, 1, 4, 5, 8]),), 0.5),
        ((bursty.times_s,), float(np.std(np.diff(bursty.times_s)) / np.mean(np.diff(bursty.times_s)))),
    ],
    rel=0.01,
)

# %% tags=["nbval-ignore-output"]
calm_run = open_loop(triton, MODEL, calm, warmup_s=1)
bursty_run = open_loop(triton, MODEL, bursty, warmup_s=1)
ax = plots.latency_ecdf({"Poisson": calm_run, "bursts": bursty_run}, slo=100)

# %%
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
# **Your turn.** Where does 459 come from?
# Suppose the true share of misses were 1 %, just at the edge.
# The chance of seeing no miss in n requests is 0.99 to the power n; find the smallest n for which it is below 1 %.

# %% gid="rule" kind="answer"
requests_without_a_miss = ...
### BEGIN SOLUTION
requests_without_a_miss = int(np.ceil(np.log(0.01) / np.log(0.99)))
### END SOLUTION

# %% gid="rule_check" kind="test" points=2
check.number(
    "rule",
    requests_without_a_miss,
    expected=min_requests(0),
    abs=0.5,
    hints="Take logarithms: n times log(0.99) must be at most log(0.01). Round up.",
)

# %% [markdown]
# Each miss that you do see makes the bill longer.

# %%
pd.Series({misses: min_requests(misses) for misses in (0, 1, 2, 5, 10)}, name="requests needed")

# %% [markdown]
# **Your turn.** A colleague shows 1000 requests with 3 misses, and says "P99 holds: 99.7 % are within the limit".
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
    right="more data" if min_requests(3) > 1000 else "pass",
    because={
        "pass": "0.3 % looks fine, but luck could do that. Look up min_requests(3).",
        "fail": "3 of 1000 is under 1 %: nothing here speaks against the claim. It is only too little to prove it.",
    },
)

# %% [markdown]
# So a **verdict** has three outcomes, not two.

# %% tags=["nbval-ignore-output"]
verdict(calm_run, Slo(p99_ms=250))

# %% [markdown]
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
# EXTERNAL
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
