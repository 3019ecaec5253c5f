# ---
# jupyter:
#   batchlab:
#     title: Start here
#     level: beginner
#     minutes: 40
#     tiers: [cpu, emulated]
#     needs: []
#     summary: Start a real Triton, send a first request, and learn the six words that the whole course speaks.
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Start here
#
# **What you'll do**
#
# - Start a real Triton Inference Server on this computer and ask it something.
# - Time your requests, read a tail, and put several clients on one device.
# - Check a law of queues on data that you measured yourself.
#
# **What you'll learn**
#
# - Six words with exact meanings: *request*, *batch*, *latency*, *throughput*, *percentile*, *SLO*.
# - Why a busy server answers late, and why more clients do not make it faster.
#
# **What you'll need**
#
# - 40 minutes, Python, and nothing else: no GPU, no Docker.
# - Tiers: `cpu` (a real model on this processor) and `emulated` (a real server, a played-back accelerator).

# %%
import time

import numpy as np

from batchlab import plots, server
from batchlab.grading import Lab, dashboard
from batchlab.load import closed_loop

check = Lab("00_start_here")
plots.use_style()

# %% [markdown]
# The next cell shows the whole course, how far you are, and what comes next.
# Come back to it whenever you open the course, and run it again.

# %% tags=["nbval-ignore-output"]
dashboard()

# %% [markdown]
# ## A server of your own
#
# The next cell starts Triton, the server that many companies run in production.
# It listens on this computer only, and it ends when this notebook's kernel ends.
# We ask it for two models: a small text classifier, and an emulated GPU that we will crowd later.

# %% tags=["nbval-ignore-output"]
triton = server.start(["text_encoder", "text_classifier", "bert_t4"])
print(f"Triton {triton.version} answers at {triton.url} with {', '.join(triton.loaded())}")

# %% [markdown]
# A server that runs your models by name, over HTTP: that is all a *model server* is.
# Ask it what the classifier wants.

# %% tags=["nbval-ignore-output"]
triton.metadata("text_classifier")

# %% [markdown]
# One input called `text`; among the outputs, a `label` and a `score`.
# The first dimension is the **batch**: how many texts travel together.
#
# ## The first request
#
# A **request** is one question put to the server, and its answer.
# Ours carries one text.


# %%
def ask(text):
    answer = triton.infer("text_classifier", {"text": np.array([[text.encode()]], dtype=object)})
    return answer["label"].item().decode()


ask("Where is my parcel? It should have been here on Monday.")

# %% [markdown]
# A real neural network read the sentence and put it in a drawer.
#
# **Your turn.** Write a message that the classifier files under `billing`.
# Any wording of your own will do.

# %% gid="first_message" kind="answer"
my_message = ...
### BEGIN SOLUTION
my_message = "I was charged twice for the same invoice, please refund one payment."
### END SOLUTION

# %% gid="first_message_check" kind="test" points=1
check.that(
    "first_message",
    my_message,
    test=lambda text: ask(text) == "billing" or f"the classifier filed it under {ask(text)}. Talk about money.",
)

# %% [markdown]
# ## How long did it take?
#
# **Latency** is the time from the moment a request is meant to go out until its answer is there, in milliseconds.
# One number says little, so take two hundred.

# %% tags=["nbval-ignore-output"]
latencies_ms = []
for _ in range(200):
    started = time.perf_counter()
    ask("How do I reset my password?")
    latencies_ms.append((time.perf_counter() - started) * 1000)
print(f"fastest {min(latencies_ms):.1f} ms, mean {np.mean(latencies_ms):.1f} ms, slowest {max(latencies_ms):.1f} ms")

# %% [markdown]
# The same question, and not the same latency.
# So we describe the whole crowd, with **percentiles**.
# P50 is the latency that half of the requests stay within; P99 is the one that 99 of 100 stay within.
#
# **Your turn.** Write the percentile as a function.
# Definition: the smallest value in the list such that at least `percent` of all values are less than or equal to it.
# No interpolation: a latency that nobody saw is not a latency.


