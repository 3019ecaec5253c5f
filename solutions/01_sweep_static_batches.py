# ---
# jupyter:
#   batchlab:
#     title: Sweep static batches
#     level: beginner
#     minutes: 75
#     tiers: [cpu, emulated, gpu]
#     needs: ["00_start_here"]
#     summary: Serve ResNet-50, send batches of 1, 8, 32 and 128, and find the knee of the curve.
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sweep static batches
#
# **What you'll do**
#
# - Serve ResNet-50 on Triton and classify photographs, one at a time, then in batches of 8, 32 and 128.
# - Measure latency and throughput at each size, and name the knee by a definition.
# - Repeat the sweep on three accelerators that you do not own, and explain the difference with two numbers.
#
# **What you'll learn**
#
# - What a batch buys, what it costs, and who pays.
# - Why the same model has its knee at 1 here and at 128 there.
#
# **What you'll need**
#
# - 75 minutes, and lab 00.
# - Tiers: `cpu`, `emulated`, and `gpu` where there is one.

# %%
import time

import numpy as np
import pandas as pd

from batchlab import plots, server, vision
from batchlab.gpu import gpus
from batchlab.grading import Lab
from batchlab.own_numbers import CurveNumbers
from batchlab.profiles import load_profiles
from batchlab.sweep import from_profile, static_sweep

BATCH_SIZES = (1, 8, 32, 128)
check = Lab("01_sweep_static_batches")
plots.use_style()

# %% [markdown]
# ## Deploy the model
#
# ResNet-50 looks at a photograph of 224 by 224 pixels and scores a thousand kinds of things.
# The first start exports it to ONNX; after that it loads in a second or two.

# %% tags=["nbval-ignore-output"]
vision.build()
triton = server.start(["resnet50", "resnet50_v100_eager", "resnet50_t4_trt", "bert_large_t4"])
print(f"Triton {triton.version} at {triton.url}: {', '.join(triton.loaded())}")

# %% [markdown]
# Here is what Triton knows about it: one file, in a format called `config.pbtxt`.

# %%
print(triton.config("resnet50").to_pbtxt())

# %% [markdown]
# `max_batch_size: 128` allows up to 128 images in one request.
# Nothing here asks Triton to combine requests: in this lab the *client* forms the batch.
# That is **static batching**, the simplest kind: a fixed size, and everyone waits until the batch is full.
#
# ## One photograph, end to end

# %% tags=["nbval-ignore-output"]
names, photographs = vision.photographs()
ax = plots.photographs(photographs, names)


# %%
def classify(images):
    """Send a batch of images, shape (batch, 224, 224, 3), and return the scores, shape (batch, 1000)."""
    return triton.infer("resnet50", {"image": images})["scores"]


scores = classify(photographs)
scores.shape

# %% tags=["nbval-ignore-output"]
if vision.has_imagenet_weights():
    print([vision.labels()[row.argmax()] for row in scores])
else:
    print("The weights are random (no network at build time): speed is real, labels mean nothing.")

# %% [markdown]
# **Predict.** How many milliseconds does this computer need for *one* image, from question to answer?

# %% gid="predict_single" kind="answer"
predicted_single_ms = ...
### BEGIN SOLUTION
predicted_single_ms = 30
### END SOLUTION

# %% [markdown]
# ## Write the client
#
# **Your turn.** Measure it yourself.
# Send the same batch `repeats` times, one after the other, and return the latencies in milliseconds.
# `vision.images(batch_size)` gives you the batch.
# `time.perf_counter()` is the clock to use; send one request first that you do not count.


# %% gid="time_batches" kind="answer"
def time_batches(send, batch_size, repeats):
    """Return `repeats` latencies in ms of `send(images)` for a batch of `batch_size` images."""
    ...
    ### BEGIN SOLUTION
    images = vision.images(batch_size)
    send(images)
    latencies_ms = []
    for _ in range(repeats):
        started = time.perf_counter()
        send(images)
        latencies_ms.append((time.perf_counter() - started) * 1000)
    return latencies_ms
    ### END SOLUTION


