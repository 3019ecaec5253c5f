# ---
# jupyter:
#   batchlab:
#     title: Shape the traffic
#     level: intermediate
#     minutes: 75
#     tiers: [cpu, emulated]
#     needs: ["01_sweep_static_batches", "04_tune_dynamic_batching"]
#     summary: Serve requests of mixed sizes without computing padding, and a day's peak without paying for it at night.
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Shape the traffic
#
# **What you'll do**
#
# - Send texts of mixed length to a real batcher, watch its batches fall apart, and put them together again.
# - Count the padding that this costs, and cut it with length buckets that you choose.
# - Serve a whole day, once with a fixed fleet and once with one that follows the hour, and compare the bills.
#
# **What you'll learn**
#
# - Why only equal shapes meet in a batch, and what padding, buckets and ragged batches each cost.
# - What a peak costs for the rest of the day, and which knobs are worth turning by the hour.
#
# **What you'll need**
#
# - 75 minutes, labs 01 and 04.
# - Tiers: `cpu` for the texts, `emulated` for the day.

# %%
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from batchlab import arrivals, buckets, plots, server, text
from batchlab.grading import Lab
from batchlab.own_numbers import ShapeNumbers
from batchlab.plots.caption import caption
from batchlab.points import Knobs
from batchlab.slo import Slo, verdict
from batchlab.tune import Tuner, drive_server
from batchlab.workspace import home_dir

check = Lab("05_shape_the_traffic")
plots.use_style()

# %% [markdown]
# In a course your id stands here, and one question then asks for numbers of your own.
# Else leave it empty.

# %%
LEARNER = ""
mine = ShapeNumbers.of(LEARNER)

# %% tags=["nbval-ignore-output"]
triton = server.start(["text_encoder", "bert_t4"])
print(f"Triton {triton.version} at {triton.url}")

# %% [markdown]
# ## Requests have sizes
#
# The letters to a shop's support run from one word to half a page.
# A *token* is a word or a piece of one, and the encoder's work grows with their number.

# %%
TOKENIZER = text.load_tokenizer()
letters = text.messages()
order = np.random.default_rng(5).permutation(len(letters))
letters = [letters[i] for i in order]  # as they come: in no order
lengths = text.token_counts(letters, TOKENIZER)
print(f"{len(letters)} letters, median {np.median(lengths):g} tokens, longest {lengths.max()}")

# %%
ax = plt.figure(figsize=(7, 3)).add_subplot()
ax.hist(lengths, bins=np.arange(4, 62, 2), color=plots.COLOURS["compute"])
ax.set_xlabel("tokens in a letter")
ax.set_ylabel("letters")
ax.set_title("Many are short, and the longest are several times the median", loc="left")
caption(ax, [], note="counted from the course's own letters | nothing was measured")

# %% [markdown]
# ## Mixed shapes
#
# All letters arrive at once, 64 connections wide: the queue is always full.
# The batcher may join up to 16.


# %%
def burst(server, requests):
    """Send (model, inputs) pairs through 64 connections; return what each model did, and letters per second."""
    before = {model: server.statistics(model) for model in dict(requests)}
    started = time.perf_counter()
    with ThreadPoolExecutor(64) as crowd:
        list(crowd.map(lambda request: server.infer(*request), requests))
    rate = len(requests) / (time.perf_counter() - started)
    return {model: server.statistics(model) - then for model, then in before.items()}, rate


def as_requests(length=None):
    return [("text_encoder", text.padded([letter], length, TOKENIZER)) for letter in letters]


# %% tags=["nbval-ignore-output"]
triton.reconfigure("text_encoder", max_batch_size=16, max_queue_delay_microseconds=0)

# %% [markdown]
# **Predict.** Each request carries one letter at its own length.
# How large will the mean batch be?

# %% gid="predict_mixed" kind="answer"
predicted_mean_batch = ...  # between 1 and 16
### BEGIN SOLUTION
predicted_mean_batch = 1.2
### END SOLUTION

# %% tags=["nbval-ignore-output"]
mixed, mixed_rate = burst(triton, as_requests())
encoder = triton.provenance("text_encoder")
ax = plots.batch_histogram(mixed["text_encoder"], provenance=encoder)

