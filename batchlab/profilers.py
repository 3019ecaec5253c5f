"""What profilers saw, as spans on the machine's clock: the torch profiler's operators, ONNX Runtime's nodes.

    with profilers.torch_spans() as seen:
        network(image)
    seen.spans

Both profilers note times since 1970; they are moved onto the monotonic clock, on which Triton's trace lies too.
A profiler costs time of its own, for each operator: shares can be trusted sooner than milliseconds.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from batchlab import perfetto
from batchlab.spans import Span, epoch_offset_ns

TORCH, ONNX = "torch", "ONNX Runtime"
OPERATORS = ("cpu_op", "user_annotation", "kernel", "gpu_memcpy", "gpu_memset")


class ProfileError(RuntimeError):
    """A profile that did not come about."""


@dataclass
class Seen:
    """What a profiler saw while its block ran; filled when the block ends."""

    spans: list[Span] = field(default_factory=list)


@contextlib.contextmanager
def torch_spans(track: str = TORCH) -> Iterator[Seen]:
    """Profile what torch does in the block: operators on the processor, and kernels where there is a GPU."""
    from torch.profiler import ProfilerActivity, profile
    from torch.profiler import supported_activities as supported

    seen = Seen()
    # Without this torch's profiler reports to standard error that there is no GPU, in the middle of a notebook.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    wanted = {ProfilerActivity.CPU, ProfilerActivity.CUDA} & set(supported())
    with profile(activities=sorted(wanted, key=str)) as profiler:
        yield seen
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "torch.json"
        profiler.export_chrome_trace(str(path))
        content = json.loads(path.read_text(encoding="utf-8"))
        content["traceEvents"] = [row for row in content["traceEvents"] if row.get("cat", "") in OPERATORS]
        path.write_text(json.dumps(content), encoding="utf-8")
        zero_ns = int(content.get("baseTimeNanoseconds", 0)) - epoch_offset_ns()
        seen.spans = perfetto.read(path, track=track, zero_ns=zero_ns)


def onnx_spans(
    model: Path | str,
    inputs: Mapping[str, np.ndarray],
    *,
    runs: int = 3,
    threads: int = 1,
    configure: Callable[[Any], None] = lambda options: None,
    track: str = ONNX,
) -> list[Span]:
    """Run an ONNX model and return what ONNX Runtime's own profile says of the last run: the run, and each node.

    Args:
        model: path of the ``.onnx`` file.
        inputs: name -> array.
        runs: how often it runs; only the last counts, when everything is warm.
        threads: within a node.
        configure: gets the session's options, to change more of them.
        track: name of the spans' track.

    Raises:
        ProfileError: the model cannot be read or run; with ONNX Runtime's words.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.intra_op_num_threads = threads
    configure(options)
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        try:
            session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
            zero_ns = session.get_profiling_start_time_ns() - epoch_offset_ns()
            for _ in range(runs):
                session.run(None, dict(inputs))
        except Exception as error:
            # ONNX Runtime raises a type of its own per kind of trouble.
            raise ProfileError(f"ONNX Runtime cannot profile {model}: {error}") from error
        spans = perfetto.read(session.end_profiling(), track=track, zero_ns=zero_ns)
    last = max((span for span in spans if span.name == "model_run"), key=lambda span: span.start_ns)
    return [
        Span(_operator(span), span.start_ns, span.end_ns, track, "nodes", span.details)
        for span in spans
        if last.holds(span) and span.name not in ("SequentialExecutor::Execute",)
    ]


def _operator(span: Span) -> str:
    """Return the operator of a node, which says more than the name that an exporter gave it."""
    return str(span.details.get("op_name") or span.name)