# %% gid="time_batches_check" kind="test" points=2
def try_client(client):
    seen = []

    def stopwatch(images):
        seen.append(len(images))
        time.sleep(0.2 if len(seen) == 1 else 0.02)

    latencies_ms = client(stopwatch, 4, 5)
    if latencies_ms is None:
        return None
    if len(latencies_ms) != 5:
        return "it should return one latency for each of the 5 repeats."
    if set(seen) != {4}:
        return f"it was asked for batches of 4 images and sent {sorted(set(seen))}."
    if max(latencies_ms) >= 150:
        return "the first, slow request is among the latencies. A warm-up request is sent, not counted."
    return True if 15 < np.median(latencies_ms) < 100 else "a request of 20 ms should read about 20. Milliseconds?"


check.that("time_batches", time_batches, test=try_client)

# %% tags=["nbval-ignore-output"]
single_ms = time_batches(classify, 1, 20) or [np.nan]
print(f"one image: median {np.median(single_ms):.1f} ms")

# %% [markdown]
# ## Sweep
#
# What you wrote is the heart of `static_sweep`.
# It does the same for each batch size, keeps every sample on disk, and asks Triton for its own account.


# %% tags=["nbval-ignore-output"]
def photos(batch):
    return {"image": vision.images(batch)}


cpu = static_sweep(
    triton, "resnet50", BATCH_SIZES, inputs=photos, seconds_per_size=6, min_requests=3, warmup_requests=1
)
cpu.table().round(1)


# %% gid="predict_single_check" kind="test" points=1
def try_guess(guess_ms):
    measured_ms = cpu.runs[1].percentile_ms(50).value
    within = measured_ms / 10 <= guess_ms <= measured_ms * 10
    return within or f"it took {measured_ms:.0f} ms: your guess is more than ten times off. Keep it, and read on."


check.that("predict_single", predicted_single_ms, test=try_guess)

# %% [markdown]
# Read the row of batch 128.
# Each of its images waited for the 127 others: the latency of the *batch* is the latency of *every* request in it.
#
# **Your turn.** From the mean latency of one batch, compute two numbers:
# the milliseconds of computing per image, and the images per second.


# %% gid="rates" kind="answer"
def rates(batch_size, batch_ms):
    """Return (ms per image, images per second) for batches of `batch_size` that take `batch_ms` each."""
    ...
    ### BEGIN SOLUTION
    return batch_ms / batch_size, batch_size / batch_ms * 1000
    ### END SOLUTION


# %% gid="rates_check" kind="test" points=2
check.function("rates", rates, cases=[((1, 20), (20, 50)), ((8, 40), (5, 200)), ((128, 640), (5, 200))], rel=0.01)

# %% [markdown]
# ## Two pictures
#
# First what a user feels: the latency of a request, whatever the size of the batch that it rides in.

# %% tags=["nbval-ignore-output"]
ax = plots.latency_against_batch(cpu)

# %% [markdown]
# Then what the owner of the machine feels: answers per second.

# %% tags=["nbval-ignore-output"]
ax = plots.throughput_against_batch(cpu)

# %% [markdown]
# Latency multiplied, throughput hardly moved.
# On a processor with few cores one image already keeps every core busy, so there is nothing left for a batch to fill.

# %% tags=["measured"]
assert cpu.runs[128].mean_latency_ms > 20 * cpu.runs[1].mean_latency_ms
print("On this processor a batch of 128 takes more than 20 times as long as one image.")

# %% [markdown]
# ## Name the knee
#
# "The knee" is where more batch stops paying.
# A word like that needs a definition, or two engineers will point at two places.
# Ours: *the smallest batch size that reaches at least 90 % of the best throughput in the sweep.*
#
# **Your turn.** Write it.


# %% gid="knee" kind="answer"
def knee(throughput_ips, share=0.9):
    """Return the smallest batch size whose throughput is at least `share` of the best.

    `throughput_ips` maps batch size to inferences per second.
    """
    ...
    ### BEGIN SOLUTION
    enough = share * max(throughput_ips.values())
    return min(batch for batch, ips in throughput_ips.items() if ips >= enough)
    ### END SOLUTION


