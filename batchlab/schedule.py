"""A schedule of intended send times: when each request is meant to leave, decided before the first one does.

A schedule is a value. It knows nothing of servers, and is sent, simulated or written to a file unchanged.
`batchlab.arrivals` makes them.

Burstiness is the squared coefficient of variation of the gaps, ``variance / mean**2``: 0 for a metronome, 1 for
Poisson, above 1 for bursts. It is the ``ca**2`` of Kingman's formula, and for independent gaps the limit of the index
of dispersion (D. R. Cox, Renewal Theory, 1962). Beware: vLLM's ``--burstiness`` is the gamma's shape, the inverse.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from batchlab import traces
from batchlab.sizes import Sizes


class ArrivalsError(ValueError):
    """A schedule that cannot be made: a rate of zero, times that run backwards, a recipe that no longer fits."""


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Intended send times of one stretch of traffic.

    Attributes:
        times_s: seconds from the start, ascending, shape ``(n,)``, read-only; equal times are allowed.
        seconds: length of the stretch; every time lies in ``[0, seconds]``. Rates are per this length.
        name: the function that made it.
        seed: what the randomness came from, None where nothing was random.
        params: that function's other arguments, JSON-ready; a composed schedule carries its parts' recipes.
        sizes: size of each request, int64, shape ``(n,)``; None where all are alike.
        size_name: what `sizes` counts, for example ``"seq_len"``.
    """

    times_s: np.ndarray
    seconds: float
    name: str = "given"
    seed: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    sizes: np.ndarray | None = None
    size_name: str = ""

    def __post_init__(self) -> None:
        times = np.array(self.times_s, dtype=np.float64)
        if times.ndim != 1 or not np.isfinite(times).all():
            raise ArrivalsError("Send times are one list of finite numbers in seconds.")
        if len(times) and times[0] < 0:
            raise ArrivalsError(f"Send times start at 0 or later, got {times[0]} s.")
        falls = np.flatnonzero(np.diff(times) < 0)
        if len(falls):
            raise ArrivalsError(
                f"Send times ascend; number {falls[0] + 2} lies before number {falls[0] + 1}. Sort them."
            )
        positive(seconds=self.seconds)
        if len(times) and times[-1] > self.seconds:
            raise ArrivalsError(f"The last send time, {times[-1]} s, lies beyond the schedule's {self.seconds} s.")
        times.setflags(write=False)
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "seconds", float(self.seconds))
        if self.sizes is not None:
            sizes = np.array(self.sizes, dtype=np.int64)
            if sizes.shape != times.shape:
                raise ArrivalsError(f"{len(times)} send times need as many sizes, got {sizes.size}.")
            sizes.setflags(write=False)
            object.__setattr__(self, "sizes", sizes)

    def __len__(self) -> int:
        return len(self.times_s)

    def __str__(self) -> str:
        burst = f", burstiness {self.burstiness:.2g}" if len(self) > 2 else ""
        return f"{self.name}: {len(self)} requests in {self.seconds:g} s, {self.rate_rps:.4g}/s{burst}"

    # ---- statistics

    @property
    def rate_rps(self) -> float:
        """Mean rate, requests per second of the stretch."""
        return len(self) / self.seconds

    @property
    def gaps_s(self) -> np.ndarray:
        """Times between neighbours, shape ``(n - 1,)``."""
        return np.diff(self.times_s)

    @property
    def burstiness(self) -> float:
        """Squared coefficient of variation of the gaps; NaN below two gaps."""
        gaps = self.gaps_s
        return float(gaps.var() / gaps.mean() ** 2) if len(gaps) > 1 and gaps.mean() > 0 else float("nan")

    def index_of_dispersion(self, window_s: float) -> float:
        """Variance over mean of the counts in neighbouring windows: 1 for Poisson, more for bursts, at any scale.

        Source: D. R. Cox and P. A. W. Lewis, The Statistical Analysis of Series of Events, 1966.

        Raises:
            ArrivalsError: fewer than two whole windows, or no arrivals in them.
        """
        positive(window_s=window_s)
        windows = int(self.seconds / window_s + 1e-9)
        if windows < 2:
            raise ArrivalsError(
                f"{self.seconds:g} s hold fewer than two windows of {window_s:g} s: choose shorter ones."
            )
        counts = np.histogram(self.times_s, bins=np.arange(windows + 1) * window_s)[0]
        if not counts.any():
            raise ArrivalsError("No arrivals, no dispersion.")
        return float(counts.var(ddof=1) / counts.mean())

    def peak_rate_rps(self, window_s: float = 1.0) -> float:
        """Highest rate over any window of this length, wherever it starts."""
        positive(window_s=window_s)
        inside = np.searchsorted(self.times_s, self.times_s + window_s * (1 - 1e-12), side="left") - np.arange(
            len(self)
        )
        return float(inside.max() / window_s) if len(self) else 0.0

    @property
    def digest(self) -> str:
        """SHA-256 of the times and sizes: equal digests, equal schedules, byte by byte."""
        told = hashlib.sha256(self.times_s.data)
        if self.sizes is not None:
            told.update(self.sizes.data)
        return told.hexdigest()

    # ---- composition: every method returns a new schedule

    def split(self, n: int) -> list["Arrivals"]:
        """Deal the schedule to `n` senders in turn; together they send exactly the original, at its own times.

        Nothing is drawn anew, so the merged traffic keeps its statistics. What ONE sender sends is more regular than
        the whole (each of its gaps is a sum of `n`): judge bursts on the union only.
        """
        if n < 1:
            raise ArrivalsError(f"Split over at least one sender, got {n}.")
        return [self._part(np.arange(i, len(self), n), "split", {"n": n, "index": i}) for i in range(n)]

    def thin(self, keep: float, seed: int) -> "Arrivals":
        """Keep each request with probability `keep`, independently."""
        if not 0 < keep <= 1:
            raise ArrivalsError(f"Keep a share above 0 and up to 1, got {keep}.")
        kept = np.flatnonzero(np.random.default_rng(seed).random(len(self)) < keep)
        return self._part(kept, "thin", {"keep": float(keep)}, seed)

    def scale_rate(self, factor: float) -> "Arrivals":
        """Play the same pattern `factor` times as fast: the count stays, the stretch shrinks."""
        positive(factor=factor)
        times, seconds = self.times_s / factor, self.seconds / factor
        return self._changed("scale_rate", {"factor": float(factor)}, times_s=times, seconds=seconds)

    def clip(self, start_s: float, end_s: float) -> "Arrivals":
        """Cut out ``[start_s, end_s)`` and start its clock at 0."""
        if not 0 <= start_s < end_s <= self.seconds:
            raise ArrivalsError(f"Clip within 0 and {self.seconds:g} s, got {start_s} to {end_s}.")
        first, last = np.searchsorted(self.times_s, [start_s, end_s], side="left")
        return self._changed(
            "clip",
            {"start_s": float(start_s), "end_s": float(end_s)},
            times_s=self.times_s[first:last] - start_s,
            seconds=end_s - start_s,
            sizes=None if self.sizes is None else self.sizes[first:last],
        )

    def with_sizes(self, sizes: Sizes, seed: int = 0) -> "Arrivals":
        """Give each request a size drawn from `sizes`."""
        drawn = sizes.draw(len(self), np.random.default_rng(seed))
        params = {"sizes": sizes.to_dict()}
        return self._changed("with_sizes", params, seed, sizes=drawn, size_name=sizes.name)

    def _part(self, keep: np.ndarray, name: str, params: dict[str, Any], seed: int | None = None) -> "Arrivals":
        sizes = None if self.sizes is None else self.sizes[keep]
        return self._changed(name, params, seed, times_s=self.times_s[keep], sizes=sizes)

    def _changed(self, name: str, params: dict[str, Any], seed: int | None = None, **changes: Any) -> "Arrivals":
        kept = {key: getattr(self, key) for key in ("times_s", "seconds", "sizes", "size_name")}
        return Arrivals(**{**kept, **changes}, name=name, seed=seed, params={**params, "of": self.to_dict()})

    # ---- records

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe, JSON-ready: a few numbers, whatever the length. Traces carry their times."""
        record: dict[str, Any] = {
            "name": self.name,
            "seed": self.seed,
            "params": dict(self.params),
            "digest": self.digest,
        }
        if self.name in ("given", "replay"):
            sizes = None if self.sizes is None else self.sizes.tolist()
            record |= {"times_s": self.times_s.tolist(), "seconds": self.seconds, "sizes": sizes}
            record |= {"size_name": self.size_name}
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Arrivals":
        """Make the schedule again from its recipe.

        Raises:
            ArrivalsError: an unknown recipe, or one that gives other bytes here (another NumPy made it).
        """
        # The makers are built on this value, so it can only ask for them when it needs one.
        from batchlab import arrivals

        made = arrivals.remake(record)
        if made.digest != record["digest"]:
            raise ArrivalsError(
                f"The recipe {record['name']!r} gives other times here than where it was written: its NumPy differs. "
                "Use the pinned versions of requirements.txt."
            )
        return made

    def save(self, path: Path | str) -> Path:
        """Write the times and sizes as a trace that `replay` reads: .csv, .json or .jsonl."""
        return traces.write(path, self.times_s, self.sizes, self.size_name)


def positive(**values: float) -> None:
    """Raise `ArrivalsError` unless every value is a finite number above zero.

    Named by the keyword, so that the message says which one.
    """
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ArrivalsError(f"{name} must be a finite number above 0, got {value}.")