# %% gid="percentile" kind="answer"
def percentile_of(values, percent):
    """Return the smallest value with at least `percent` of all `values` at or below it."""
    ...
    ### BEGIN SOLUTION
    ordered = sorted(values)
    rank = int(np.ceil(percent / 100 * len(ordered)))
    return ordered[max(rank, 1) - 1]
    ### END SOLUTION


# %% gid="percentile_check" kind="test" points=2
check.function(
    "percentile",
    percentile_of,
    cases=[
        (([30, 10, 20, 40], 50), 20),
        (([30, 10, 20, 40], 51), 30),
        (([5.0], 99), 5.0),
        ((list(range(1, 101)), 99), 99),
        ((list(range(1, 102)), 99), 100),
    ],
)

# %% [markdown]
# The course's own loop does what you did, and keeps every sample.
# Here is your crowd, with its percentiles.

# %% tags=["nbval-ignore-output"]
one_client = closed_loop(triton, "text_classifier", clients=1, seconds=3)
ax = plots.latency_histogram(one_client)

# %% [markdown]
# ## Six words, so far four
#
# **Throughput** is how many requests are answered per second.
# For one client that waits for each answer, throughput and latency are two sides of one coin.
#
# **Your turn.** One client asks again as soon as it has its answer.
# Its mean latency is 4 ms.
# How many requests per second does it get?

# %% gid="one_client" kind="answer"
one_client_rps = ...  # requests/s
### BEGIN SOLUTION
one_client_rps = 1000 / 4
### END SOLUTION

# %% gid="one_client_check" kind="test" points=1
check.number(
    "one_client",
    one_client_rps,
    expected=1000 / 4,
    rel=0.01,
    unit="requests/s",
    hints="A second holds 1000 ms; how many waits of 4 ms fit in it?",
)

# %% [markdown]
# ## A crowd at one device
#
# Now the emulated GPU, `bert_t4`.
# Server, scheduler and network are real.
# Only the accelerator's computing time is played back, from latencies that NVIDIA published for a T4.
# It is one device: two requests cannot compute on it at the same time.

# %% tags=["nbval-ignore-output"]
alone = closed_loop(triton, "bert_t4", clients=1, seconds=3)
alone.summary()

# %% [markdown]
# One client, and no request ever waits for another.
#
# **Predict.** Now 8 clients instead of 1; each waits for its answer before it asks again.
# By which factor does the *throughput* grow?
# Write the number down before you run on.

# %% gid="predict_throughput" kind="answer"
predicted_factor = ...  # 1 means unchanged, 8 means eight times as many answers
### BEGIN SOLUTION
predicted_factor = 1.2
### END SOLUTION

# %% tags=["nbval-ignore-output"]
crowd = closed_loop(triton, "bert_t4", clients=8, seconds=3)
print(f"throughput {crowd.throughput_rps / alone.throughput_rps:.1f} times, ", end="")
print(f"mean latency {crowd.mean_latency_ms / alone.mean_latency_ms:.1f} times")

# %% gid="predict_throughput_check" kind="test" points=1
check.prediction(
    "predict_throughput", predicted_factor, measured=crowd.throughput_rps / alone.throughput_rps, within=0.6
)

# %% [markdown]
# A little more, because the device no longer idles while an answer travels home.
# Eight times as much it could never be: there is one device, and the other clients stand in line for it.

# %% tags=["nbval-ignore-output"]
ax = plots.request_timeline(crowd, first=24, one_at_a_time=True)

# %% [markdown]
# Each line is one request: waiting in grey, computing in blue.
# Look for two requests that compute at the same moment: there are none.
#
# ## A law for all queues
#
# John Little proved in 1961 that three averages always fit together:
#
# $$L = \lambda \cdot W$$
#
# $L$ is the mean number of requests in the system, $\lambda$ the throughput, $W$ the mean latency in *seconds*.
# It holds for a supermarket and for Triton.
#
# **Your turn.** Compute $L$ for `crowd` from its throughput and its mean latency.

