# ---
# jupyter:
#   batchlab:
#     title: Find the bottleneck
#     level: advanced
#     minutes: 90
#     tiers: [cpu, emulated, gpu]
#     needs: ["01_sweep_static_batches", "04_tune_dynamic_batching"]
#     summary: Split a request into client, network, HTTP, queue and model, and look inside each with its own tool.
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Find the bottleneck
#
# **What you'll do**
#
# - Split a request into client, network, HTTP, queue, input, compute and output, until nothing is left over.
# - Open Triton's trace, ONNX Runtime's profile and torch's profile, on one time line and as flame graphs.
# - Diagnose five slow services, each slow for another reason.
#
# **What you'll learn**
#
# - Which tool answers which question, and how to read its picture.
# - Why the model is so often not the culprit.
#
# **What you'll need**
#
# - 90 minutes, labs 01 and 04.
# - Tiers: `cpu` and `emulated`; one part is for `gpu`.

# %%
import numpy as np
import pandas as pd

from batchlab import arrivals, breakdown, cases, inputs, plots, server, shared_memory, text, vision
from batchlab import probe as probing
from batchlab.grading import Lab
from batchlab.load import open_loop
from batchlab.probe import probe
from batchlab.repository import TensorSpec

LEARNER = "Ada"  # write your name: it chooses the cases at the end
check = Lab("07_find_the_bottleneck")
plots.use_style()

# %% tags=["nbval-ignore-output"]
vision.build()
triton = server.start(["resnet50", "text_encoder", "text_classifier", "resnet50_a100"])
print(f"Triton {triton.version} at {triton.url}")

# %% [markdown]
# ## One request, split
#
# A *probe* sends photographs to ResNet-50 one after another, and notes the time at every step of its own.
# Triton notes how long requests were in its queue and in the model.
#
# **Predict.** Of a request's whole time, how many percent does the model compute?

# %% gid="predict_compute" kind="answer"
predicted_compute_percent = ...
### BEGIN SOLUTION
predicted_compute_percent = 90
### END SOLUTION

# %% tags=["nbval-ignore-output"]
photographs = vision.images(8)
alone = probe(triton, "resnet50", lambda number: {"image": photographs[[number % 8]]}, count=30)
alone_split = breakdown.split(alone)
alone_split.table().round(2)

# %% tags=["nbval-ignore-output"]
ax = plots.split({"ResNet-50, one at a time": alone_split})

# %% gid="predict_compute_check" kind="test" points=1
measured_percent = 100 * alone_split.table().loc["compute", "share"]
check.prediction("predict_compute", predicted_compute_percent, measured=measured_percent, within=0.3, unit="%")

# %% [markdown]
# One part was measured by nobody: "network and HTTP" lies between the client's account and Triton's.
# A *remainder* must have a name, or it hides things.
#
# **Your turn.** Return the remainder in ms.


# %% gid="remainder" kind="answer"
def remainder_ms(sent_s, received_s, queue_ms, input_ms, compute_ms, output_ms):
    """Return what of the time between sending and receiving Triton does not account for, in ms."""
    ...
    ### BEGIN SOLUTION
    return (received_s - sent_s) * 1000 - (queue_ms + input_ms + compute_ms + output_ms)
    ### END SOLUTION


# %% gid="remainder_check" kind="test" points=2
check.function(
    "remainder",
    remainder_ms,
    cases=[((1.0, 1.05, 10, 1, 30, 1), 8.0), ((0.2, 0.21, 0, 0, 10, 0), 0.0), ((5, 5.1, 0, 2, 3, 4), 91.0)],
    abs=1e-6,
    hint="Seconds on one side, milliseconds on the other; input and output are Triton's, too.",
)

# %%
assert abs(sum(alone_split.parts_ms.values()) - alone_split.latency_ms) < 1e-9
print("The parts add up to the latency that the client saw.")

# %% [markdown]
# ## Triton's own diary
#
# Statistics are sums; a *trace* is the diary of single requests.
# It is switched on over HTTP, for one model, and off again when the block ends, even by an error.