# %% gid="knee_check" kind="test" points=2
check.function(
    "knee",
    knee,
    cases=[
        (({1: 50.0, 8: 52.0, 32: 51.0, 128: 49.0},), 1),
        (({1: 80.0, 8: 600.0, 32: 2100.0, 128: 3300.0},), 128),
        (({128: 1280.0, 8: 890.0, 1: 330.0, 32: 1160.0},), 32),
        (({1: 10.0, 2: 19.0, 4: 20.0}, 0.5), 1),
    ],
)

# %% [markdown]
# ## Accelerators that you do not own
#
# Three more models are loaded.
# Each is an emulated device that plays back published latencies.
# The server and the client are as real as before.

# %% tags=["nbval-ignore-output"]
EMULATED = ["resnet50_v100_eager", "resnet50_t4_trt", "bert_large_t4"]
profiles = {name: load_profiles()[triton.provenance(name).profile] for name in EMULATED}
pd.DataFrame(
    {name: [p.model, p.gpu, p.precision, p.framework, p.scope] for name, p in profiles.items()},
    index=["model", "GPU", "precision", "framework", "scope"],
).T

# %% [markdown]
# On one of them a batch of 128 answers tens of times as many items per second as single requests.
# On another it gains almost nothing.
#
# **Predict.** Which one gains most from batching?
# `"a"`: ResNet-50 on a V100, run eagerly from PyTorch.
# `"b"`: ResNet-50 on a T4, compiled with TensorRT.
# `"c"`: BERT-large with 384 tokens on a T4, compiled with TensorRT.

# %% gid="predict_gain" kind="answer"
most_gain = ...  # "a", "b" or "c"
### BEGIN SOLUTION
most_gain = "a"
### END SOLUTION

# %% tags=["nbval-ignore-output"]
sweeps = {name: static_sweep(triton, name, BATCH_SIZES, seconds_per_size=1.5) for name in EMULATED}
gains = {name: s.runs[128].throughput_ips / s.runs[1].throughput_ips for name, s in sweeps.items()}
pd.Series(gains, name="throughput at 128 against 1").round(1)

# %% gid="predict_gain_check" kind="test" points=1
check.choice(
    "predict_gain",
    most_gain,
    right="a",
    because={
        "b": "compiled, a single image is already fast: little fixed cost is left to share.",
        "c": "one text of 384 tokens in BERT-large fills the T4 already. A batch finds nothing idle.",
    },
)

# %% tags=["measured"]
assert gains["resnet50_v100_eager"] > 10
assert gains["bert_large_t4"] < 1.5
print("Eager on a V100 gains more than tenfold, BERT-large on a T4 less than a half more.")

# %% tags=["nbval-ignore-output"]
ax = plots.throughput_against_batch([cpu, *sweeps.values()], relative=True)

# %% [markdown]
# Four curves, four knees, and each owner would call another batch size "right".

# %% tags=["nbval-ignore-output"]
pd.Series({name: s.knee() for name, s in {"resnet50 (cpu)": cpu, **sweeps}.items()}, name="knee")

# %% [markdown]
# ## Why: a fixed cost, and a cost per item
#
# Each batch pays something once, whatever its size: launching kernels, Python, the driver.
# Then each item pays for itself.
#
# $$t(b) = \text{fixed} + \text{per item} \cdot b$$
#
# Shared by many, the fixed cost vanishes.
# What remains is the cost per item, and no batch can go below it.
#
# **Your turn.** Find both costs from two measurements.


# %% gid="affine" kind="answer"
def fixed_and_per_item(b1, t1_ms, b2, t2_ms):
    """Return (fixed_ms, per_item_ms) of the line through two points."""
    ...
    ### BEGIN SOLUTION
    per_item_ms = (t2_ms - t1_ms) / (b2 - b1)
    return t1_ms - per_item_ms * b1, per_item_ms
    ### END SOLUTION


