"""Request inputs: from a file, or made up from what the server says about its model.

Any model of any Triton can be put under load without writing code, because the server itself names the inputs, their
types and their shapes (the model metadata of the KServe protocol).
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from batchlab.plan import Body

if TYPE_CHECKING:
    from batchlab.http_server import HttpServer
    from batchlab.server import Server

Tensors = dict[str, np.ndarray]
Inputs = Tensors | Sequence[Tensors] | Callable[[int], Tensors] | str | Path | None

DISTINCT = 4
HIGHEST_INTEGER = 9
WORDS = ("the", "server", "waits", "for", "more", "requests", "then", "answers", "them", "together")


class InputsError(ValueError):
    """Inputs that cannot be read, made or encoded."""


def from_metadata(
    metadata: dict[str, Any],
    *,
    max_batch_size: int = 0,
    batch_size: int = 1,
    size: int | None = None,
    seed: int = 0,
) -> Tensors:
    """Make one request's inputs from the model's metadata.

    Floats are uniform in [0, 1), bytes (UINT8) cover 0..255, other integers lie in 1..9 (a valid index of nearly any
    vocabulary or table), text is a sentence of `size` words (8 when not given). An integer input whose name says
    "mask" is ones, one that says "token_type" zeros.

    Args:
        metadata: answer of ``GET /v2/models/<model>``: ``inputs`` with ``name``, ``datatype`` and ``shape``.
        max_batch_size: the model's own; when it is positive, the first dimension of every shape is the batch.
        batch_size: items in the request.
        size: fills every variable dimension (sequence length, image side), and the words of a text.
        seed: the same seed gives the same inputs.

    Raises:
        InputsError: a variable dimension and no `size`, an unknown data type, or a batch the model does not take.
    """
    model = metadata.get("name", "?")
    if batch_size < 1 or batch_size > max(max_batch_size, 1):
        raise InputsError(
            f"Batch size {batch_size} is out of range: model {model!r} takes 1 to {max(max_batch_size, 1)}."
        )
    random = np.random.default_rng(seed)
    tensors: Tensors = {}
    for spec in metadata.get("inputs", []):
        name, data_type = spec["name"], spec["datatype"]
        shape = [int(length) for length in spec["shape"]]
        dims = shape[1:] if max_batch_size > 0 else shape
        if size is None and any(length < 0 for length in dims):
            raise InputsError(
                f"Input {name!r} of model {model!r} has a variable dimension (shape {dims}): say how long it is with "
                "size (command line: --size), or pass inputs of your own."
            )
        filled = [size if length < 0 else length for length in dims]
        full = [batch_size, *filled] if max_batch_size > 0 else filled
        tensors[name] = _values(model, name, data_type, full, size, random)
    if not tensors:
        raise InputsError(f"The server names no inputs for model {model!r}.")
    return tensors


def _values(model: str, name: str, data_type: str, shape: list[Any], size: int | None, random: Any) -> np.ndarray:
    kind = triton_to_np_dtype(data_type)
    if kind is None:
        raise InputsError(f"Input {name!r} of model {model!r} has data type {data_type}, which cannot be made up.")
    if data_type == "BYTES":
        text = [" ".join(random.choice(WORDS, size or 8)).encode() for _ in range(int(np.prod(shape)))]
        return np.array(text, dtype=object).reshape(shape)
    if data_type == "BOOL":
        return random.integers(0, 2, shape).astype(bool)
    if data_type.startswith(("FP", "BF")):
        return random.random(shape).astype(kind)
    if "mask" in name.lower():
        return np.ones(shape, dtype=kind)
    if "token_type" in name.lower():
        return np.zeros(shape, dtype=kind)
    lowest, highest = (0, 256) if data_type == "UINT8" else (1, HIGHEST_INTEGER + 1)
    return random.integers(lowest, highest, shape).astype(kind)


def from_file(path: Path | str) -> Tensors:
    """Read one request's inputs, batch dimension included where the model has one.

    ``.npz``: one array per input, by name. ``.json``: ``{"name": nested lists}``, or the ``inputs`` list of a KServe
    request (``name``, ``shape``, ``datatype``, ``data``).

    Raises:
        InputsError: no such file, or not one of the two forms.
    """
    chosen = Path(path)
    try:
        if chosen.suffix == ".npz":
            with np.load(chosen, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        if chosen.suffix == ".json":
            return _from_json(json.loads(chosen.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputsError(f"{chosen} holds no request inputs: {error}.") from error
    raise InputsError(f"{chosen}: inputs are read from .npz or .json files.")


def _from_json(content: Any) -> Tensors:
    if isinstance(content, dict) and isinstance(content.get("inputs"), list):
        return {
            row["name"]: np.array(row["data"], dtype=triton_to_np_dtype(row["datatype"])).reshape(row["shape"])
            for row in content["inputs"]
        }
    if not isinstance(content, dict) or not content:
        raise ValueError("expected an object of input names")
    tensors = {}
    for name, values in content.items():
        array = np.array(values)
        tensors[name] = array.astype(object) if array.dtype.kind == "U" else array
    return tensors


def encode(
    tensors: Tensors,
    metadata: dict[str, Any],
    *,
    max_batch_size: int = 0,
    as_json: bool = False,
    request_id: str = "",
) -> Body:
    """Encode inputs once as a KServe v2 body; types follow the model's metadata.

    Args:
        tensors: name -> array.
        metadata: the model's, see `from_metadata`.
        max_batch_size: the model's own; positive, the first dimension is the batch.
        as_json: numbers as text in the JSON head, instead of their bytes behind it.
        request_id: the client's own name of the request, which Triton's trace repeats.

    Raises:
        InputsError: no inputs at all, one the model does not have, a shape that does not fit, or values that cannot
            be converted. An input left out may be optional: that is the server's to say.
    """
    wanted = {spec["name"]: spec for spec in metadata.get("inputs", [])}
    if unknown := sorted(set(tensors) - set(wanted)):
        raise InputsError(f"Model {metadata.get('name')!r} has no input {unknown[0]!r}; it has {', '.join(wanted)}.")
    if not tensors:
        raise InputsError(f"A request without inputs: model {metadata.get('name')!r} takes {', '.join(wanted)}.")
    asked = []
    for name, values in tensors.items():
        data_type, shape = wanted[name]["datatype"], [int(length) for length in wanted[name]["shape"]]
        array = np.asarray(values)
        if array.ndim != len(shape) or any(b not in (a, -1) for a, b in zip(array.shape, shape, strict=True)):
            raise InputsError(f"Input {name!r} has shape {list(array.shape)}; the model takes {shape} (-1: any).")
        if np_to_triton_dtype(array.dtype) != data_type:
            try:
                array = array.astype(triton_to_np_dtype(data_type))
            except (ValueError, TypeError) as error:
                raise InputsError(f"Input {name!r} cannot be converted to {data_type}: {error}.") from error
        tensor = triton.InferInput(name, list(array.shape), data_type)
        tensor.set_data_from_numpy(np.ascontiguousarray(array), binary_data=not as_json)
        asked.append(tensor)
    data, json_bytes = triton.InferenceServerClient.generate_request_body(asked, request_id=request_id)
    batch_size = int(np.asarray(next(iter(tensors.values()))).shape[0]) if max_batch_size > 0 else 1
    return Body(bytes(data), json_bytes, batch_size)


def generated(
    server: "Server", model: str, *, batch_size: int = 1, size: int | None = None, seed: int = 0
) -> list[Tensors]:
    """Make `DISTINCT` different requests' inputs for a model of a server; see `from_metadata`."""
    metadata, limit = server.metadata(model), int(server.config(model).max_batch_size)
    return [
        from_metadata(metadata, max_batch_size=limit, batch_size=batch_size, size=size, seed=seed + extra)
        for extra in range(DISTINCT)
    ]


