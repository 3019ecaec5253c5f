# ---
# jupyter:
#   batchlab:
#     title: Speed up the model
#     level: advanced
#     minutes: 100
#     tiers: [simulated, cpu, gpu]
#     needs: ["01_sweep_static_batches", "04_tune_dynamic_batching"]
#     summary: Fusion, INT8 and FP16 behind an accuracy gate; a larger batch inside the same SLO, and its price.
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Speed up the model
#
# **What you'll do**
#
# - Run one network through PyTorch, `torch.compile` and ONNX Runtime, and watch nodes fuse, one by one.
# - Make it smaller in INT8 and FP16, and put an accuracy gate in front of it.
# - Swap a faster model into a running Triton.
# - Follow a shorter batch through a larger batch to a lower price, under the same SLO.
#
# **What you'll learn**
#
# - What each technique changes, and why its gain depends on the batch and on the processor.
# - How to judge a small loss of accuracy with few labelled examples.
# - Why a kernel that is twice as fast rarely makes a request twice as fast, and may still halve the bill.
#
# **What you'll need**
#
# - 100 minutes, labs 01 and 04.
# - Tiers: `cpu` for what runs here, `simulated` for the chain to the cost, `gpu` where there is one.

# %%
from functools import partial

import pandas as pd

from batchlab import cpu, deployment, fusion, gate, networks, plots, race, server, variants
from batchlab.grading import Lab
from batchlab.provenance import Provenance

check = Lab("06_speed_up_the_model")
plots.use_style()

# %% tags=["nbval-ignore-output"]
triton = server.start(["text_encoder", "text_classifier"], extra_args=deployment.shelf())
print(f"Triton {triton.version} at {triton.url}")
print(cpu.read())

# %% [markdown]
# The network of this lab sorts customers' messages: MiniLM, six layers, in ONNX and in PyTorch.
# The same weights, so the same answers, whatever runs them.

# %%
network = networks.text_encoder()
exam, right = networks.exam()
print(f"{len(right)} labelled messages that no training saw, {exam['input_ids'].shape[1]} tokens long at most")

# %% [markdown]
# ## Fuse the graph
#
# As exported, each small step is a node: it reads its input from memory and writes its output back.
# *Fusion* replaces neighbours by one node that does it all in one pass.

# %%
fused = fusion.fuse(network.path, "extended")
print(fused)
fused.table()

# %% [markdown]
# **Your turn.** Two additions and a normalisation became one node, twelve times.
# How many nodes did that one pattern save?

# %% gid="saved" kind="answer"
nodes_saved = ...
### BEGIN SOLUTION
nodes_saved = 12 * (3 - 1)
### END SOLUTION

# %% gid="saved_check" kind="test" points=1
pattern = fused.table().query("became == 'SkipLayerNormalization'")
check.number("saved", nodes_saved, expected=int(pattern["saved"].sum()), rel=0, hint="Three nodes leave, one comes.")

# %% [markdown]
# What did *not* fuse tells as much.
# The activation GELU is still five nodes: the runtime's pattern is not the one that this exporter wrote.
# A rewriting pass made for transformers knows more patterns; Hugging Face Optimum calls the same one.

# %% tags=["nbval-ignore-output"]
rewritten = variants.make(network, "transformer")

# %%
refused = fusion.fuse(rewritten.path, "extended")
counts = {"as exported": fused.before, "fused": fused.after, "rewritten, then fused": refused.after}
nodes = pd.DataFrame({label: pd.Series(found) for label, found in counts.items()}).fillna(0).astype(int)
nodes[nodes["as exported"] != nodes["rewritten, then fused"]]

# %% [markdown]
# The big multiplications, `MatMul` and `FusedMatMul` together, are as many as before.
# Fusion saves trips to memory, not arithmetic.
#
# ## One network, many ways
#
# Next: a row for each technique.
# `torch.compile` writes C++ for this very network, so it needs a compiler; the first time takes it a while.

# %% tags=["nbval-ignore-output"]
from batchlab import compiler

wanted = ["eager", "onnx-none", "onnx-basic", "onnx-extended", "onnx-all", "transformer"]
wanted += ["int8-dynamic", "int8-static", "fp16"]
if compiler.problem():
    print("Left out:", compiler.problem())
else:
    wanted.insert(1, "compiled")
