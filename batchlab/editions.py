"""Editions of a network: its ONNX file in INT8, in FP16, or rewritten; built once for all homes of a clone.

* ``int8-dynamic``: weights in INT8; the range of each activation is taken from the batch at hand, at run time.
* ``int8-static``: ranges are fixed beforehand, from calibration data.
* ``fp16``: weights and layers in half precision; inputs and outputs stay as they are.
* ``transformer``: rewritten with the patterns of transformers, which ONNX Runtime's own levels know only in part.

All are ONNX Runtime's own tools, the ones that Hugging Face Optimum calls too.

An edition's folder is named by a digest of all that it is made of: the network's bytes, the recipe, the calibration
data, the libraries. So nothing is ever out of date, and whoever asks for the same may share it.
"""

import contextlib
import hashlib
import io
import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from batchlab import cpu, keepsake
from batchlab.networks import Feed, Network
from batchlab.workspace import home_dir, repository_dir, shared_dir

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
        WorkspaceError: there is no clone, or no home that can be written.
    """
    if kind not in KINDS:
        raise EditionError(f"There is no edition {kind!r}. Use one of: {', '.join(KINDS)}.")
    source = network.found()
    if kind == "transformer" and not network.heads:
        raise EditionError(f"{network.name} has no attention heads: it is no transformer. Use another edition.")
    narrow = kind.startswith("int8") and (cpu.read().saturates if reduce_range is None else reduce_range)
    lessons = network.lessons() if kind == "int8-static" else []
    digest = _digest(network, source, kind, narrow, lessons)
    name, recipe = f"{network.name}-{kind}{'-7bit' if narrow else ''}-{digest}", int(digest, 16)
    everybody, mine = (folder / name / "model.onnx" for folder in (_shared(source), home_dir() / "editions"))
    for path in (everybody, mine):
        if not force and keepsake.kept(path, recipe) is not None:
            return path

    def make(part: Path) -> dict[str, Any]:
        with quiet():
            if kind == "fp16":
                _halve(network, source, part)
            elif kind == "transformer":
                _rewrite(network, source, part)
            elif kind == "int8-dynamic":
                _dynamic(network, source, part, narrow)
            else:
                _static(network, source, part, narrow, lessons)
        return {"megabytes": round(part.stat().st_size / 1e6, 1)}

    path = everybody if keepsake.writable(everybody.parent) else mine
    keepsake.keep(path, recipe, make, f"{network.name} in the edition {kind}", force=force, doing="converting")
    return path


def _shared(source: Path) -> Path:
    """Return where every home looks first: in the clone that holds the network, else beside the network's file."""
    # Not in the model repository: what lies there is Triton's to read, and changes a model's time of modification.
    return shared_dir() / "editions" if source.is_relative_to(repository_dir()) else source.parent / "editions"


def _digest(network: Network, source: Path, kind: str, narrow: bool, lessons: list[Feed]) -> str:
    """Return twelve hexadecimal digits that change with anything an edition is made of."""
    of_lessons = hashlib.sha256()
    for feed in lessons:
        for key, values in sorted(feed.items()):
            of_lessons.update(f"{key} {values.dtype} {values.shape} ".encode() + np.ascontiguousarray(values).tobytes())
    made_of = [RECIPE, kind, narrow, keepsake.sha256(source), libraries(), of_lessons.hexdigest()]
    made_of += [network.operators, network.half, network.heads, network.width]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:12]


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that write an edition."""
    import onnx
    import onnxruntime

    return {library.__name__: library.__version__ for library in (np, onnx, onnxruntime)}


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


def _static(network: Network, source: Path, target: Path, narrow: bool, lessons: list[Feed]) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        ready = Path(scratch) / "ready.onnx"
        # Batch normalisations are folded first: a range between a convolution and its normalisation means nothing.
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            target,
            _reader(lessons),
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