# %% tags=["nbval-ignore-output"]
from batchlab import perfetto, trace, workspace

with trace.recording(triton, "resnet50") as recorded:
    traced_run = probe(triton, "resnet50", lambda number: {"image": photographs[[number % 8]]}, count=6, warmup=0)
pd.DataFrame([request.parts_ms() for request in recorded.requests]).round(3)

# %% [markdown]
# Its stamps are moments of the machine's monotonic clock, in nanoseconds.
#
# **Your turn.** `stamps` maps a moment's name to its time in ns.
# Return how long the request was in the queue, in ms: from `QUEUE_START` to `COMPUTE_START`.


# %% gid="stamps" kind="answer"
def queue_ms_of(stamps):
    """Return the time in the queue in ms."""
    ...
    ### BEGIN SOLUTION
    return (stamps["COMPUTE_START"] - stamps["QUEUE_START"]) / 1e6
    ### END SOLUTION


# %% gid="stamps_check" kind="test" points=1
example = {"REQUEST_START": 1_000, "QUEUE_START": 2_000_000, "COMPUTE_START": 9_500_000, "COMPUTE_END": 9_900_000}
check.function(
    "stamps",
    queue_ms_of,
    cases=[((example,), 7.5), ((recorded.requests[0].stamps,), recorded.requests[0].parts_ms()["queue"])],
    abs=1e-6,
    hint="A millisecond has a million nanoseconds.",
)

# %% [markdown]
# The client's steps lie on the same clock, so both fit on one time line.

# %% tags=["nbval-ignore-output"]
server_side = [span for request in recorded.requests[:3] for span in request.spans()]
client_side = [span for span in probing.spans(traced_run) if span.lane in {row.lane for row in server_side}]
ax = plots.span_lines(client_side + server_side, traced_run.provenance)

# %% [markdown]
# Read it from the outside in: the client's *away* holds Triton's whole request, and that holds queue and compute.
# The file below shows the same in Perfetto, where one can zoom to the microsecond: drop it on https://ui.perfetto.dev.
# Nothing leaves your browser.

# %% tags=["nbval-ignore-output"]
target = workspace.runs_dir() / "07_request.json"
written = perfetto.write(target, client_side + server_side, traced_run.provenance)
print(f"{len(perfetto.read(written))} spans in {written.name}, beside your saved runs")

# %%
assert len(perfetto.read(written)) == len(client_side) + len(server_side)
assert trace.settings(triton, "resnet50")["trace_level"] == ["OFF"]
print("The file holds every span, and tracing is off again.")

# %% [markdown]
# ## The copy that nobody ordered
#
# An accelerator makes the model fast, and everything else stays as it was.
# Here is ResNet-50 as an A100 ran it, played back, fed with what many services send: the image as FP32 numbers.
#
# **Your turn.** How many bytes are 224 x 224 pixels of 3 colours in FP32?

# %% gid="bytes" kind="answer"
image_bytes = ...
### BEGIN SOLUTION
image_bytes = 224 * 224 * 3 * 4
### END SOLUTION

# %% gid="bytes_check" kind="test" points=1
check.number("bytes", image_bytes, expected=602_112, rel=0.001, hint="FP32 has 32 bits, and a byte has 8.")

# %% [markdown]
# Three ways to hand it over, encoded beforehand: as JSON text, as the bytes, or in memory that both sides share.
#
# **Predict.** As JSON a request takes how many times as long as with binary bytes?
# `"the same"`: within 20 %, `"twice"`: up to three times, `"many times"`: more than three times.

# %% gid="copy" kind="answer"
json_costs = ...
### BEGIN SOLUTION
json_costs = "many times"
### END SOLUTION

# %% tags=["nbval-ignore-output"]
FAST, SHAPE = "resnet50_a100", (3, 224, 224)
triton.load(FAST, triton.config(FAST).replace(inputs=(TensorSpec("item", "FP32", SHAPE),)))
image = {"item": np.random.default_rng(1).random((1, *SHAPE), np.float32)}
about = triton.metadata(FAST)

