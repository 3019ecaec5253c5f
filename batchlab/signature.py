"""A model's signature: the inputs and outputs it takes and gives; the check of a request before it is sent."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from batchlab.endpoint import RequestError


@dataclass(frozen=True)
class Tensor:
    """One input or output, its dimensions without the batch; -1 stands for any size."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.name!r} {self.datatype} [{','.join('any' if d < 0 else str(d) for d in self.dims)}]"


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives; `max_batch_size` 0 means that requests carry no batch dimension."""

    model: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch_size: int

    @classmethod
    def from_triton(cls, metadata: dict[str, Any], config: dict[str, Any]) -> "Signature":
        """Read the JSON of a model's metadata and configuration."""
        max_batch_size = int(config.get("max_batch_size", 0))
        skip = 1 if max_batch_size > 0 else 0
        optional = {entry["name"] for entry in config.get("input", []) if entry.get("optional")}

        def tensors(key: str) -> tuple[Tensor, ...]:
            return tuple(
                Tensor(
                    name=entry["name"],
                    datatype=entry["datatype"],
                    dims=tuple(int(size) for size in entry["shape"][skip:]),
                    optional=entry["name"] in optional,
                )
                for entry in metadata.get(key, [])
            )

        return cls(metadata["name"], tensors("inputs"), tensors("outputs"), max_batch_size)

    def check(
        self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None
    ) -> dict[str, tuple[np.ndarray, str]]:
        """Return the inputs as arrays with their datatypes, ready to send.

        Raises:
            RequestError: a name, type or shape that the model cannot take, an empty batch or one too large.
        """
        if not isinstance(inputs, Mapping):
            raise RequestError(f"Inputs are a dict of name -> array, got {type(inputs).__name__}. {self._takes()}")
        known = {tensor.name: tensor for tensor in self.inputs}
        for name in inputs:
            if name not in known:
                raise RequestError(f"Model {self.model!r} has no input {name!r}{_near(name, known)}. {self._takes()}")
        for tensor in self.inputs:
            if tensor.name not in inputs and not tensor.optional:
                raise RequestError(f"The input {tensor.name!r} is missing. {self._takes()}")
        for name in outputs or ():
            given = {tensor.name for tensor in self.outputs}
            if name not in given:
                gives = ", ".join(str(tensor) for tensor in self.outputs)
                raise RequestError(f"Model {self.model!r} has no output {name!r}; it gives {gives}.")
        checked = {name: self._checked(known[name], np.asarray(value)) for name, value in inputs.items()}
        sizes = {name: len(array) for name, (array, _) in checked.items()} if self.max_batch_size else {}
        if len(set(sizes.values())) > 1:
            raise RequestError(f"All inputs of a request share one batch size, got {sizes}.")
        return checked

    def _checked(self, tensor: Tensor, array: np.ndarray) -> tuple[np.ndarray, str]:
        self._check_type(tensor, array)
        wanted = f"{self.model!r} takes {tensor}"
        body = array.shape
        if self.max_batch_size:
            if array.ndim == len(tensor.dims) and self._fits(array.shape, tensor.dims):
                raise RequestError(
                    f"Input {tensor.name!r} has shape {list(array.shape)}, which lacks the batch dimension: "
                    f"{wanted}, with the batch in front. Send `array[None]` for a batch of one."
                )
            body = array.shape[1:]
        if array.ndim == 0 or not self._fits(body, tensor.dims):
            batch = ["batch"] if self.max_batch_size else []
            expected = ", ".join([*batch, *("any" if d < 0 else str(d) for d in tensor.dims)])
            raise RequestError(f"Input {tensor.name!r} has shape {list(array.shape)}; {wanted}: send [{expected}].")
        if self.max_batch_size:
            self._check_batch(tensor, len(array))
        return np.ascontiguousarray(array), tensor.datatype

    def _check_type(self, tensor: Tensor, array: np.ndarray) -> None:
        if tensor.datatype == "BYTES":
            if array.dtype.kind not in "OSU":
                raise RequestError(
                    f"Input {tensor.name!r} is {array.dtype}, but {self.model!r} takes text: an array of str or bytes "
                    "with dtype=object."
                )
        elif np_to_triton_dtype(array.dtype) != tensor.datatype:
            dtype = np.dtype(triton_to_np_dtype(tensor.datatype)).name
            raise RequestError(
                f"Input {tensor.name!r} is {array.dtype}, but {self.model!r} takes {tensor.datatype}. "
                f"Send `array.astype(np.{dtype})`."
            )

    def _check_batch(self, tensor: Tensor, batch: int) -> None:
        if batch == 0:
            raise RequestError(f"Input {tensor.name!r} is an empty batch; a request carries at least one item.")
        if batch > self.max_batch_size:
            raise RequestError(
                f"A batch of {batch} is above the max_batch_size {self.max_batch_size} of {self.model!r}. Split it, or "
                f"raise the limit with server.reconfigure({self.model!r}, max_batch_size={batch})."
            )

    def _fits(self, shape: Sequence[int], dims: Sequence[int]) -> bool:
        return len(shape) == len(dims) and all(d < 0 or s == d for s, d in zip(shape, dims, strict=True))

    def _takes(self) -> str:
        return f"{self.model!r} takes {', '.join(str(tensor) for tensor in self.inputs)}."


def _near(name: str, known: Mapping[str, Tensor]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