# %% gid="little" kind="answer"
requests_in_system = ...
### BEGIN SOLUTION
requests_in_system = crowd.throughput_rps * crowd.mean_latency_ms / 1000
### END SOLUTION

# %% gid="little_check" kind="test" points=2
check.number(
    "little",
    requests_in_system,
    expected=crowd.mean_in_flight,
    rel=0.05,
    unit="requests",
    hints="Throughput is in requests per second, latency in milliseconds. Bring them to one unit.",
)

# %% [markdown]
# You computed it from two averages; the check counted the requests in flight, moment by moment.
# Both say: eight clients, eight requests in the system.

# %% tags=["measured"]
assert abs(crowd.mean_in_flight - 8) < 0.5
print("Requests in flight, counted: about 8")

# %% [markdown]
# ## The cure, in one glance
#
# If computing is the limit, let requests compute *together*.
# The next cell sends the same device 1 item, then 8 items in one request.
#
# **Predict.** The device needs about 2 ms for one item.
# How many ms for a **batch** of 8?

# %% gid="predict_batch" kind="answer"
predicted_batch_ms = ...
### BEGIN SOLUTION
predicted_batch_ms = 8
### END SOLUTION


# %%
def device_ms(batch):
    answer = triton.infer("bert_t4", {"item": np.zeros((batch, 1), np.int32)})
    return float(answer["device_ms"][0, 0])


print(f"1 item: {device_ms(1):.1f} ms, 8 items together: {device_ms(8):.1f} ms")

# %% gid="predict_batch_check" kind="test" points=1
check.prediction("predict_batch", predicted_batch_ms, measured=device_ms(8), within=0.5)

# %% [markdown]
# Eight together cost about half of eight apart, on this device with this model.
# Elsewhere they cost a tenth, or nothing is saved at all: lab 01 finds out when and why.
#
# ## A promise
#
# An **SLO**, a service level objective, is a promise about latency: *99 % of requests within 100 ms*.
# **Goodput** counts only the answers that keep it.
#
# **Your turn.** Eight clients were on the device.
# Which share of `crowd`'s answers came within 15 ms, as a number between 0 and 1?
# The latencies are in `crowd.latencies_ms`.

# %% gid="within_slo" kind="answer"
share_within_15_ms = ...
### BEGIN SOLUTION
share_within_15_ms = np.mean(crowd.latencies_ms <= 15)
### END SOLUTION

# %% gid="within_slo_check" kind="test" points=1
check.number(
    "within_slo",
    share_within_15_ms,
    expected=crowd.goodput_rps(15) / crowd.throughput_rps,
    abs=0.005,
    hints="A comparison gives an array of True and False; its mean is the share.",
)

# %% [markdown]
# ## On your own
#
# - Add clients until half of all answers need more than 50 ms.
#   Use Little's law to guess the number first.
# - Ask the classifier something it was not made for.
#   Where does it file a love letter?
#
# ## In practice
#
# - A "slow" server is most often a *queueing* one: count what is in flight before you blame the model.
# - Say which percentile, of how many requests, measured where.
#   "Latency is 20 ms" is not yet a statement.
#
# ## Further reading
#
# - J. D. C. Little, *A Proof for the Queuing Formula L = λW*, Operations Research 9(3), 1961.
# - Triton's documentation: *Quickstart* and *Architecture*.

# %% tags=["nbval-ignore-output"]
check.summary()

# %% tags=["nbval-ignore-output"]
dashboard()

# %% [markdown]
# **What you did**
#
# - Started a real Triton Inference Server on this computer and asked it something.
# - Timed your requests, read a tail, and put several clients on one device.
# - Checked a law of queues on data that you measured yourself.
#
# **What you learned**
#
# - Six words with exact meanings: *request*, *batch*, *latency*, *throughput*, *percentile*, *SLO*.
# - Why a busy server answers late, and why more clients do not make it faster.