# %% tags=["nbval-ignore-output"]
bodies = {
    "JSON": inputs.encode(image, about, max_batch_size=256, as_json=True),
    "binary": inputs.encode(image, about, max_batch_size=256),
}
copies = {name: breakdown.split(probe(triton, FAST, lambda _, body=body: body)) for name, body in bodies.items()}
with shared_memory.shared(triton, image) as shared:
    copies["shared memory"] = breakdown.split(probe(triton, FAST, lambda _: shared))
bodies["shared memory"] = shared
pd.DataFrame({name: {"bytes sent": len(body.data), "ms": copies[name].latency_ms} for name, body in bodies.items()}).T

# %% tags=["nbval-ignore-output"]
ax = plots.split(copies)

# %% tags=["measured"]
assert copies["JSON"].latency_ms > 3 * copies["binary"].latency_ms
assert copies["JSON"].largest == "network and HTTP"
print("JSON takes more than three times as long as binary, and the time is spent before the queue.")

# %% gid="copy_check" kind="test" points=1
check.choice(
    "copy",
    json_costs,
    right="many times",
    because={
        "the same": "text must be parsed number by number, and the model is done in about a millisecond.",
        "twice": "the text alone is several times as long as the bytes, and parsing it is slower than copying.",
    },
)

# %% [markdown]
# The trace names the step: between `HTTP_RECV_END` and `REQUEST_START` Triton parses what it received.

# %% tags=["nbval-ignore-output"]
with trace.recording(triton, FAST) as parsed:
    probe(triton, FAST, lambda _: bodies["JSON"], count=5, warmup=0)
triton.load(FAST)
pd.Series(trace.summed_ms(parsed.requests), name="mean ms").round(2)

# %% [markdown]
# ## Inside the model: ONNX Runtime's profile
#
# On the processor the model itself is the largest part.
# ONNX Runtime can say how long each node of its graph took.

# %% tags=["nbval-ignore-output"]
from batchlab import flame, minilm, nvtx, profilers

nodes = profilers.onnx_spans(vision.model_path(), {"image": photographs[:1]}, threads=1)
by_operator = flame.self_ms(flame.fold(nodes))
pd.Series(by_operator, name="self ms").round(2)

# %% [markdown]
# *Self time* is what an operator did itself, whatever it called taken off.
#
# **Your turn.** What share of all time in `by_operator` goes to operators without `Conv` in their names, 0 to 1?

# %% gid="share" kind="answer"
other_share = ...
### BEGIN SOLUTION
convolving = sum(ms for name, ms in by_operator.items() if "Conv" in name)
other_share = 1 - convolving / sum(by_operator.values())
### END SOLUTION

# %% gid="share_check" kind="test" points=2
conv_ms = sum(ms for name, ms in by_operator.items() if "Conv" in name)
expected_share = 1 - conv_ms / sum(by_operator.values())
check.number("share", other_share, expected=expected_share, rel=0.02, abs=0.002, unit="share")

# %% [markdown]
# Fusing or speeding up what is not convolution can save at most that share: Amdahl's law.
#
# ## Inside the model: a flame graph
#
# The torch profiler records who called whom.
# Width is time, and what stands on a box was called by it; a dark box did the work itself.

# %% tags=["nbval-ignore-output"]
import torch

from batchlab.provenance import Provenance

encoder = minilm.load_encoder()
batch = {name: torch.from_numpy(values) for name, values in text.padded(text.sample(8, seed=1)).items()}
encoder(**batch)
with profilers.torch_spans() as seen, nvtx.marked("encode"):
    encoder(**batch)
stacks = flame.fold(seen.spans)
made_by = Provenance("cpu", "all-MiniLM-L6-v2, 8 texts", f"torch {torch.__version__} with its profiler")
ax = plots.flame(stacks, made_by)

# %% tags=["nbval-ignore-output"]
widths = {box.name: 0.0 for box in flame.frames(stacks)}
for box in flame.frames(stacks):
    widths[box.name] += box.width_ms
