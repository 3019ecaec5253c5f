"""Inputs in shared memory: client and server on one machine pass a tensor without sending it.

    with shared_memory.shared(server, {"image": image}) as body:
        ...  # send `body`: it holds a name and a size instead of the pixels

Source of the calls: ``docs/protocol/extension_shared_memory.md``, triton-inference-server.
"""

import contextlib
import json
import secrets
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING

import numpy as np
from tritonclient.utils import np_to_triton_dtype

from batchlab.endpoint import Endpoint
from batchlab.inputs import Tensors
from batchlab.plan import Body

if TYPE_CHECKING:
    from batchlab.client import Client


class SharedMemoryError(ValueError):
    """A tensor that cannot be shared."""


@contextlib.contextmanager
def shared(server: "Client", tensors: Tensors) -> Iterator[Body]:
    """Put tensors into memory that the server maps too, and yield the request that names it; then take it back.

    Args:
        server: a Triton on this machine.
        tensors: name -> array of numbers, the batch in front. What is shared is a copy made once.

    Raises:
        SharedMemoryError: no tensors, or text, whose length is not that of its array.
        ServerError: the server cannot map the memory; one in a container needs the machine's ``/dev/shm``.
    """
    if not tensors or any(array.dtype == object for array in tensors.values()):
        raise SharedMemoryError("Shared memory takes one or more arrays of numbers; send text in the request itself.")
    region = f"batchlab-{secrets.token_hex(4)}"
    total = sum(array.nbytes for array in tensors.values())
    endpoint = Endpoint(server.url)
    memory = SharedMemory(region, create=True, size=total)
    try:
        rows, offset = [], 0
        for name, array in tensors.items():
            view: np.ndarray = np.ndarray(array.shape, array.dtype, memory.buf, offset)
            view[...] = array
            parameters = {
                "shared_memory_region": region,
                "shared_memory_byte_size": array.nbytes,
                "shared_memory_offset": offset,
            }
            row = {"name": name, "shape": list(array.shape), "datatype": np_to_triton_dtype(array.dtype)}
            rows.append({**row, "parameters": parameters})
            offset += array.nbytes
            del view  # memory with a view on it cannot be closed
        request = {"key": f"/{region}", "offset": 0, "byte_size": total}
        endpoint.post(f"/v2/systemsharedmemory/region/{region}/register", request)
        try:
            yield Body(json.dumps({"inputs": rows}).encode(), None, len(next(iter(tensors.values()))))
        finally:
            endpoint.post(f"/v2/systemsharedmemory/region/{region}/unregister")
    finally:
        endpoint.close()
        memory.close()
        memory.unlink()