made = {technique: variants.make(network, technique) for technique in wanted}
for variant in made.values():
    print(variant)

# %% [markdown]
# **Predict.** Fusing sums in another order.
# What happens to the answers? `"identical"`, `"last digits"` or `"less accurate"`.

# %% gid="digits" kind="answer"
predicted_digits = ...
### BEGIN SOLUTION
predicted_digits = "last digits"
### END SOLUTION

# %% tags=["nbval-ignore-output"]
scores = {technique: variant.run(exam) for technique, variant in made.items()}
gaps = {technique: gate.agreement(scores["eager"], found) for technique, found in scores.items()}
for technique, found in gaps.items():
    print(f"{technique:14} {found}")

# %% gid="digits_check" kind="test" points=1
check.choice(
    "digits",
    predicted_digits,
    right="last digits",
    because={
        "identical": "floating-point addition is not associative: another order, other last digits.",
        "less accurate": "every class stays the same: the order of additions moves digits that nobody reads.",
    },
)

# %%
assert all(
    gaps[name].same_top == len(right) and gaps[name].worst_distance < 1e-4 for name in ("onnx-all", "transformer")
)
assert gaps["int8-static"].worst_distance > 100 * gaps["onnx-all"].worst_distance
print("Fusing moves the last digits; INT8 moves more than a hundred times as much.")

# %% [markdown]
# ## The race
#
# All run in turns, in an order drawn anew each round.
# A slow second of the machine is then slow for everybody, and a ratio within a round is fair.


# %% tags=["nbval-ignore-output"]
def run_race(batch, seconds):
    feed = network.feed(batch)
    return race.race({name: partial(variant.run, feed) for name, variant in made.items()}, seconds=seconds)


races = {batch: run_race(batch, seconds) for batch, seconds in ((1, 3), (8, 5), (32, 9))}
here = Provenance("cpu", network.name, server="no server: in this process")
ax = plots.speedup_by_technique(races, "eager", provenance=here)

# %% [markdown]
# ## Behind the gate
#
# Speed is half of the table.
# Both models sat the same exam, so only the messages count on which they *differ*.
#
# **Your turn.** Count them: `lost`, where the old model is right and the new one wrong, and `won`, the other way round.


# %% gid="lost_won" kind="answer"
def lost_and_won(before, after):
    """Return (lost, won); `before` and `after` are arrays of True and False, the same messages in the same order."""
    ...
    ### BEGIN SOLUTION
    return int((before & ~after).sum()), int((~before & after).sum())
    ### END SOLUTION


# %% gid="lost_won_check" kind="test" points=2
truth = {name: found.argmax(axis=1) == right for name, found in scores.items()}
before, after = truth["eager"], truth["eager"].copy()
after[:4] = ~after[:4]
after[-1] = ~after[-1]
counted = gate.judge(before, after, allowed_loss=0)
expected = (counted.lost, counted.won)


def as_counted(found):
    return tuple(found) == expected or f"{found} instead of {expected}: (right before and wrong now, the reverse)."


check.function("lost_won", lost_and_won, cases=[((before, after), as_counted)])

# %% [markdown]
# The gate turns the two counts into a confidence interval of the change of accuracy.
# It passes when even the worst end of it loses no more than you allowed.
# Allow three points of a hundred.

# %% tags=["nbval-ignore-output"]
decisions = {name: gate.judge(truth["eager"], truth[name], allowed_loss=0.03) for name in made}
for name in ("onnx-all", "fp16", "int8-dynamic", "int8-static"):
    print(f"{name}\n    {decisions[name]}")

# %% tags=["nbval-ignore-output"]
table = pd.DataFrame({f"batch {batch}": found.speedup("eager")["speedup"] for batch, found in races.items()}).round(2)
table["accuracy"] = [f"{decisions[name].right_after / len(right):.1%}" for name in table.index]
table["gate"] = [decisions[name].outcome for name in table.index]
table["MB"] = [round(made[name].megabytes) for name in table.index]
print("times as fast as eager,", here.caption())
table

# %% [markdown]
# **Your turn.** Which may be served today?
# A set of their names, out of those in the table.

# %% gid="served" kind="answer"
may_be_served = ...  # for example {"onnx-none", "int8-static"}
### BEGIN SOLUTION
may_be_served = {name for name, decision in decisions.items() if decision.passed}
### END SOLUTION