own = flame.self_ms(stacks)
pd.DataFrame({"width ms": widths, "self ms": own}).sort_values("width ms", ascending=False).head(8).round(2)

# %% [markdown]
# **Your turn.** `aten::linear` is among the widest boxes.
# Which of these three does the work: `"aten::linear"`, `"aten::addmm"`, or `"aten::t"`?

# %% gid="guilty" kind="answer"
guilty = ...
### BEGIN SOLUTION
guilty = "aten::addmm"
### END SOLUTION

# %% gid="guilty_check" kind="test" points=1
check.choice(
    "guilty",
    guilty,
    right="aten::addmm",
    because={
        "aten::linear": "its box is wide because of what stands on it: hardly any of the time is its own.",
        "aten::t": "it only turns the description of a matrix; look at its self time.",
    },
)

# %% tags=["measured"]
assert own["aten::addmm"] > 5 * own["aten::linear"]
print("aten::linear passes the work on: more than five times its own time is spent in aten::addmm.")

# %% [markdown]
# A profiler makes everything a little slower, and small things the most: trust its shares, not its milliseconds.
#
# ## More threads than cores
#
# The encoder computes with `intra_op_thread_count` threads per instance.
# Several clients ask at once, and the model gets more and more threads.

# %% tags=["nbval-ignore-output"]
import os

CORES = len(os.sched_getaffinity(0))
ENCODER, TEXTS = "text_encoder", text.sample(64, seed=2)
tokens = [text.padded([words]) for words in TEXTS[:8]]
crowd = arrivals.constant(5, 3)
by_threads = {}
for instances, threads in ((1, 1), (2, 1), (2, 4 * CORES)):
    triton.reconfigure(ENCODER, instances=instances, parameters={"intra_op_thread_count": str(threads)})
    run = probe(triton, ENCODER, lambda number: tokens[number % 8], arrivals=crowd, workers=3)
    by_threads[f"{instances} x {threads} threads"] = breakdown.split(run)
triton.load(ENCODER)
ax = plots.split(by_threads)

# %% [markdown]
# Threads that wait for each other spin, and keep the core from those who have work.
#
# **Your turn.** In the last row, how many threads are there per core of this machine?

# %% gid="threads" kind="answer"
threads_per_core = ...
### BEGIN SOLUTION
threads_per_core = 2 * 4 * CORES / CORES
### END SOLUTION

# %% gid="threads_check" kind="test" points=1
check.number("threads", threads_per_core, expected=8, rel=0.01, hint="Each instance has threads of its own.")

# %% tags=["measured"]
calm, crowded = by_threads["2 x 1 threads"], by_threads[f"2 x {4 * CORES} threads"]
assert crowded.parts_ms["compute"] > 1.3 * calm.parts_ms["compute"]
print("With eight threads per core the same texts take at least 1.3 times as long to compute.")

# %% [markdown]
# ## A model that calls a model
#
# `text_classifier` tokenises a text and asks `text_encoder`; Triton counts both as the classifier's compute.
# The encoder's own statistics tell them apart.


# %% tags=["nbval-ignore-output"]
def classify(words, count=15):
    """Send one text again and again; return the split, with the encoder's part of the compute."""
    before = triton.statistics(ENCODER)
    run = probe(triton, "text_classifier", lambda _: text.as_input([words]), count=count, warmup=0)
    return breakdown.split(run, called={ENCODER: triton.statistics(ENCODER) - before})


triton.reconfigure("text_classifier", parameters={"max_tokens": "16"})
message = TEXTS[0]
by_length = {"a message": classify(message), "a whole book": classify(" ".join([message] * 2500), count=4)}
triton.load("text_classifier")
pd.DataFrame(
    {name: {"compute ms": s.parts_ms["compute"], "encoder ms": s.called_ms[ENCODER]} for name, s in by_length.items()}
).round(1)

# %% [markdown]
# Both texts are cut to 16 tokens, so the encoder's work is the same.
#
# **Your turn.** Where does the rest of the book's compute go?
# `"encoder"`, `"tokeniser"`: all of the text is tokenised before it is cut, or `"padding"`?

