"""What a model costs, as the twin needs it: the time of a batch by its size, and the fixed times around it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from batchlab.profiles import Profile

MS_PER_S = 1000.0
COOLING_MS = 12.0
"""Over such a pause a processor forgets a model. The text model, 2,000 requests that found it idle: 0.4 ms more after a
pause of 3 ms, 0.8 after 12 ms, 1.2 after 30 ms, and no more after longer ones."""
LARGEST_DIP = 0.05
"""Published curves dip by up to 3 % from one size to the next; a larger dip is a mistake."""


class ServiceError(ValueError):
    """Service times or overheads that no server can have."""


@dataclass(frozen=True, eq=False)
class ServiceTime:
    """How long a batch keeps its device busy, by batch size.

    Attributes:
        batch_sizes: rising, from 1, shape ``(n,)``.
        mean_ms: mean time of a batch of that size, shape ``(n,)``; linear between the sizes.
        variation: coefficient of variation of the time of one batch (standard deviation over mean).
        law: what the time of one batch is drawn from: ``"lognormal"`` with that variation, or ``"exponential"``, whose
            variation is 1, the service of the M/M queues.
        source: where the numbers come from, for captions.
    """

    batch_sizes: np.ndarray
    mean_ms: np.ndarray
    variation: float = 0.0
    source: str = "given"
    law: Literal["lognormal", "exponential"] = "lognormal"

    def __post_init__(self) -> None:
        sizes, times = np.array(self.batch_sizes, dtype=int), np.array(self.mean_ms, dtype=float)
        if sizes.ndim != 1 or len(sizes) == 0 or sizes.shape != times.shape:
            raise ServiceError(f"{sizes.size} batch sizes and {times.size} service times. Give one time for each size.")
        if sizes[0] != 1 or np.any(np.diff(sizes) <= 0):
            raise ServiceError(f"Batch sizes {sizes.tolist()} must rise from 1. Sort them, and measure a batch of 1.")
        if not np.all(np.isfinite(times) & (times > 0)):
            raise ServiceError(f"Service times {times.tolist()} ms must be above 0.")
        dips = np.flatnonzero(times[1:] < times[:-1] * (1 - LARGEST_DIP))
        if len(dips):
            i = dips[0]
            raise ServiceError(
                f"A batch of {sizes[i + 1]} takes {times[i + 1]:g} ms, less than the {times[i]:g} ms of a batch of "
                f"{sizes[i]}: service times do not decrease. Measure both again."
            )
        if self.law not in ("lognormal", "exponential"):
            raise ServiceError(f"A service time is drawn lognormal or exponential, not {self.law!r}.")
        if not 0 <= self.variation < 10:
            raise ServiceError(f"A coefficient of variation is 0 or more (0.1 is usual), got {self.variation}.")
        object.__setattr__(self, "batch_sizes", sizes)
        object.__setattr__(self, "mean_ms", times)

    @classmethod
    def from_profile(cls, profile: Profile) -> "ServiceTime":
        """Take a published curve as it is, without spread."""
        return cls(profile.batch_sizes, profile.latencies_ms, source=profile.description)

    @classmethod
    def from_function(cls, batch_ms: Callable[[int], float], batch_sizes: Sequence[int]) -> "ServiceTime":
        """Tabulate a formula, such as ``lambda b: 10 + b``, at these sizes."""
        return cls(np.array(batch_sizes), np.array([batch_ms(int(size)) for size in batch_sizes]), source="a formula")

    @property
    def max_batch(self) -> int:
        """The largest size about which anything is known."""
        return int(self.batch_sizes[-1])

    def table_ms(self, max_batch: int) -> np.ndarray:
        """Return the time of each batch size from 0 (never used) to `max_batch`, shape ``(max_batch + 1,)``.

        Raises:
            ServiceError: `max_batch` lies beyond the largest known size.
        """
        if max_batch > self.max_batch:
            raise ServiceError(
                f"Service times are known up to batch {self.max_batch} ({self.source}), asked for {max_batch}. "
                "Nothing is extrapolated: calibrate with larger batches, or lower the max batch."
            )
        return np.interp(np.arange(max_batch + 1), self.batch_sizes, self.mean_ms)

    def latency_ms(self, batch: Any) -> Any:
        """Return the mean time of a batch of this size, or of an array of sizes."""
        return np.interp(batch, self.batch_sizes, self.mean_ms)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return {
            "batch_sizes": self.batch_sizes.tolist(),
            "mean_ms": self.mean_ms.tolist(),
            "variation": self.variation,
            "source": self.source,
            "law": self.law,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ServiceTime":
        """Rebuild from `to_dict`."""
        law = values.get("law", "lognormal")
        return cls(values["batch_sizes"], values["mean_ms"], values["variation"], values["source"], law)


@dataclass(frozen=True)
class Overheads:
    """The times around a batch, all in ms, as a calibration finds them.

    Attributes:
        send_ms: from the client's intended time to Triton's queue.
        dispatch_ms: from the moment at which an instance takes a batch to the start of its device. An instance that
            always has work loses it between any two batches; a second instance on the same device hides it.
        dispatch_item_ms: what each item of the batch adds to that (requests are unpacked and packed one by one).
        answer_ms: from the end of the device to the client.
        jitter_ms: what varies of the way from the client to the queue: exponential, with this mean.
        missed_wake: how often the batcher, told that an instance ends, looks before that instance counts as free, and
            then sleeps on until the next request comes, or for 500 ms. Only where nothing is formed ahead (priority
            levels, queue policies). A race in Triton: ``Payload::Execute`` tells the batcher before ``DequeuePayload``
            counts the instance, in ``src/payload.cc`` and ``src/rate_limiter.cc``.
        missed_lone: after a batch of a single request it misses so many times as often,
        missed_row: and the nth end of a row at which work waits ``1 - exp(-n/missed_row)`` times as often as later ones
            (0: each as often).
        cold_ms: what a batch takes longer after a long pause: caches, cores and clocks have cooled down.
        cooling_ms: after a pause of p ms it takes ``cold_ms * (1 - exp(-p/cooling_ms))`` longer.
    """

    send_ms: float = 0.0
    dispatch_ms: float = 0.0
    dispatch_item_ms: float = 0.0
    answer_ms: float = 0.0
    jitter_ms: float = 0.0
    missed_wake: float = 0.0
    missed_lone: float = 1.0
    missed_row: float = 0.0
    cold_ms: float = 0.0
    cooling_ms: float = COOLING_MS

    def __post_init__(self) -> None:
        if not 0 <= self.missed_wake <= 1:
            raise ServiceError(f"Overheads.missed_wake is {self.missed_wake}; a probability lies between 0 and 1.")
        for name, value in self.__dict__.items():
            if not (np.isfinite(value) and value >= 0):
                raise ServiceError(f"Overheads.{name} is {value}; it is 0 or more.")
        if not self.cooling_ms:
            raise ServiceError("Overheads.cooling_ms is 0; it is above 0. Without cooling, leave cold_ms at 0.")

    def between_ms(self, batch: Any) -> Any:
        """Return what a lone instance with work waiting loses before a batch of this size, or of an array of sizes."""
        return self.dispatch_ms + self.dispatch_item_ms * batch

    @property
    def round_trip_ms(self) -> float:
        """What a lone request pays beside its service."""
        return float(self.send_ms + self.between_ms(1) + self.answer_ms)


@dataclass(frozen=True)
class Calibration:
    """What one short run on a server told: enough to build a twin of it.

    Attributes:
        model: the calibrated model.
        service, overheads: the twin's terms.
        profile: the profile that an emulated model plays, empty otherwise.
        shared_device: instances compute one after another on one device, as an emulated accelerator's do.
        warnings: reasons not to trust it, empty where there are none.
        seconds: how long it took.
        details: what was seen on the way, for the record.
    """

    model: str
    service: ServiceTime
    overheads: Overheads
    profile: str = ""
    shared_device: bool = False
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.warnings

    def cycle_ms(self, batch: Any) -> Any:
        """Return the time from the end of one batch to the end of the next, of this size, where work always waits."""
        return self.service.latency_ms(batch) + self.overheads.between_ms(batch)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return {
            "model": self.model,
            "service": self.service.to_dict(),
            "overheads": dict(self.overheads.__dict__),
            "profile": self.profile,
            "shared_device": self.shared_device,
            "warnings": list(self.warnings),
            "seconds": self.seconds,
            "details": self.details,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Calibration":
        """Rebuild from `to_dict`."""
        return cls(
            model=values["model"],
            service=ServiceTime.from_dict(values["service"]),
            overheads=Overheads(**values["overheads"]),
            profile=values["profile"],
            shared_device=values["shared_device"],
            warnings=tuple(values["warnings"]),
            seconds=values["seconds"],
            details=dict(values["details"]),
        )