# %% gid="served_check" kind="test" points=2
def only_passed(names):
    wrong = [name for name in names if name not in decisions or not decisions[name].passed]
    if wrong:
        return f"{', '.join(sorted(wrong))} did not pass the gate: NEED MORE DATA is no PASS."
    missing = [name for name, decision in decisions.items() if decision.passed and name not in names]
    return not missing or f"{', '.join(missing)} passed as well."


check.that("served", may_be_served, test=only_passed)

# %% [markdown]
# *NEED MORE DATA* is an honest answer: with so few messages one lost answer weighs more than a point.
# Label some hundred more, and ask again.
#
# ## Calibrate
#
# Static INT8 fixes the range of every activation beforehand, by watching some examples.
# A range that is too wide wastes the 256 steps, one that is too narrow cuts values off.
#
# **Your turn.** Which messages should it watch?
# `"exam"`: the labelled ones of the gate.
# `"training"`: some that the model was trained on.
# `"random"`: token ids drawn at random.

# %% gid="watch" kind="answer"
watched = ...
### BEGIN SOLUTION
watched = "training"
### END SOLUTION

# %% gid="watch_check" kind="test" points=1
check.choice(
    "watch",
    watched,
    right="training",
    because={
        "exam": "then the gate judges what was fitted to it, and its accuracy promises nothing for tomorrow.",
        "random": "noise has other ranges than messages: the steps are spent where no message ever is.",
    },
)

# %% [markdown]
# ## Why INT8 may disappoint
#
# The file shrinks and the bytes from memory with it.
# Whether the *arithmetic* is faster, the processor decides.

# %% tags=["nbval-ignore-output"]
processor = cpu.read()
print(processor)
print("weights kept to 7 bits, so that sums cannot saturate:", processor.saturates)

# %% [markdown]
# **Your turn.** What must the processor have for INT8 to pay at a large batch?
# `"memory"`: a large memory.
# `"instruction"`: one that multiplies bytes and adds into 32 bits.
# `"cores"`: many cores.

# %% gid="why_int8" kind="answer"
needed = ...
### BEGIN SOLUTION
needed = "instruction"
### END SOLUTION

# %% gid="why_int8_check" kind="test" points=1
check.choice(
    "why_int8",
    needed,
    right="instruction",
    because={
        "memory": "INT8 needs less of it. A large batch computes for long on each weight that it has read.",
        "cores": "FP32 would use as many cores: the ratio stays.",
    },
)

# %% [markdown]
# VNNI and AMX are such instructions.
# Without them AVX2 needs three for the same, and between any two INT8 layers numbers are converted.
#
# FP16 halves the file as well.
# Hardly any processor computes in it, so ONNX Runtime converts back and forth; a GPU has units of its own for it.
#
# ## Hugging Face Optimum
#
# Optimum wraps the tools that you just used.
# Its current release for ONNX asks for an older `transformers` than this course pins, so here is the call, not run:
#
# ```python
# from optimum.onnxruntime import ORTModelForFeatureExtraction, ORTQuantizer
# from optimum.onnxruntime.configuration import AutoQuantizationConfig
#
# model = ORTModelForFeatureExtraction.from_pretrained("sentence-transformers/all-MiniLM-L6-v2", export=True)
# quantizer = ORTQuantizer.from_pretrained(model)
# quantizer.quantize(save_dir="int8", quantization_config=AutoQuantizationConfig.avx2(is_static=False))
# ```
#
# Underneath it calls `onnxruntime.quantization.quantize_dynamic`, as `variants.make(network, "int8-dynamic")` does.
#
# ## ResNet-50
#
# Convolutions fuse differently: each takes its activation in.

# %%
vision_network = networks.resnet50()
fusion.fuse(vision_network.path, "extended").table().head(1)

# %% tags=["nbval-ignore-output"]
pictured = {name: variants.make(vision_network, name) for name in ("onnx-none", "onnx-all", "int8-static")}
views = {"image": networks.views(12)}
answers = {name: variant.run(views) for name, variant in pictured.items()}
for name, found in answers.items():
    print(f"{name:12} {gate.agreement(answers['onnx-none'], found)}")