# %% gid="book" kind="answer"
book_goes_to = ...
### BEGIN SOLUTION
book_goes_to = "tokeniser"
### END SOLUTION

# %% gid="book_check" kind="test" points=1
check.choice(
    "book",
    book_goes_to,
    right="tokeniser",
    because={
        "encoder": "its own statistics say that it took as long as for a message.",
        "padding": "the batch is padded to its longest text, and that has 16 tokens.",
    },
)

# %% tags=["measured"]
book = by_length["a whole book"]
assert book.own_ms > 3 * book.called_ms[ENCODER]
print(book.advice)

# %% [markdown]
# ## The mean is not the tail
#
# Means add up, but users complain about the slowest requests.
# Bursts on the classifier, every request traced: are the slow ones slow for the same reason?

# %% tags=["nbval-ignore-output"]
bursts = arrivals.on_off(60, 5, 0.4, 0.6, 5, seed=4)
with trace.recording(triton, "text_classifier") as diary:
    burst_run = open_loop(
        triton, "text_classifier", bursts, inputs=[text.as_input([words]) for words in TEXTS], max_lateness_ms=50
    )
rows = pd.DataFrame([request.parts_ms() for request in diary.requests if not request.parent_id])
slow = rows.sum(axis=1) >= rows.sum(axis=1).quantile(0.9)
pd.DataFrame({"all, mean ms": rows.mean(), "slowest tenth, mean ms": rows[slow].mean()}).round(2)

# %% [markdown]
# **Your turn.** Which part grows most, in ms, from the mean request to the slowest tenth?
# `"infer"`, `"queue"`, or `"HTTP receive"`?

# %% gid="tail" kind="answer"
tail_part = ...
### BEGIN SOLUTION
tail_part = (rows[slow].mean() - rows.mean()).idxmax()
### END SOLUTION

# %% gid="tail_check" kind="test" points=1
grown = (rows[slow].mean() - rows.mean()).idxmax()
check.choice(
    "tail",
    tail_part,
    right=grown,
    because={
        "infer": "subtract the two columns: it grew, and another part grew more.",
        "queue": "subtract the two columns: it grew, and another part grew more.",
        "HTTP receive": "a text of a few words is received in no time, fast or slow.",
    },
)

# %% [markdown]
# To know what the tail is made of, split the tail, not the mean.
#
# ## On a GPU: NVTX and Nsight Systems
#
# On a GPU the processor only orders work: kernels run later, and Nsight Systems draws both over one clock:
#
# ```sh
# nsys profile --trace=cuda,nvtx,osrt --output report tritonserver --model-repository triton_repo
# nsys stats --report nvtx_sum,cuda_gpu_kern_sum,cuda_gpu_mem_time_sum report.nsys-rep
# nsys export --type sqlite --output report.sqlite report.nsys-rep
# ```
#
# | table of the export | holds |
# |---|---|
# | `NVTX_EVENTS` | the ranges that you named, such as `nvtx.marked("encode")` above |
# | `CUPTI_ACTIVITY_KIND_KERNEL` | the kernels, `start` and `end` in ns |
# | `CUPTI_ACTIVITY_KIND_MEMCPY` | the copies |

# %% tags=["nbval-ignore-output"]
print("ranges are recorded" if nvtx.active() else "Left out: no GPU here, so no kernel was traced.")

# %% [markdown]
# | row in Nsight Systems | in the pictures above |
# |---|---|
# | NVTX | the part's name: *encode*, *queue*, *compute* |
# | CUDA API (processor) | torch's operators, who order the work |
# | kernels (GPU) | the operator that computes: `aten::addmm` |
# | memory (GPU), host to device | input and output |
#
# **Your turn.** The GPU's row is mostly gaps between short kernels, and the processor's row is full of small calls.
# What helps? `"faster GPU"`, `"larger batches"` (or fused kernels, CUDA graphs), or `"faster network"`?