# %% gid="predict_mixed_check" kind="test" points=1
check.prediction("predict_mixed", predicted_mean_batch, measured=mixed["text_encoder"].mean_batch, within=1.0)

# %% [markdown]
# The queue was full, and the batcher sent letters one by one.
# A batch is one array, and an array has one shape: Triton closes a batch as soon as the *next* request has another.
# The oldest request is never overtaken in search of a match.
#
# ## Pad to the longest
#
# Fill every letter up with zeros to 64 tokens, and mask them out.
# Now all shapes are equal.

# %% tags=["nbval-ignore-output"]
padded, padded_rate = burst(triton, as_requests(64))
ax = plots.batch_histogram(padded["text_encoder"], provenance=encoder)

# %%
assert padded["text_encoder"].mean_batch > 4 * mixed["text_encoder"].mean_batch
print("Equal shapes: the mean batch is more than four times as large.")

# %% [markdown]
# The batches are back.
# Are the letters answered faster?

# %% tags=["nbval-ignore-output"]
pd.Series({"own length": mixed_rate, "padded to 64": padded_rate}, name="letters/s (cpu)").round(0)

# %% [markdown]
# That depends on what a batch saves here.
# On few cores one letter keeps the processor busy, so a batch saves little, and padding is work like any other.
#
# **Predict.** Of all tokens that were just computed, which share was padding?

# %% gid="predict_padding" kind="answer"
predicted_padding = ...  # a share between 0 and 1
### BEGIN SOLUTION
predicted_padding = 0.7
### END SOLUTION

# %% gid="predict_padding_check" kind="test" points=1
check.prediction("predict_padding", predicted_padding, measured=1 - lengths.sum() / (64 * len(lengths)), within=0.15)

# %% [markdown]
# ## Pad to the longest of the batch
#
# No letter has 64 tokens.
# A batch need only be as wide as its own longest letter: `text_classifier` does so, *behind* its queue.
#
# **Your turn.** Write the share of computed tokens that are padding.
# Batches are formed in the order given; the last may be smaller.


# %% gid="padding_waste" kind="answer"
def padding_waste(lengths, batch_size):
    """Return padding / computed tokens, each batch padded to the longest of its own members."""
    ...
    ### BEGIN SOLUTION
    batches = [lengths[i : i + batch_size] for i in range(0, len(lengths), batch_size)]
    computed = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(lengths) / computed
    ### END SOLUTION


# %% gid="padding_waste_check" kind="test" points=2
check.function(
    "padding_waste",
    padding_waste,
    cases=[
        (([5, 5, 5, 5], 2), 0.0),
        (([10, 5], 2), 0.25),
        (([10, 5], 1), 0.0),
        (([4, 8, 12, 12], 2), 4 / 40),
        (([4, 8, 12], 2), 4 / 28),
    ],
    abs=1e-9,
    hint="Each batch computes (its longest) x (its number of letters), the last batch too.",
)

# %%
sizes = [1, 2, 4, 8, 16, 32]
waste = {
    "as they come": [padding_waste(lengths.tolist(), size) for size in sizes],
    "sorted by length": [padding_waste(sorted(lengths.tolist()), size) for size in sizes],
}
pd.DataFrame(waste, index=pd.Index(sizes, name="batch size")).astype(float).round(2)

# %% [markdown]
# Read down the first column: the larger the batch, the surer it holds one long letter, for which all others pay.
# The second column is out of reach for a server, since it would have to know all letters in advance.
# But it shows where to go: letters of *like* length should meet.
#
# ## Buckets
#
# A *bucket* takes the letters up to its bound and pads them to it.
#
# **Your turn.** `bounds` rise; a letter goes to the first bucket that holds it.
# A letter that no bucket holds is cut off, and goes to the last.


# %% gid="bucket_of" kind="answer"
def bucket_of(length, bounds):
    """Return the index of the first bucket whose bound is at least `length`, or of the last bucket."""
    ...
    ### BEGIN SOLUTION
    for index, bound in enumerate(bounds):
        if length <= bound:
            return index
    return len(bounds) - 1
    ### END SOLUTION


# %% gid="bucket_of_check" kind="test" points=2
check.function(
    "bucket_of",
    bucket_of,
    cases=[((length, (16, 32, 64)), index) for length, index in [(1, 0), (16, 0), (17, 1), (32, 1), (64, 2), (99, 2)]],
    hint="A bound lies inside its bucket, and buckets count from 0.",
)

