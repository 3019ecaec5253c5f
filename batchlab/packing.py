"""Values as plain JSON: packed by one process, built anew from plain parts by another that does not trust it.

Numbers, texts, collections, arrays, tables and the course's own records travel by value, so no code and no comparison
of the sender's comes with them. Everything else stays behind and is told by number.
"""

import base64
import dataclasses
import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

StandIn = Callable[[str, int, str], Any]
DEPTH = 40
DIGITS = 300
PLAIN_DTYPES = "biuf"
# Modules whose dataclasses travel field by field; whatever they compute is then computed by the receiver's own code.
RECORDS = (
    "batchlab.configuration",
    "batchlab.cost",
    "batchlab.curve",
    "batchlab.day",
    "batchlab.fleet_day",
    "batchlab.histogram",
    "batchlab.measure",
    "batchlab.patients",
    "batchlab.points",
    "batchlab.profiles",
    "batchlab.provenance",
    "batchlab.schedule",
    "batchlab.service",
    "batchlab.slo",
    "batchlab.statistics",
    "batchlab.tally",
    "batchlab.timeline",
    "batchlab.twin",
)


class PackingError(ValueError):
    """A value that does not travel, or parts that no value is made of."""


def pack(value: Any, keep: Callable[[Any], int], depth: int = 0) -> Any:
    """Return JSON-ready parts of a value; what has none is kept and told by number.

    Raises:
        PackingError: nested too deep.
    """
    if depth > DEPTH:
        raise PackingError("a value that is nested too deep")

    def parts(items: Any) -> list[Any]:
        return [pack(item, keep, depth + 1) for item in items]

    if isinstance(value, np.generic) and value.dtype.kind in PLAIN_DTYPES + "US":
        value = value.item()
    kind = type(value)
    if value is None or kind in (bool, str) or (kind is int and abs(value) < 10**DIGITS):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$": "float", "v": str(value)}
    if value is ...:
        return {"$": "ellipsis"}
    if kind is bytes:
        return {"$": "bytes", "v": value.decode("latin-1")}
    if kind is list:
        return parts(value)
    if kind in (tuple, set, frozenset):
        return {"$": kind.__name__, "v": parts(value)}
    if kind is dict:
        return {"$": "dict", "v": [parts(pair) for pair in value.items()]}
    if kind is np.ndarray and value.dtype.kind in PLAIN_DTYPES:
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"$": "array", "dtype": value.dtype.str, "shape": list(value.shape), "v": data}
    if kind is np.ndarray and value.dtype.kind in "USO":
        return {"$": "objects", "shape": list(value.shape), "v": parts(value.ravel().tolist())}
    if kind is pd.Series:
        return {"$": "series", "v": parts([np.asarray(value), np.asarray(value.index), value.name])}
    if kind is pd.DataFrame:
        columns = [np.asarray(value.iloc[:, place]) for place in range(value.shape[1])]
        return {"$": "frame", "v": parts([list(value.columns), np.asarray(value.index), columns])}
    if dataclasses.is_dataclass(kind) and kind.__module__ in RECORDS:
        fields = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        return {"$": "record", "module": kind.__module__, "name": kind.__name__, "v": parts([fields])}
    named = str(getattr(value, "__name__", kind.__name__))[:80]
    return {"$": "function" if callable(value) else "object", "id": keep(value), "name": named}


def unpack(value: Any, stand_in: StandIn) -> Any:
    """Return the value of `pack`'s parts; may raise anything on parts that it did not make.

    Args:
        value: parts, as JSON brought them.
        stand_in: makes what stands for a thing that stayed behind, from ``"function"`` or ``"object"``, number, name.
    """
    if isinstance(value, list):
        return [unpack(item, stand_in) for item in value]
    if not isinstance(value, dict):
        return value
    kind: Any = value["$"]
    inner: Any = value.get("v")
    if kind == "float":
        return float(inner)
    if kind == "ellipsis":
        return ...
    if kind == "bytes":
        return inner.encode("latin-1")
    if kind in ("tuple", "set", "frozenset"):
        return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](unpack(item, stand_in) for item in inner)
    if kind == "dict":
        return {unpack(key, stand_in): unpack(item, stand_in) for key, item in inner}
    if kind == "array":
        dtype = np.dtype(value["dtype"])
        if dtype.kind not in PLAIN_DTYPES:
            raise PackingError(f"an array of {dtype}")
        return np.frombuffer(base64.b64decode(inner), dtype).reshape(value["shape"]).copy()
    if kind == "objects":
        flat: Any = np.empty(len(inner), np.dtype(object))
        flat[:] = [unpack(item, stand_in) for item in inner]
        return flat.reshape(value["shape"])
    if kind in ("series", "frame", "record"):
        return _composed(value, [unpack(item, stand_in) for item in inner])
    if kind in ("function", "object"):
        return stand_in(kind, int(value["id"]), str(value["name"]))
    raise PackingError(f"a value of unknown kind {kind!r}")


def _composed(value: dict[str, Any], inner: list[Any]) -> Any:
    if value["$"] == "series":
        data, index, name = inner
        return pd.Series(_narrowed(data), index=_narrowed(index), name=name)
    if value["$"] == "frame":
        names, index, columns = inner
        table = pd.DataFrame({place: _narrowed(column) for place, column in enumerate(columns)}, index=_narrowed(index))
        table.columns = pd.Index(names)
        return table
    if value["module"] not in RECORDS:
        raise PackingError(f"a record of {value['module']!r}")
    record = getattr(importlib.import_module(value["module"]), value["name"])
    if not (isinstance(record, type) and dataclasses.is_dataclass(record) and record.__module__ == value["module"]):
        raise PackingError(f"{value['name']!r} is no record")
    made = object.__new__(record)
    for field in dataclasses.fields(record):
        object.__setattr__(made, field.name, inner[0][field.name])
    return made


def _narrowed(data: Any) -> Any:
    """Return an object array of texts as pandas keeps texts, others as they are."""
    return list(data) if isinstance(data, np.ndarray) and data.dtype == object else data