# %% gid="affine_check" kind="test" points=2
check.function(
    "affine",
    fixed_and_per_item,
    cases=[((1, 11, 11, 21), (10, 1)), ((1, 3, 5, 5), (2.5, 0.5)), ((2, 8, 4, 16), (0, 4))],
    rel=0.001,
)

# %% [markdown]
# Try the line on a card that you have not measured; it runs ResNet-50 compiled.
# Two of its published latencies, at 1 and at 128, and the question is one in between.
# In a course your id stands here and chooses card and batch; else leave it empty.

# %%
LEARNER = ""
card_name, asked_batch = CurveNumbers.of(LEARNER).asked
card = load_profiles()[card_name]
print(f"{card.gpu}, {card.precision}: batch 1 {card.latency_ms(1):.2f} ms, batch 128 {card.latency_ms(128):.2f} ms")
print(f"asked: a batch of {asked_batch}")

# %% [markdown]
# **Predict.** How many ms does the batch take that is asked for?
# Use your function.

# %% gid="interpolate" kind="answer"
predicted_card_ms = ...  # of `asked_batch` images
### BEGIN SOLUTION
fixed_ms, per_item_ms = fixed_and_per_item(1, card.latency_ms(1), 128, card.latency_ms(128))
predicted_card_ms = fixed_ms + asked_batch * per_item_ms
### END SOLUTION

# %% gid="interpolate_check" kind="test" points=2
published_name, published_batch = CurveNumbers.of(LEARNER).asked
published_ms = load_profiles()[published_name].latency_ms(published_batch)
check.prediction("interpolate", predicted_card_ms, measured=published_ms, within=0.05)

# %% [markdown]
# Within five percent, from two points.
# The published number lay in the profile all along; you did not need it.

# %% tags=["nbval-ignore-output"]
ax = plots.fixed_and_per_item(card)

# %% [markdown]
# Where the yellow part is large, a batch pays.
# That is **overhead bound**: the device waits for its orders.
# Where only the blue part is left, it is **compute bound**, and a larger batch only makes people wait.
#
# ## A curve you have not seen
#
# A colleague serves BERT on an L4 and promises 20 ms per batch, device time.
# She wants the highest throughput inside that promise.
#
# **Your turn.** Write the choice as a function.
# It gets the allowed batch sizes, the latency of each, and the limit.
# If no size keeps the limit, return 0.


# %% gid="choose" kind="answer"
def choose_batch(latency_ms, limit_ms):
    """Return the batch size of the highest throughput whose latency is at most `limit_ms`.

    `latency_ms` maps batch size to the latency of one batch, in ms.
    """
    ...
    ### BEGIN SOLUTION
    allowed = {b: b / ms for b, ms in latency_ms.items() if ms <= limit_ms}
    return max(allowed, key=allowed.get) if allowed else 0
    ### END SOLUTION


# %% gid="choose_check" kind="test" points=3
l4 = load_profiles()["bertbase128-fp16-l4"]
l4_ms = {int(batch): float(l4.latency_ms(batch)) for batch in l4.batch_sizes}
fastest = min((b for b in l4_ms if l4_ms[b] <= 20), key=lambda b: l4_ms[b] / b)
check.function(
    "choose",
    choose_batch,
    cases=[
        (({1: 5.0, 8: 10.0, 32: 30.0}, 20), 8),
        (({1: 5.0, 8: 10.0, 32: 30.0}, 30), 32),
        (({1: 4.0, 8: 40.0}, 50), 1),
        (({1: 5.0, 8: 10.0}, 2), 0),
        ((l4_ms, 20), fastest),
    ],
)

# %% [markdown]
# The largest batch inside the limit is often the answer, but not always.
# Look at her curve: past its best, this device answers *fewer* items per second.

# %% tags=["nbval-ignore-output"]
ax = plots.throughput_against_batch(from_profile(l4, tuple(l4_ms)))