# %% [markdown]
# **Your turn.** Choose the bounds of three buckets for these letters.
# The share of padding must be within a hundredth of the least that three buckets can reach.
# Search by hand or by machine; `lengths` holds the tokens of each letter.

# %% gid="bounds" kind="answer"
my_bounds = ...  # three rising numbers; the last must hold the longest letter
### BEGIN SOLUTION
pairs = [(a, b, 57) for a in range(8, 57) for b in range(a + 1, 57)]
computed = [np.asarray(bounds)[np.searchsorted(bounds, lengths)].sum() for bounds in pairs]
my_bounds = pairs[int(np.argmin(computed))]
### END SOLUTION


# %% gid="bounds_check" kind="test" points=3
def share_of_padding(bounds):
    return 1 - lengths.sum() / np.asarray(bounds)[np.searchsorted(bounds, lengths)].sum()


def try_bounds(bounds):
    bounds = [int(bound) for bound in bounds]
    if len(bounds) != 3 or sorted(set(bounds)) != bounds:
        return "three rising bounds are asked for."
    if bounds[-1] < lengths.max():
        return f"a letter of {lengths.max()} tokens fits into no bucket."
    longest = int(lengths.max())
    least = min(share_of_padding((a, b, longest)) for a in range(6, longest) for b in range(a + 1, longest))
    wasted = share_of_padding(bounds)
    return wasted <= least + 0.01 or f"{wasted:.0%} is padding, and {least:.0%} can be reached. Where are most letters?"


check.that("bounds", my_bounds, test=try_bounds)

# %% [markdown]
# ## What buckets save
#
# Count in milliseconds, not in tokens.
# Here the *client* forms batches of 16, in four ways, and Triton reports the time that it computed.

# %%
BOUNDS = (16, 24, 57)
own_bucket = np.searchsorted(BOUNDS, lengths)


def batches_of(indices, length=None):
    groups = [indices[i : i + 16] for i in range(0, len(indices), 16)]
    return [text.padded([letters[i] for i in group], length, TOKENIZER) for group in groups]


every = np.arange(len(letters))
ways = {
    "all padded to 64": batches_of(every, 64),
    "longest of the batch": batches_of(every),
    "three buckets": [b for k, bound in enumerate(BOUNDS) for b in batches_of(np.flatnonzero(own_bucket == k), bound)],
    "sorted": batches_of(np.argsort(lengths)),
}


# %% tags=["nbval-ignore-output"]
def computing_ms(batches):
    before = triton.statistics("text_encoder")
    for inputs in batches:
        triton.infer("text_encoder", inputs)
    done = triton.statistics("text_encoder") - before
    return sum(done.batch_compute_ms[size] * count for size, count in done.batches.items())


# Twice, in turn, and the better of the two: what else runs on this machine only ever adds time.
passes = [{way: computing_ms(batches) for way, batches in ways.items()} for _ in range(2)]
ms_per_letter = pd.DataFrame(passes).min() / len(letters)
tokens = pd.Series({way: sum(b["input_ids"].size for b in batches) for way, batches in ways.items()}) / len(letters)
pd.DataFrame({"tokens computed per letter": tokens.round(1), "ms per letter (cpu)": ms_per_letter.round(2)})

# %%
assert tokens["all padded to 64"] > 2 * tokens["three buckets"]
assert ms_per_letter["all padded to 64"] > 1.2 * ms_per_letter["three buckets"]
print("Three buckets compute less than half the tokens, in clearly less time.")

# %% [markdown]
# ## One queue, or one per bucket?
#
# Let the server form the batches again.
# First the simple way: the client pads each letter to its bucket's bound, and all go to one model.

# %% tags=["nbval-ignore-output"]
to_bound = [text.padded([letter], BOUNDS[k], TOKENIZER) for letter, k in zip(letters, own_bucket, strict=True)]
one_queue, _ = burst(triton, [("text_encoder", inputs) for inputs in to_bound])
print(f"three shapes in one queue: mean batch {one_queue['text_encoder'].mean_batch:.1f}")

