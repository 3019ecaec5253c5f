"""A learner's own numbers: what a question asks of one learner and not of the next, drawn from the learner's id.

Where nobody is named the numbers are the usual ones, of which a lab's prose and its committed solution speak. Else each
is drawn from a list of choices. Every choice must keep the lesson true: ``tests/test_own_numbers.py`` tries 200 ids.

A check draws anew, from the id that the grader knows, and asks no notebook for the numbers.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from batchlab.patients import seed_of

CHOICES = "choices"


class OwnNumbersError(ValueError):
    """A number that no learner can have drawn."""


def among(usual: Any, others: Iterable[Any]) -> Any:
    """Return a field of a dataclass: `usual` where nobody is named, else `usual` or one of `others`, each as likely."""
    return dataclasses.field(default=usual, metadata={CHOICES: (usual, *others)})


@dataclass(frozen=True)
class OwnNumbers:
    """The numbers of one lab, each a field made by `among`.

    Raises:
        OwnNumbersError: a value that is none of its field's choices.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            choices, value = field.metadata[CHOICES], getattr(self, field.name)
            if value not in choices:
                raise OwnNumbersError(f"{type(self).__name__}.{field.name} is one of {choices}, got {value!r}.")

    @classmethod
    def of(cls, learner: str) -> Self:
        """Return a learner's numbers, the usual ones for a blank id; case and blanks of the id do not count.

        A choice depends on id, lab and field alone: a field that is added later moves no other.
        """
        if not learner.strip():
            return cls()
        drawn = {}
        for field in dataclasses.fields(cls):
            choices = field.metadata[CHOICES]
            drawn[field.name] = choices[seed_of(f"{cls.__name__}.{field.name} of {learner}") % len(choices)]
        return cls(**drawn)


@dataclass(frozen=True)
class CurveNumbers(OwnNumbers):
    """Lab 01, question *interpolate*.

    Attributes:
        asked: a published profile of a compiled ResNet-50, and a batch size whose published time lies within 4 % of the
            line through the times of 1 and 128.
    """

    asked: tuple[str, int] = among(
        ("rn50-fp16-a100", 32),
        [
            *(("rn50-fp16-a100", size) for size in (16, 64)),
            *(("rn50-int8-a100", size) for size in (16, 32, 64)),
            *(("rn50-fp16-a30", size) for size in (16, 32, 64)),
            *((f"rn50-{precision}-a10", size) for precision in ("fp16", "int8") for size in (32, 64)),
        ],
    )


@dataclass(frozen=True)
class TailNumbers(OwnNumbers):
    """Lab 02, question *rule*.

    Attributes:
        percentile: of the promise, as a P99's 99.
        confidence: of the verdict.
    """

    percentile: float = among(99, [90, 95, 98, 99.5, 99.9])
    confidence: float = among(0.99, [0.9, 0.95])


@dataclass(frozen=True)
class QueueNumbers(OwnNumbers):
    """Lab 03, questions *locked* and *highest_rate*.

    Attributes:
        exam: published profile of the emulated device in the run that is predicted, and requests per second; at most
            three quarters of what the device carries.
        exam_burstiness, exam_seed: of that run's traffic.
        slo_ms, burstiness: limit of the P99, and burstiness of the traffic, of the search on the twin.
    """

    exam: tuple[str, int] = among(
        ("rn50-amp-t4-eager", 500),
        [
            *(("bertlarge384-fp16-a100", rate_rps) for rate_rps in (300, 400)),
            ("rn50-fp16-t4-triton", 600),
            *(("bertlarge384-fp16-t4", rate_rps) for rate_rps in (40, 50, 60)),
        ],
    )
    exam_burstiness: int = among(3, [2, 4])
    exam_seed: int = among(21, range(22, 61))
    slo_ms: int = among(100, [80, 120, 150])
    burstiness: float = among(8.0, [4.0, 16.0])


@dataclass(frozen=True)
class TuningNumbers(OwnNumbers):
    """Lab 04, questions *queue_limit* and *defend*.

    Attributes:
        carried: requests per second that a device answers, and the ms within which the last that waits must start.
        misses: seen by the proof that is defended.
    """

    carried: tuple[int, int] = among(
        (900, 60), [(250, 80), (300, 150), (400, 70), (500, 120), (650, 40), (800, 90), (1200, 40), (1500, 70)]
    )
    misses: int = among(2, [1, 3, 4, 5, 6, 7, 8, 9])


@dataclass(frozen=True)
class ShapeNumbers(OwnNumbers):
    """Lab 05, question *pixels*.

    Attributes:
        shares: in percent, of the photographs of 224, 320 and 448 pixels a side.
    """

    shares: tuple[int, int, int] = among(
        (70, 20, 10), [(50, 40, 10), (80, 15, 5), (40, 40, 20), (60, 5, 35), (30, 45, 25), (90, 5, 5), (20, 40, 40)]
    )


@dataclass(frozen=True)
class CapacityNumbers(OwnNumbers):
    """Lab 09, questions *in_use*, *predict_hourly* and *blended*.

    Attributes:
        trough_share: rate at midnight over rate at noon. With fuller nights whole replicas are so few that rounding
            decides what moves the bill most.
        headroom: share of each replica's rate that is left free.
        people_share: share of the requests that come from people; never half, where two mistakes would be right.
    """

    trough_share: float = among(0.25, [0.1, 0.15, 0.2, 0.3])
    headroom: float = among(0.2, [0.1, 0.15, 0.25, 0.3])
    people_share: float = among(0.4, [0.2, 0.25, 0.3, 0.35, 0.6, 0.65, 0.7])


@dataclass(frozen=True)
class ServerNumbers(OwnNumbers):
    """Lab 10, questions *units*, *queued* and *window*.

    Attributes:
        wait_ms: the longest wait that every server is told.
        queue: TensorFlow Serving's ``max_batch_size`` and ``max_enqueued_batches``.
        window_ms: for which LitServe's worker collects requests.
    """

    wait_ms: int = among(5, [2, 3, 4, 8, 10, 20])
    queue: tuple[int, int] = among((16, 6), [(4, 11), (8, 7), (8, 15), (16, 9), (24, 7), (32, 5), (64, 3)])
    window_ms: int = among(5, [2, 3, 4, 8, 10, 20])