# %% [markdown]
# ## The mistake that everybody makes once
#
# A team finds its highest throughput at batch 128 and ships it.
# Its users were promised 50 ms.
#
# **Your turn.** They serve the compiled T4 that you measured: `sweeps["resnet50_t4_trt"]`.
# Which of the four batch sizes should they have shipped?

# %% tags=["nbval-ignore-output"]
sweeps["resnet50_t4_trt"].table().round(1)

# %% gid="ship" kind="answer"
ship_batch = ...
### BEGIN SOLUTION
ship_batch = 32
### END SOLUTION

# %% gid="ship_check" kind="test" points=1
check.choice(
    "ship",
    ship_batch,
    right=32,
    because={
        128: "its throughput is the highest and every request takes twice the promise. Set the limit first.",
        8: "it keeps the promise and leaves throughput on the table.",
        1: "it is the fastest answer, and the dearest one.",
    },
)

# %% tags=["nbval-ignore-output"]
ax = plots.throughput_latency([sweeps["resnet50_t4_trt"]], slo=50)

# %% [markdown]
# ## Tell a colleague
#
# **Your turn**, in your own words, five sentences at most.
# The sweep on your processor and the sweep on the V100 have their knees far apart.
# Explain to a colleague why.
# Use the words *fixed cost*, *cost per item*, *compute bound*, *overhead bound*, and two numbers that you measured.
#
# | points | what the answer holds |
# |---|---|
# | 1 | both knees named, each with a measured number |
# | 1 | the fixed cost explained as what a batch shares |
# | 1 | compute bound and overhead bound put to the right device |

# %% [markdown] gid="explain" kind="manual" points=3
# *Your answer here.*
# <!-- BEGIN SOLUTION -->
# On my processor the knee is at 1: a batch of 128 answered hardly more images per second than single images.
# One image keeps all cores busy, so the time is nearly all cost per item: compute bound.
# On the V100 run eagerly the knee is at 128, with more than tenfold the throughput of single images.
# There the fixed cost of launching each layer from Python dominates at batch 1: overhead bound, paid once per batch.
# <!-- END SOLUTION -->

# %% [markdown]
# ## A GPU of your own
#
# Where this machine has an NVIDIA GPU, the next cell sweeps it with the same code.
# Elsewhere it says so and moves on.

# %% tags=["nbval-ignore-output"]
if gpus():
    triton.load("resnet50_cuda")
    gpu = static_sweep(triton, "resnet50_cuda", BATCH_SIZES, inputs=photos)
    ax = plots.throughput_against_batch([cpu, gpu], relative=True)
else:
    print("No NVIDIA GPU here: the three emulated devices stand in for it.")

# %% [markdown]
# ## On your own
#
# - Add the sizes 2, 4 and 16 to the sweep of the V100.
#   Between which two does the curve bend?
# - Change `share` in your knee to 0.8 and to 0.99.
#   Which of the four knees move, and what does that say about the curve?
# - Point the same sweep at a model of your own: `batchlab sweep MODEL --url HOST:PORT`.
#
# ## In practice
#
# - Set the latency limit first, then look for throughput inside it.
# - A sweep with one client shows what the *device* can do.
#   What users feel under load also holds a queue: labs 02 and 03.
# - Nobody wants to form batches by hand in the client.
#   The server can do it: lab 04.
#
# ## Further reading
#
# - Triton's documentation: *Model configuration* and *Optimization*.
# - V. Satopää and others, *Finding a "Kneedle" in a Haystack*, ICDCSW 2011, for a knee without a threshold.

# %% tags=["nbval-ignore-output"]
check.summary()

# %% [markdown]
# **What you did**
#
# - Served ResNet-50 on Triton and classified photographs, one at a time, then in batches of 8, 32 and 128.
# - Measured latency and throughput at each size, and named the knee by a definition.
# - Repeated the sweep on three accelerators that you do not own, and explained the difference with two numbers.
#
# **What you learned**
#
# - What a batch buys, what it costs, and who pays.
# - Why the same model has its knee at 1 here and at 128 there.