def request_bodies(
    server: "Server | HttpServer",
    model: str,
    inputs: Inputs = None,
    *,
    batch_size: int = 1,
    sizes: np.ndarray | None = None,
    size_name: str = "",
    seed: int = 0,
) -> tuple[tuple[Body, ...], np.ndarray | None]:
    """Encode the distinct bodies of a run once each.

    Args:
        server: knows the model's metadata and configuration; a server that is no Triton makes its own bodies.
        model: name of the model.
        inputs: tensors; several, taken in turn; a function of the size (of the batch size where no sizes are given);
            a file for `from_file`; or None, made up by `from_metadata`.
        batch_size: items per request where inputs are made up or asked of a function.
        sizes: one size per request, shape ``(n,)``: a variable dimension of the model where it has one or takes
            text, else the batch size.
        size_name: what the sizes count; ``"batch_size"`` makes them batch sizes whatever the model takes.
        seed: of made-up inputs.

    Returns:
        The bodies, and per request the index of its body (None where bodies are taken in turn).
    """
    if hasattr(server, "bodies"):
        if batch_size != 1:
            raise InputsError("A server that is no Triton takes requests of one item: leave the batch size at 1.")
        made_there: tuple[tuple[Body, ...], np.ndarray | None] = server.bodies(model, inputs, sizes)
        return made_there
    metadata, limit = server.metadata(model), int(server.config(model).max_batch_size)

    def encoded(tensors: Tensors) -> Body:
        return encode(tensors, metadata, max_batch_size=limit)

    if isinstance(inputs, str | Path):
        inputs = from_file(inputs)
    if sizes is None:
        if callable(inputs):
            return (encoded(inputs(batch_size)),), None
        if inputs is None:
            inputs = generated(server, model, batch_size=batch_size, seed=seed)
        chosen = [inputs] if isinstance(inputs, dict) else list(inputs)
        return tuple(encoded(tensors) for tensors in chosen), None
    if inputs is not None and not callable(inputs):
        raise InputsError("Arrivals with sizes need inputs made for each size: pass a function of the size, or None.")
    distinct, choice = np.unique(np.asarray(sizes, dtype=int), return_inverse=True)
    as_batch = size_name == "batch_size" or not _is_variable(metadata, limit)

    def made(size: int) -> Tensors:
        batch, length = (size, None) if as_batch else (batch_size, size)
        return from_metadata(metadata, max_batch_size=limit, batch_size=batch, size=length, seed=seed)

    make = inputs or made
    return tuple(encoded(make(int(size))) for size in distinct), choice.astype(np.int64)


def _is_variable(metadata: dict[str, Any], limit: int) -> bool:
    first = 1 if limit > 0 else 0
    rows = metadata.get("inputs", [])
    return any(row["datatype"] == "BYTES" or any(int(length) < 0 for length in row["shape"][first:]) for row in rows)
