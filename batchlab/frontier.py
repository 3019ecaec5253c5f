"""Options to choose from, by cost, tail and rate: which of them no other beats, and what a mixture of two costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from batchlab.capacity import CapacityCurve, CapacityError
from batchlab.cost import CostError, Price, usd_per_1000
from batchlab.provenance import Provenance


@dataclass(frozen=True)
class Option:
    """One configuration on one machine, at its highest rate within the SLO.

    Attributes:
        rate_rps: offered to one replica.
        tail_ms: latency at the SLO's percentile there.
        usd_per_1000: of 1000 answers within the SLO, by a replica that is never idle.
        share_within: share of the requests answered within the SLO there.
        note: where the numbers come from, where there is no provenance.
    """

    name: str
    price: Price
    rate_rps: float
    tail_ms: float
    usd_per_1000: float
    share_within: float
    provenance: Provenance | None = None
    note: str = ""


def option(curve: CapacityCurve, price: Price, name: str = "") -> Option:
    """Return what a curve and a price make.

    Raises:
        CapacityError: no rate of the curve keeps its SLO.
    """
    best = curve.highest
    return Option(
        name=name or curve.name,
        price=price,
        rate_rps=best.rate_rps,
        tail_ms=best.tail_ms,
        usd_per_1000=usd_per_1000(price.usd_per_gpu_hour, best.rate_rps * best.share_within),
        share_within=best.share_within,
        provenance=curve.provenance,
        note=curve.note,
    )


def options(curves: Sequence[CapacityCurve], price: Price) -> list[Option]:
    """Return the options among curves, cheapest first; those that keep the SLO nowhere are left out.

    Raises:
        CapacityError: none keeps it, or there is no curve.
    """
    if not curves:
        raise CapacityError("There is no capacity curve to price.")
    found, near = [], []
    for curve in curves:
        try:
            found.append(option(curve, price))
        except CapacityError:
            near.append(min(curve.points, key=lambda point: point.tail_ms))
    if not found:
        best = min(near, key=lambda point: point.tail_ms)
        raise CapacityError(
            f"No configuration of {len(curves)} keeps {curves[0].slo} at any rate; the nearest reached "
            f"{best.tail_ms:.4g} ms at {best.rate_rps:.4g}/s. Relax the limit, or take a faster model."
        )
    return sorted(found, key=lambda each: (each.usd_per_1000, each.tail_ms))


def beats(one: Option, other: Option) -> bool:
    """Whether one is at least as good in cost, tail and rate, and better in one of them."""
    left = (one.usd_per_1000, one.tail_ms, -one.rate_rps)
    right = (other.usd_per_1000, other.tail_ms, -other.rate_rps)
    return left != right and all(a <= b for a, b in zip(left, right, strict=True))


def front(found: Sequence[Option]) -> list[Option]:
    """Return the options that no other beats, cheapest first.

    Raises:
        CapacityError: there are none at all.
    """
    if not found:
        raise CapacityError("A Pareto front needs at least one option.")
    kept = [each for each in found if not any(beats(other, each) for other in found)]
    return sorted(kept, key=lambda each: each.usd_per_1000)


def blend(shares: Sequence[tuple[Option, float]]) -> float:
    """Return the cost of 1000 answers where each option serves its share of the requests: ``sum(share * cost)``.

    Raises:
        CostError: the shares are not from 0 to 1, or do not add up to 1.
    """
    total = sum(share for _, share in shares)
    if any(not 0 <= share <= 1 for _, share in shares) or abs(total - 1) > 1e-9:
        raise CostError(f"Shares lie between 0 and 1 and add up to 1, got {[share for _, share in shares]}.")
    return sum(each.usd_per_1000 * share for each, share in shares)


def table(found: Sequence[Option]) -> pd.DataFrame:
    """Return one row per option, with whether it is on the front."""
    best = front(found)
    rows = [
        {
            "option": each.name,
            "gpu": each.price.gpu,
            "usd_per_gpu_hour": each.price.usd_per_gpu_hour,
            "rate_rps": each.rate_rps,
            "tail_ms": each.tail_ms,
            "usd_per_1000": each.usd_per_1000,
            "on_front": each in best,
        }
        for each in found
    ]
    return pd.DataFrame(rows)
