"""Inputs in shared memory: the model sees the same numbers, and nothing stays behind."""

import json
from pathlib import Path

import numpy as np
import pytest

from batchlab import shared_memory
from batchlab.endpoint import Endpoint
from batchlab.probe import probe
from batchlab.shared_memory import SharedMemoryError


def left() -> list[str]:
    return [path.name for path in Path("/dev/shm").glob("batchlab-*") if len(path.name) == len("batchlab-12345678")]


def regions(server) -> list[dict]:
    return Endpoint(server.url).get("/v2/systemsharedmemory/status")


def test_the_model_gets_what_was_shared(triton) -> None:
    triton.load_missing(["null"])
    values = np.arange(4, dtype=np.int32).reshape(4, 1)
    with shared_memory.shared(triton, {"item": values}) as body:
        assert len(regions(triton)) == 1
        answer = Endpoint(triton.url).post("/v2/models/null/infer", json.loads(body.data))
    assert answer["outputs"][0]["data"] == [0, 1, 2, 3]
    assert body.batch_size == 4


def test_nothing_stays_behind_after_an_error(triton) -> None:
    before = left()
    triton.load_missing(["null"])

    def broken() -> None:
        with shared_memory.shared(triton, {"item": np.zeros((1, 1), np.int32)}) as body:
            probe(triton, "null", lambda number: body, count=2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert regions(triton) == []
    assert left() == before


@pytest.mark.parametrize("tensors", [{}, {"text": np.array([["a"]], dtype=object)}])
def test_text_and_nothing_are_refused(triton, tensors: dict) -> None:
    with pytest.raises(SharedMemoryError, match="arrays of numbers"), shared_memory.shared(triton, tensors):
        pass