# %% tags=["nbval-ignore-output"]
image_races = {}
for batch, seconds in ((1, 3), (8, 6)):
    feed = vision_network.feed(batch)
    runners = {name: partial(variant.run, feed) for name, variant in pictured.items()}
    image_races[batch] = race.race(runners, seconds=seconds)
of_images = Provenance("cpu", vision_network.name, server="no server: in this process")
ax = plots.speedup_by_technique(image_races, "onnx-none", provenance=of_images)

# %% [markdown]
# ImageNet's labels are not shipped, so there is no accuracy here, only agreement with the network as it was.
# A gate without labels can refuse a broken model; it cannot pass a good one.
#
# ## On a GPU
#
# Where there is an NVIDIA GPU, PyTorch runs on it in FP32 and FP16.
# Otherwise published figures tell: the caption says whose time they are.

# %% tags=["nbval-ignore-output"]
from batchlab import gpu, profiles
from batchlab.curve import from_profile

if gpu.gpus() and not gpu.torch_problem():
    on_gpu = {name: variants.make(vision_network, name) for name in ("cuda", "cuda-fp16")}
    gpu_races = {}
    for batch in (1, 8, 32):
        feed = vision_network.feed(batch)
        gpu_races[batch] = race.race({name: partial(one.run, feed) for name, one in on_gpu.items()}, seconds=3)
    of_gpu = Provenance("gpu", vision_network.name, server="no server: in this process")
    ax = plots.speedup_by_technique(gpu_races, "cuda", provenance=of_gpu)
else:
    names = ["rn50-amp-t4-eager", "rn50-fp16-t4-triton", "rn50-fp16-a10", "rn50-int8-a10"]
    published = {name: from_profile(profiles.load_profiles()[name], (1, 8, 32, 128)) for name in names}
    ax = plots.throughput_against_batch(published, knee=False)

# %% [markdown]
# TensorRT compiles a network for one GPU: it fuses, picks kernels by trying, and takes FP16 or INT8.
# In Triton it is a line of the model's configuration, `execution_accelerators`, or a model of the backend `tensorrt`.

# %%
known = profiles.load_profiles()
eager, compiled = known["rn50-amp-t4-eager"], known["rn50-fp16-t4-triton"]
print(f"eager:    {eager.description}\ncompiled: {compiled.description}")
gains = {batch: eager.latency_ms(batch) / compiled.latency_ms(batch) for batch in (1, 8, 32)}
print("times as fast on a T4, published:", {batch: round(gain, 2) for batch, gain in gains.items()})

# %%
assert gains[1] > 4
assert gains[32] < 1.1
print("More than four times as fast at batch 1, and hardly at batch 32.")

# %% [markdown]
# At batch 1 the GPU waits for Python to launch the next kernel; compiled, there is little to launch.
# At batch 32 each kernel lasts long enough to hide that.
# Measure a technique at the batch that you serve.
#
# ## From kernel to request
#
# **Your turn.** A request spends a share of its time in the model, and the model becomes faster by a factor.
# How much faster is the request?


# %% gid="amdahl" kind="answer"
def request_speedup(share, factor):
    """Return how many times as fast the request is; `share` of its time is the model's."""
    ...
    ### BEGIN SOLUTION
    return 1 / (1 - share + share / factor)
    ### END SOLUTION


# %% gid="amdahl_check" kind="test" points=2
check.function(
    "amdahl",
    request_speedup,
    cases=[((1.0, 2.0), 2.0), ((0.5, 2.0), 4 / 3), ((0.6, 3.0), 5 / 3), ((0.0, 9.0), 1.0)],
    rel=0.001,
    hint="Add up the times: what is not the model's stays as it is.",
)

# %% [markdown]
# ## Swap it into the running server
#
# The faster network becomes a model beside the old one, with the same inputs and outputs.
# `text_classifier`, which users ask, knows its encoder by a parameter.

# %% tags=["nbval-ignore-output"]
name = deployment.place(made["transformer"])
if triton.embedded:
    triton.load(name)
    print(name, "is ready beside", [model for model in triton.loaded() if model != name])

# %% [markdown]
# **Your turn.** Which change makes `text_classifier` ask the new encoder?
# The keys are those of `reconfigure`; its parameters are `encoder`, `labels` and `max_tokens`.

# %% gid="swap" kind="answer"
change = ...  # for example {"max_batch_size": 16}
### BEGIN SOLUTION
change = {"parameters": {"encoder": "text_encoder_transformer"}}
### END SOLUTION