# %% [markdown]
# Three shapes still break each other's batches.
# So each bucket becomes a *model*, with a queue of its own: the same network under three names.
#
# Each also gets its own limit, so that every batch may hold about the same work.
# **Your turn.** A batch may compute at most 512 tokens.
# How many letters may ride in a batch of each bucket in `BOUNDS`?

# %% gid="limits" kind="answer"
limits = [..., ..., ...]  # max_batch_size of the buckets 16, 24 and 57
### BEGIN SOLUTION
limits = [512 // bound for bound in BOUNDS]
### END SOLUTION

# %% gid="limits_check" kind="test" points=1
check.numbers("limits", limits, expected=[32, 21, 8], rel=0, hint="Round down: 22 letters of 24 tokens are 528 tokens.")

# %% tags=["nbval-ignore-output"]
own_queues = {}
if triton.embedded:
    folder = home_dir() / "buckets"
    names = buckets.write(folder, BOUNDS, token_budget=512)
    shelf = server.start(names, repository=folder)
    print((folder / names[0] / "config.pbtxt").read_text())
else:
    print(f"Left out: the buckets are models of a repository that the server at {triton.url} does not read.")
    print("To see this part, unset BATCHLAB_URL and restart the kernel: the embedded server does.")

# %% tags=["nbval-ignore-output"]
if triton.embedded:
    own_queues, _ = burst(shelf, [(names[k], inputs) for k, inputs in zip(own_bucket, to_bound, strict=True)])
    shelf.stop()
formed = {
    name: {"letters": own_queues[name].inferences, "mean batch": own_queues[name].mean_batch}
    for name in sorted(own_queues)
}
pd.DataFrame(formed).T.round(1)

# %%
if triton.embedded:
    batches_run = sum(done.executions for done in own_queues.values())
    assert batches_run < one_queue["text_encoder"].executions / 1.5
    print("A queue for each bucket: the same letters in far fewer batches.")

# %% [markdown]
# The rarer a bucket, the smaller its batches: every further bucket saves padding and thins a queue.
# And each holds a copy of the weights.
# Few buckets, then, with bounds where the letters are.
#
# ## Ragged batches
#
# `allow_ragged_batch` tells Triton that this input's shapes may differ within a batch.
# The requests are then handed over *together*, each with its own shape.
#
# **Predict.** What will it change for letters of mixed length?
# `"nothing"`: batches of one, as before.
# `"hand-over"`: full batches are handed to the model; whether that saves anything is up to the model.
# `"padding"`: full batches, since Triton pads them.

# %% gid="ragged" kind="answer"
ragged_changes = ...
### BEGIN SOLUTION
ragged_changes = "hand-over"
### END SOLUTION

# %% tags=["nbval-ignore-output"]
plain = triton.config("text_encoder")
ragged_inputs = tuple(replace(spec, extra="allow_ragged_batch: true") for spec in plain.inputs)
triton.load("text_encoder", plain.replace(inputs=ragged_inputs))
ragged, ragged_rate = burst(triton, as_requests())
triton.load("text_encoder", plain)
ax = plots.batch_histogram(ragged["text_encoder"], provenance=encoder)

# %%
assert ragged["text_encoder"].mean_batch > 4 * mixed["text_encoder"].mean_batch
print("Mixed lengths, and full batches.")

# %% gid="ragged_check" kind="test" points=1
check.choice(
    "ragged",
    ragged_changes,
    right="hand-over",
    because={
        "nothing": "look at the histogram: the batches are full.",
        "padding": "Triton never changes a tensor. Each request arrives with the shape that it was sent with.",
    },
)

# %% [markdown]
# Do not trust that histogram.
# This backend receives 16 letters of 16 lengths, and runs the network for each length on its own.
# Triton counts a batch of 16; the processor never saw one.
#
# What would help is a model that takes all letters as one long row of tokens, and where each begins.
# Triton's name for the second is a *batch input*, of kind `BATCH_ACCUMULATED_ELEMENT_COUNT`: where each *ends*.
#
# **Your turn.** Write it.


# %% gid="pack" kind="answer"
def pack(rows):
    """Return (all tokens in one list, running total of lengths: where each row ends)."""
    ...
    ### BEGIN SOLUTION
    flat = [token for row in rows for token in row]
    return flat, np.cumsum([len(row) for row in rows]).tolist()
    ### END SOLUTION


# %% gid="pack_check" kind="test" points=2
def packed(flat, ends):
    def compare(result):
        tokens, marks = result
        if list(tokens) != flat:
            return "the tokens of all rows follow each other, nothing between them."
        return list(marks) == ends or f"the rows end at {ends}, not {list(marks)}: a running total."

    return compare


check.function(
    "pack",
    pack,
    cases=[
        (([[7, 8, 9], [5], [1, 2]],), packed([7, 8, 9, 5, 1, 2], [3, 4, 6])),
        (([[4]],), packed([4], [1])),
    ],
)

# %% [markdown]
# A model that reads this form computes no padding at all.
# Kernels of large language models do: "variable length" or "packed" attention.
# Most networks exported to ONNX do not, and for them buckets remain.
#
# ## Images
#
# Photographs differ too, and a convolution's work grows with the *pixels*.
# A service's photographs are as wide as high, and come in three sizes.

# %%
pd.DataFrame({"pixels a side": [224, 320, 448], "% of the photographs": mine.shares})

# %% [markdown]
# **Your turn.** All are padded to 448 by 448.
# Which share of the computed pixels is padding?

# %% gid="pixels" kind="answer"
pixel_waste = ...
### BEGIN SOLUTION
small, middle, large = mine.shares
pixel_waste = 1 - (small * 224**2 + middle * 320**2 + large * 448**2) / 100 / 448**2
### END SOLUTION

# %% gid="pixels_check" kind="test" points=1
sides, shares = np.array([224, 320, 448]), np.array(ShapeNumbers.of(LEARNER).shares) / 100
check.number(
    "pixels",
    pixel_waste,
    expected=1 - (shares * sides**2).sum() / 448**2,
    rel=0.02,
    unit="share",
    hints={1 - (shares * sides).sum() / 448: "these are sides. A photograph's cost is its area."},
)

# %% [markdown]
# Images have a cure that texts lack: resize all of them to one shape before they queue.
# It costs accuracy where details matter, so measure that, too.
#
# ## Traffic has hours
#
# Sizes vary from request to request; rates vary over the day.
# Here is a day of 24 seconds: a second stands for an hour.

# %%
day = arrivals.diurnal(trough_rps=300, peak_rps=3000, seconds=24, seed=4)
by_hour = np.histogram(day.times_s, bins=np.arange(25))[0]  # requests/s in each hour
print(f"quietest hour {by_hour.min()}/s, busiest {by_hour.max()}/s, mean {by_hour.mean():.0f}/s")

# %%
ax = plots.rate_over_time(day, bin_s=0.5)

# %% [markdown]
# One device will not do.
# How much can one carry, with P99 within 100 ms?
# Lab 04's tuner knows; the device is the same emulated T4, max batch 32, max wait 0.

# %% tags=["nbval-ignore-output"]
SLO = Slo(p99_ms=100)
drive = drive_server(triton, "bert_t4")
tuner = Tuner("bert_t4", SLO, drive, arrivals.poisson, seconds=3, tolerance=0.15)
highest = tuner.highest_rate(Knobs(32, 0), 200, 1000)
capacity_rps = highest.rate_rps if highest else 200.0
print(f"one device carries about {capacity_rps:.0f} requests/s")
if tuner.sender_limited:
    print("Not the device but the sender was the limit: this machine is busy. Run this cell again when it is not.")

# %% [markdown]
# **Your turn.** How many devices does a rate need?
# Load none above `headroom` times its capacity, and keep at least one.


# %% gid="replicas" kind="answer"
def replicas(rate_rps, capacity_rps, headroom=0.8):
    """Return the least whole number of devices, at least 1."""
    ...
    ### BEGIN SOLUTION
    return max(1, int(np.ceil(rate_rps / (headroom * capacity_rps))))
    ### END SOLUTION


# %% gid="replicas_check" kind="test" points=2
check.function(
    "replicas",
    replicas,
    cases=[((900, 500), 3), ((400, 500), 1), ((401, 500), 2), ((0, 500), 1), ((1000, 500, 1.0), 2)],
    hint="Half a device cannot be rented: round up.",
)

# %% [markdown]
# A *static* fleet is as large as the busiest hour needs, all day.
# A fleet *by the hour* follows the rate.
#
# **Predict.** Which share of the static fleet's device-hours will the second one save?

# %% gid="predict_saving" kind="answer"
predicted_saving = ...  # a share between 0 and 1
### BEGIN SOLUTION
predicted_saving = 0.4
### END SOLUTION

# %% tags=["nbval-ignore-output"]
needed = np.maximum(1, np.ceil(by_hour / (0.8 * capacity_rps))).astype(int)
fixed = np.full(24, needed.max())
ax = plt.figure(figsize=(7, 3.4)).add_subplot()
ax.stairs(fixed, np.arange(25), color=plots.COLOURS["slo"], linestyle="--", lw=2.5, baseline=None, label="static fleet")
ax.stairs(needed, np.arange(25), fill=True, color=plots.COLOURS["transfer"], label="fleet by the hour")
ax.plot(
    np.arange(24) + 0.5,
    by_hour / capacity_rps,
    "o-",
    color=plots.COLOURS["offered"],
    ms=3,
    label="offered rate / capacity of one",
)
ax.set(xlabel="hour of the day", ylabel="devices", xlim=(0, 24), xticks=range(0, 25, 3), ylim=(0, fixed.max() * 1.1))
ax.set_title("Between the dashed line and the blue: paid, and not needed", loc="left")
ax.legend(loc="upper left", bbox_to_anchor=(0, -0.2), ncols=3)
caption(ax, [triton.provenance("bert_t4")])

# %% [markdown]
# **Your turn.** Compute the saving from the devices of each hour.


# %% gid="saving" kind="answer"
def saving(devices_by_hour):
    """Return the share of device-hours saved against a fleet of the busiest hour's size, kept all day."""
    ...
    ### BEGIN SOLUTION
    return 1 - sum(devices_by_hour) / (max(devices_by_hour) * len(devices_by_hour))
    ### END SOLUTION


# %% gid="saving_check" kind="test" points=2
check.function(
    "saving", saving, cases=[(([1, 1, 2, 4],), 0.5), (([3, 3],), 0.0), (([1, 2, 3, 2, 2],), 1 / 3)], abs=1e-9
)

# %% gid="predict_saving_check" kind="test" points=1
check.prediction("predict_saving", predicted_saving, measured=1 - needed.sum() / fixed.sum(), within=0.4)

# %% tags=["nbval-ignore-output"]
print(f"device-hours: static {fixed.sum()}, by the hour {needed.sum()}, saved {1 - needed.sum() / fixed.sum():.0%}")

# %%
assert needed.sum() < 0.8 * fixed.sum()
print("The fleet by the hour needs less than four fifths of the static fleet's device-hours.")

# %% [markdown]
# ## Does it still answer in time?
#
# Arithmetic promises; measure it.
# We play the whole day on *one device of the fleet*, which gets its share of each hour's requests.


# %%
def share_of_one(fleet):
    hours = [day.clip(h, h + 1).thin(1 / int(fleet[h]), seed=h) for h in range(24)]
    return arrivals.concat(*hours)


# %% tags=["nbval-ignore-output"]
runs = {
    name: drive(Knobs(32, 0), share_of_one(fleet)) for name, fleet in {"static": fixed, "by the hour": needed}.items()
}
pd.DataFrame(
    {
        name: {"requests": len(run.kept), "mean batch": run.server.mean_batch, "P99 ms": run.percentile_ms(99).value}
        | {"verdict": verdict(run, SLO).outcome}
        for name, run in runs.items()
    }
).T


# %% tags=["nbval-ignore-output"]
def by_hour_p99(run):
    rows = run.answered
    latency_ms = (rows["done_s"] - rows["intended_s"]) * 1000
    return latency_ms.groupby(rows["intended_s"].astype(int)).quantile(0.99)


ax = plt.figure(figsize=(7, 3.2)).add_subplot()
for (name, run), colour, style in zip(runs.items(), plots.shades("latency", 2), ("--", "-"), strict=True):
    tails = by_hour_p99(run)
    ax.plot(tails.index + 0.5, tails, style, color=colour, marker="o", ms=3, label=name)
ax.axhline(100, color=plots.COLOURS["slo"], linewidth=1, label="SLO")
ax.set(xlabel="hour of the day", ylabel="P99 of the hour (ms)", xlim=(0, 24), xticks=range(0, 25, 3), ylim=(0, None))
ax.set_title("One device of the fleet, through the day", loc="left")
ax.legend(loc="upper left", bbox_to_anchor=(0, -0.2), ncols=3)
caption(ax, [run.provenance for run in runs.values()])

# %%
assert len(runs["by the hour"].kept) > 1.2 * len(runs["static"].kept)
print("A device that comes and goes by the hour answers more requests for each hour that it is paid.")

# %% [markdown]
# The static fleet is gentle at night and paid for it.
# The fleet by the hour keeps each device at work; whether it still keeps the promise, the verdicts above say.
# Its risk is the edge of an hour: here the fleet changes in an instant, and a real device takes minutes to start.
#
# ## And the batcher's own knobs?
#
# If the number of devices should follow the hour, should the max wait?
# One device, at night and at noon.

# %% tags=["nbval-ignore-output"]
medians = {}
for wait_us in (0, 20_000):
    for hour, rate_rps in {"night": 40, "noon": 0.7 * capacity_rps}.items():
        run = drive(Knobs(32, wait_us), arrivals.poisson(rate_rps, 3, seed=8))
        medians[f"wait {wait_us // 1000} ms", hour] = run.percentile_ms(50).value
pd.Series(medians, name="P50 ms").unstack().round(1)

# %%
assert medians["wait 20 ms", "night"] > 2 * medians["wait 0 ms", "night"]
print("At night the longer wait more than doubles the median, and there is nobody to wait for.")

# %% [markdown]
# A max wait of 0 needs no timetable.
# When the device is busy, requests gather by themselves; when it is idle, nobody waits.
# On one device, then, there is little to win by changing its settings over the day: change the number of devices.
#
# ## A memo
#
# **Your turn**, eight sentences at most.
# Your manager says that letters are of all lengths and nights are quiet, and asks what to change first.
# A point each for these three:
#
# - a number of your own on padding, what you do about it, and what that costs;
# - a number of your own on the day;
# - a risk of following the hour, and a guard against it.

# %% [markdown] gid="memo" kind="manual" points=3
# *Your answer here.*
# <!-- BEGIN SOLUTION -->
# Rubric: one point for each of the three paragraphs' ideas, with a number from the learner's own notebook.
#
# Padded to 64 tokens, seven tenths of what we compute is padding.
# Three buckets cut the computed tokens to well under half.
# They cost two more copies of the weights, and a thinner queue for the rare long letters.
#
# The device-hours of a fleet by the hour are those printed above, well below those of the static fleet.
# It needs no change to the model, so I would start there.
#
# The risk is a rate that rises faster than devices start.
# I would scale up on a forecast, a quarter of an hour early, scale down late, and never go below two devices.
# <!-- END SOLUTION -->

# %% [markdown]
# ## On your own
#
# - Give the buckets a fourth bound.
#   What does it save in tokens, and what does it do to the mean batches?
# - Send the letters to `text_classifier` instead.
#   Its outputs `tokens` and `padded_to` tell what its own padding wastes.
# - Change `peak_rps` to 900.
#   When is a day too flat, or a fleet too small, for switching to pay?
#
# ## In practice
#
# - Draw the histogram of your request sizes before you touch a knob.
# - Queue before you pad: texts as strings all have one shape, and the model pads what it got.
# - Few buckets, each with a limit in tokens, not in requests.
# - Scale up early and down late, and keep a second device for the day that the first one fails.
#
# ## Further reading
#
# - Triton's documentation: *Ragged batching*, and *Model configuration*, section *Dynamic batcher*.
# - G.-I. Yu and others, *Orca*, OSDI 2022: batching of requests of unequal length, step by step.

# %% tags=["nbval-ignore-output"]
check.summary()

# %% [markdown]
# **What you did**
#
# - Sent texts of mixed length to a real batcher, watched its batches fall apart, and put them together again.
# - Counted the padding that this costs, and cut it with length buckets that you chose.
# - Served a whole day, once with a fixed fleet and once with one that follows the hour, and compared the bills.
#
# **What you learned**
#
# - Why only equal shapes meet in a batch, and what padding, buckets and ragged batches each cost.
# - What a peak costs for the rest of the day, and which knobs are worth turning by the hour.
