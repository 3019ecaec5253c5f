"""Editions of a network: its ONNX file in INT8, in FP16, or rewritten; built once, kept in the workspace's home.

* ``int8-dynamic``: weights in INT8; the range of each activation is taken from the batch at hand, at run time.
* ``int8-static``: ranges are fixed beforehand, from calibration data.
* ``fp16``: weights and layers in half precision; inputs and outputs stay as they are.
* ``transformer``: rewritten with the patterns of transformers, which ONNX Runtime's own levels know only in part.

All are ONNX Runtime's own tools, the ones that Hugging Face Optimum calls too.
"""

import contextlib
import hashlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from batchlab import cpu, keepsake
from batchlab.networks import Feed, Network
from batchlab.workspace import home_dir

KINDS = ("int8-dynamic", "int8-static", "fp16", "transformer")
# Raise it when what is built must differ.
RECIPE = 1


class EditionError(ValueError):
    """An edition that nobody knows, or that cannot be made."""


def edition(network: Network, kind: str, *, reduce_range: bool | None = None, force: bool = False) -> Path:
    """Return the file of an edition; the first call builds it, and a line says so.

    Args:
        network: the network.
        kind: one of `KINDS`.
        reduce_range: INT8 weights of 7 bits, which cannot saturate; by default where the processor needs it.
        force: build it even when it is there.

    Raises:
        EditionError: no such edition, or none of this network.
        NetworkError: the network itself has not been built.
        KeepsakeError: the disk refuses.
    """
    if kind not in KINDS:
        raise EditionError(f"There is no edition {kind!r}. Use one of: {', '.join(KINDS)}.")
    source = network.found()
    if kind == "transformer" and not network.heads:
        raise EditionError(f"{network.name} has no attention heads: it is no transformer. Use another edition.")
    narrow = kind.startswith("int8") and (cpu.read().saturates if reduce_range is None else reduce_range)
    name = f"{network.name}-{kind}{'-7bit' if narrow else ''}"
    path = home_dir() / "editions" / name / "model.onnx"

    def make(part: Path) -> dict[str, Any]:
        with quiet():
            if kind == "fp16":
                _halve(network, source, part)
            elif kind == "transformer":
                _rewrite(network, source, part)
            elif kind == "int8-dynamic":
                _dynamic(network, source, part, narrow)
            else:
                _static(network, source, part, narrow)
        return {"megabytes": round(part.stat().st_size / 1e6, 1)}

    keepsake.keep(path, _recipe(source), make, f"{network.name} in the edition {kind}", force=force, doing="converting")
    return path


def _recipe(source: Path) -> int:
    """Return a number that changes with the source file and with ONNX Runtime."""
    import onnxruntime

    said = f"{RECIPE} {keepsake.sha256(source)} {onnxruntime.__version__}"
    return int(hashlib.sha256(said.encode()).hexdigest()[:12], 16)


def _dynamic(network: Network, source: Path, target: Path, narrow: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=list(network.operators),
        per_channel=True,
        reduce_range=narrow,
        weight_type=QuantType.QInt8,
    )


def _static(network: Network, source: Path, target: Path, narrow: bool) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        ready = Path(scratch) / "ready.onnx"
        # Batch normalisations are folded first: a range between a convolution and its normalisation means nothing.
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            target,
            _reader(network.lessons()),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(network.operators),
            per_channel=True,
            reduce_range=narrow,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"MatMulConstBOnly": True},
        )


def _reader(lessons: list[Feed]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Lessons(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(lessons)

        def get_next(self) -> dict[str, np.ndarray] | None:
            feed = next(self.rest, None)
            return None if feed is None else dict(feed)

    return Lessons()


def _halve(network: Network, source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    blocked = [*DEFAULT_OP_BLOCK_LIST, *network.half]
    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True, op_block_list=blocked), target)


def _rewrite(network: Network, source: Path, target: Path) -> None:
    from onnxruntime.transformers import optimizer

    made = optimizer.optimize_model(
        str(source), model_type="bert", num_heads=network.heads, hidden_size=network.width, opt_level=0, use_gpu=False
    )
    made.save_model_to_file(str(target))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the advice of other people's tools from the reader."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