# %% tags=["nbval-ignore-output"]
from batchlab import arrivals, text
from batchlab.load import open_loop

asked = [text.as_input([message]) for message in text.sample(64, seed=0)]
load = partial(open_loop, triton, "text_classifier", inputs=asked, warmup_s=0.5, progress=False)
old_run = load(arrivals.poisson(12, 5, seed=6))


# %% gid="swap_check" kind="test" points=2
def try_swap(wanted):
    if not triton.embedded:
        return wanted.get("parameters", {}).get("encoder") == name or f"The encoder is to be {name}."
    triton.reconfigure("text_classifier", **wanted)
    now = triton.config("text_classifier").parameters["encoder"]
    if now != name:
        return f"text_classifier still asks {now}."
    answer = triton.infer("text_classifier", text.as_input(["Where is my parcel?"]))
    return answer["label"].tolist() == [[b"delivery"]] or "The new encoder answers something else."


check.that("swap", change, test=try_swap)

# %% tags=["nbval-ignore-output"]
new_run = load(arrivals.poisson(12, 5, seed=6))
rows = {"as exported": old_run, triton.config("text_classifier").parameters["encoder"]: new_run}
pd.DataFrame({key: dict(run.describe()) for key, run in rows.items()}).T[["p50_ms", "p99_ms", "throughput_rps"]]

# %% [markdown]
# No restart, no new name for users, and one call takes it back.
# The gain of a request is smaller than that of the network: your formula says why.
#
# ## Same SLO, larger batch
#
# A request may just miss a batch, wait for it, and then ride in the next: two batches long.
# So the largest batch inside an SLO is the largest whose time is at most half of it.
#
# **Your turn.** Find it.


# %% gid="largest" kind="answer"
def largest_batch(batch_ms, slo_ms):
    """Return the largest batch whose time is at most half the SLO; `batch_ms` maps batch size to ms."""
    ...
    ### BEGIN SOLUTION
    return max(size for size, time_ms in batch_ms.items() if time_ms <= slo_ms / 2)
    ### END SOLUTION


# %% gid="largest_check" kind="test" points=2
check.function(
    "largest",
    largest_batch,
    cases=[(({1: 2, 8: 8, 16: 17, 32: 34}, 40), 16), (({1: 2, 8: 8, 16: 17, 32: 34}, 10), 1), (({4: 5, 8: 9}, 18), 8)],
)

# %% [markdown]
# The same rule on this processor, for a promise of 100 ms.
# What does each technique give at batch 1, and at the largest batch inside?

# %% tags=["nbval-ignore-output"]
import numpy as np

sizes, inside = np.arange(1, 33), {}
for technique in made:
    times = np.interp(sizes, list(races), [found.median_ms(technique) for found in races.values()])
    fits = int(max(sizes[times <= 100 / 2], default=1))
    inside[technique] = {"batch 1, ms": times[0], "largest batch": fits, "texts/s there": 1000 * fits / times[fits - 1]}
print("times between batch 1, 8 and 32 are interpolated |", here.caption())
pd.DataFrame(inside).T.round(1)

# %% [markdown]
# Take BERT on a T4, FP16 and INT8, both published, and promise that 99 % are answered within 40 ms.
# The twin finds the highest rate of each that keeps the promise, at the largest batch that fits.

# %%
from batchlab import simulate, twin
from batchlab.points import Knobs
from batchlab.slo import Slo
from batchlab.tune import Tuner

PROMISE = Slo(p99_ms=40)


def play(profile, knobs, traffic):
    model = twin.model(profile, max_batch_size=knobs.max_batch_size, max_delay_ms=0)
    return simulate.replay([simulate.Stream(model, traffic)], warmup_s=0.5)[model.name].run


def highest_rate(profile, batch):
    drive = partial(play, profile)
    tuner = Tuner(profile.name, PROMISE, drive, lambda rate, s, seed: arrivals.poisson(rate, s, seed=seed), seconds=20)
    top = profile.throughput_ips(batch)
    return tuner.highest_rate(Knobs(batch, 0), 0.2 * top, top).rate_rps


