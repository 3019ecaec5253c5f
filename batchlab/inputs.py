"""Request inputs made from a model's own metadata, so that any model can be measured without writing code.

Floating-point inputs are seeded standard normal numbers: no zeros that a kernel might skip, no denormals that slow a
processor down. Integers and booleans are 0, texts are "batch": valid wherever they are an index, a flag or a text.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

DATA_TYPES: Mapping[str, type] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}


class InputsError(ValueError):
    """Inputs that cannot be made from the metadata alone."""


def generated_inputs(
    metadata: Mapping[str, Any], batch_size: int, *, batched: bool = True, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return one array per input of a model.

    Args:
        metadata: the KServe model metadata: ``{"name": ..., "inputs": [{"name", "datatype", "shape"}, ...]}``.
        batch_size: the first dimension of every array where the model is `batched`.
        batched: whether the shapes in the metadata begin with the batch dimension (max_batch_size above 0).
        seed: makes the floating-point numbers.

    Returns:
        Input name -> array of shape ``(batch_size, *dims)``, or ``dims`` where not `batched`.

    Raises:
        InputsError: a dimension of variable size, or a data type that numpy has not; pass own inputs then.

    Source: the model metadata of the KServe protocol, ``open_inference_rest.yaml``.
    """
    model = metadata.get("name", "?")
    random = np.random.default_rng(seed)
    made = {}
    for spec in metadata["inputs"]:
        name, data_type = spec["name"], spec["datatype"]
        dims = [int(dim) for dim in spec["shape"]]
        shape = (batch_size, *dims[1:]) if batched else tuple(dims)
        if min(shape, default=1) < 1:
            raise InputsError(
                f"Input {name!r} of model {model!r} has the shape {dims}: -1 is a size that varies, and only you know "
                f"a sensible one. Pass inputs=, a function such as lambda batch: {{{name!r}: "
                f"np.zeros((batch, ...))}}."
            )
        if data_type not in DATA_TYPES:
            raise InputsError(
                f"Input {name!r} of model {model!r} has the data type {data_type}, which numpy lacks. Pass inputs=."
            )
        kind = DATA_TYPES[data_type]
        if data_type == "BYTES":
            made[name] = np.full(shape, b"batch", dtype=object)
        elif np.issubdtype(kind, np.floating):
            made[name] = random.standard_normal(shape, dtype=np.float32).astype(kind)
        else:
            made[name] = np.zeros(shape, dtype=kind)
    return made