# %% gid="gaps" kind="answer"
gaps_need = ...
### BEGIN SOLUTION
gaps_need = "larger batches"
### END SOLUTION

# %% gid="gaps_check" kind="test" points=1
check.choice(
    "gaps",
    gaps_need,
    right="larger batches",
    because={
        "faster GPU": "it would wait for the same calls, only more often.",
        "faster network": "the request is there already; the processor cannot order fast enough.",
    },
)

# %% [markdown]
# ## Five slow services
#
# Five services, each slow for another reason, with nothing but the split of their mean request.
# Your name decides who is who.

# %% tags=["nbval-ignore-output"]
ward = cases.ward(LEARNER)
charts = pd.DataFrame([case.examine(triton) for case in ward]).T
charts

# %% [markdown]
# **Diagnose.** The reasons to choose from:
#
# - `"input copy"`: large FP32 images, sent as JSON text.
# - `"threads"`: far more threads than cores in the model that is called.
# - `"queue"`: requests wait for an instance that takes one at a time.
# - `"tokeniser"`: whole documents are tokenised, and then cut.
# - `"client"`: the client prepares one request after another, and cannot keep up.

# %% gid="case_1" kind="answer"
case_1 = ...
### BEGIN SOLUTION
case_1 = ward[0].illness  # yours depends on your name
### END SOLUTION

# %% gid="case_1_check" kind="test" points=2
check.choice("case_1", case_1, right=ward[0].illness, because=cases.SYMPTOMS)

# %% gid="case_2" kind="answer"
case_2 = ...
### BEGIN SOLUTION
case_2 = ward[1].illness  # yours depends on your name
### END SOLUTION

# %% gid="case_2_check" kind="test" points=2
check.choice("case_2", case_2, right=ward[1].illness, because=cases.SYMPTOMS)

# %% gid="case_3" kind="answer"
case_3 = ...
### BEGIN SOLUTION
case_3 = ward[2].illness  # yours depends on your name
### END SOLUTION

# %% gid="case_3_check" kind="test" points=2
check.choice("case_3", case_3, right=ward[2].illness, because=cases.SYMPTOMS)

# %% gid="case_4" kind="answer"
case_4 = ...
### BEGIN SOLUTION
case_4 = ward[3].illness  # yours depends on your name
### END SOLUTION

# %% gid="case_4_check" kind="test" points=2
check.choice("case_4", case_4, right=ward[3].illness, because=cases.SYMPTOMS)

# %% gid="case_5" kind="answer"
case_5 = ...
### BEGIN SOLUTION
case_5 = ward[4].illness  # yours depends on your name
### END SOLUTION

# %% gid="case_5_check" kind="test" points=2
check.choice("case_5", case_5, right=ward[4].illness, because=cases.SYMPTOMS)

# %% [markdown]
# ## On your own
#
# - Cure one of the five, and show the split before and after.
# - Write the torch profile and Triton's trace into one file with `perfetto.write`, and find the same batch in both.
# - Trace every tenth request only: `trace.recording(triton, model, every=10)`.
#   Does the latency change?
#
# ## In practice
#
# - Split first, profile second: a profiler inside the model finds nothing when the time is spent before it.
# - `batchlab breakdown MODEL --url HOST:PORT --rate 50` splits your own service, names the largest part and says what
#   to try; `--perfetto trace.json` keeps the requests themselves.
# - Switch a trace off when you are done; it costs time and disk.
#
# ## Further reading
#
# - Triton's documentation: *Triton Server Trace*, and the *Statistics extension*.
# - B. Gregg, *The Flame Graph*, CACM 2016.
# - NVIDIA's documentation: *Nsight Systems User Guide*, *NVTX*.

# %% tags=["nbval-ignore-output"]
check.summary()

# %% [markdown]
# **What you did**
#
# - Split requests until nothing was left over, and put client and server on one time line.
# - Looked inside a model with two profilers, and diagnosed five slow services.
#
# **What you learned**
#
# - The parts must add up, and the remainder has a name.
# - Copies, tokenisers, threads and clients are as often the bottleneck as the model.