# %%
chain = {}
for label, key in {"FP16": "bertbase128-fp16-t4", "INT8": "bertbase128-int8-t4"}.items():
    profile = known[key]
    times = {int(size): profile.latency_ms(size) for size in profile.batch_sizes}
    fits = max(size for size, time_ms in times.items() if time_ms <= PROMISE.limit_ms / 2)
    chain[label] = {"batch 1, ms": times[1], "largest batch": fits, "its ms": times[fits]}
    chain[label]["rate within the SLO, 1/s"] = highest_rate(profile, fits)
print("simulated, from published times of", known["bertbase128-int8-t4"].description)
pd.DataFrame(chain).T.round(1)

# %% [markdown]
# **Your turn.** A machine costs so many dollars an hour and answers so many requests a second.
# What do 1000 answers cost?


# %% gid="price" kind="answer"
def usd_per_1000(usd_per_hour, rate_rps):
    """Return dollars for 1000 answers."""
    ...
    ### BEGIN SOLUTION
    return usd_per_hour / (rate_rps * 3600) * 1000
    ### END SOLUTION


# %% gid="price_check" kind="test" points=1
check.function(
    "price", usd_per_1000, cases=[((0.36, 100), 0.001), ((3.6, 1000), 0.001), ((0.53, 500), 0.53 / 1800)], rel=0.001
)

# %%
from batchlab import cost

price = cost.cheapest("T4")
print(f"{price}; price of {price.as_of}, {price.source}")
dear, cheap = (1000 * price.usd_per_hour / 3600 / row["rate within the SLO, 1/s"] for row in chain.values())
print(f"per 1000 answers within the SLO, simulated: FP16 {dear:.6f} USD, INT8 {cheap:.6f} USD")

# %% [markdown]
# **Your turn.** What share of the bill does INT8 save, at the same promise?

# %% gid="saving" kind="answer"
saving = ...  # a share, such as 0.1
### BEGIN SOLUTION
saving = 1 - cheap / dear
### END SOLUTION

# %% gid="saving_check" kind="test" points=2
check.number("saving", saving, expected=1 - cheap / dear, abs=0.02, unit="share", hint="One minus the ratio of costs.")

# %%
alone = chain["FP16"]["batch 1, ms"] / chain["INT8"]["batch 1, ms"]
together = chain["INT8"]["rate within the SLO, 1/s"] / chain["FP16"]["rate within the SLO, 1/s"]
assert chain["INT8"]["largest batch"] > chain["FP16"]["largest batch"]
assert together > alone
print("The same promise allows a larger batch, and so the rate grows by more than a lone request gains.")

# %% [markdown]
# That is the chain: faster kernels, shorter batches, larger batches inside the same SLO, fewer machines.
# And at its start stands the gate: a wrong answer is not cheap at any price.
#
# ## On your own
#
# - Let the gate allow 5 points instead of 3.
#   Which technique passes now, and would you tell your users?
# - Static INT8 on a transformer suffers from a few large activations.
#   Look up `nodes_to_exclude` of `quantize_static`, and keep the widest layers in FP32.
# - Change `PROMISE` to 10 ms and run the chain again.
#
# ## In practice
#
# - Begin with what costs nothing: ONNX Runtime at its highest level, or `torch.compile`.
# - Take INT8 or FP16 only behind a gate on labelled examples, and keep their number in the report.
# - Measure at batch 1 *and* at the batch that you serve, on the machine that you serve on.
# - After each gain tune max batch again: the old one was right for the old model.
#
# ## Further reading
#
# - ONNX Runtime's documentation: *Graph optimizations*, and *Quantize ONNX models*.
# - A. Agresti and Y. Min, *Simple improved confidence intervals for comparing matched proportions*, 2005.
# - NVIDIA's TensorRT documentation: *Best practices*; Triton's: *Optimization*.

# %% tags=["nbval-ignore-output"]
check.summary()

# %% [markdown]
# **What you did**
#
# - Ran one network through PyTorch, `torch.compile` and ONNX Runtime, and watched nodes fuse, one by one.
# - Made it smaller in INT8 and FP16, and put an accuracy gate in front of it.
# - Swapped a faster model into a running Triton.
# - Followed a shorter batch through a larger batch to a lower price, under the same SLO.
#
# **What you learned**
#
# - What each technique changes, and why its gain depends on the batch and on the processor.
# - How to judge a small loss of accuracy with few labelled examples.
# - Why a kernel that is twice as fast rarely makes a request twice as fast, and may still halve the bill.
