"""How large the requests of a schedule are: sequence lengths, image sides, batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class SizesError(ValueError):
    """A distribution of sizes that makes no sense."""


@dataclass(frozen=True)
class Sizes:
    """A distribution of whole positive sizes, with the name of what it sizes.

    Build one with `constant`, `choice`, `lognormal` or `given`.

    Attributes:
        kind: which of the four.
        name: what is sized, for example ``"seq_len"``, ``"image_side"``, ``"batch_size"``.
        params: the numbers behind it, JSON-ready.
    """

    kind: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def constant(cls, value: int, name: str = "size") -> "Sizes":
        """Every request has the same size."""
        return cls("constant", name, {"value": _whole([value])[0]})

    @classmethod
    def choice(cls, values: Sequence[int], weights: Sequence[float] | None = None, name: str = "size") -> "Sizes":
        """One of a few sizes, with probabilities in proportion to `weights` (equal when left out)."""
        sizes = _whole(values)
        shares = np.ones(len(sizes)) if weights is None else np.asarray(weights, dtype=float)
        if shares.shape != (len(sizes),):
            raise SizesError(f"{len(sizes)} sizes need {len(sizes)} weights, got {shares.size}.")
        if not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
            raise SizesError(f"Weights are finite, not negative and not all zero, got {shares.tolist()}.")
        return cls("choice", name, {"values": sizes, "weights": (shares / shares.sum()).tolist()})

    @classmethod
    def lognormal(cls, median: float, sigma: float, low: int, high: int, name: str = "size") -> "Sizes":
        """Log-normal, rounded, then clipped to ``[low, high]``: many short requests and a long tail.

        Args:
            median: the median before clipping.
            sigma: standard deviation of the natural logarithm; 0.5 is mild, 1 has a heavy tail.
            low: the smallest size, at least 1.
            high: the largest size, for example the model's maximum sequence length.
        """
        if not (np.isfinite(median) and median > 0 and np.isfinite(sigma) and sigma >= 0):
            raise SizesError(f"A log-normal needs median > 0 and sigma >= 0, got {median} and {sigma}.")
        if not 1 <= low <= high:
            raise SizesError(f"Clip to 1 <= low <= high, got {low} and {high}.")
        params = {"median": float(median), "sigma": float(sigma), "low": int(low), "high": int(high)}
        return cls("lognormal", name, params)

    @classmethod
    def given(cls, values: Sequence[int], name: str = "size") -> "Sizes":
        """Sizes taken in order from a list, for example from a trace, repeated as often as needed."""
        return cls("given", name, {"values": _whole(values)})

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return `count` sizes, int64, shape ``(count,)``."""
        p = self.params
        if self.kind == "constant":
            return np.full(count, p["value"], dtype=np.int64)
        if self.kind == "choice":
            return rng.choice(np.asarray(p["values"], dtype=np.int64), size=count, p=p["weights"])
        if self.kind == "lognormal":
            drawn = np.rint(p["median"] * np.exp(p["sigma"] * rng.standard_normal(count)))
            return np.clip(drawn, p["low"], p["high"]).astype(np.int64)
        if self.kind == "given":
            return np.resize(np.asarray(p["values"], dtype=np.int64), count)
        raise SizesError(f"Sizes of kind {self.kind!r} are unknown: use constant, choice, lognormal or given.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return {"kind": self.kind, "name": self.name, "params": dict(self.params)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Sizes":
        """Rebuild from `to_dict`."""
        return cls(values["kind"], values["name"], dict(values["params"]))


def _whole(values: Sequence[int]) -> list[int]:
    numbers = np.asarray(values)
    if numbers.size == 0:
        raise SizesError("A list of sizes holds at least one.")
    if numbers.dtype.kind not in "iuf" or not (np.isfinite(numbers) & (numbers >= 1) & (numbers % 1 == 0)).all():
        raise SizesError(f"Sizes are whole numbers of at least 1, got {numbers.tolist()}.")
    return [int(number) for number in numbers]
