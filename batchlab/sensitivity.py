"""What moves a cost most: one input at a time, low and high, all others as they were."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from batchlab.cost import CostError
from batchlab.scaling import INPUTS, Case

LABELS = {
    "usd_per_hour": "price of a machine (USD/h)",
    "rate_rps": "rate of a replica within the SLO (1/s)",
    "requests": "requests a day",
    "trough_share": "rate at night / rate at noon",
    "headroom": "headroom (share)",
    "spare": "spare replicas",
    "share_within": "answers within the SLO (share)",
}


@dataclass(frozen=True)
class Swing:
    """How far one input moves the cost.

    Attributes:
        name: one of `scaling.INPUTS`.
        low, base, high: values of the input.
        at_low, at_base, at_high: cost there.
    """

    name: str
    low: float
    base: float
    high: float
    at_low: float
    at_base: float
    at_high: float

    @property
    def width(self) -> float:
        """Distance between the lowest and the highest cost."""
        costs = (self.at_low, self.at_base, self.at_high)
        return max(costs) - min(costs)

    @property
    def label(self) -> str:
        """The input in words, with its unit."""
        return LABELS.get(self.name, self.name)


def static_usd_per_1000(case: Case) -> float:
    """Return the unit cost of the static fleet, the default measure."""
    return case.static().usd_per_1000


def around(case: Case, share: float = 0.2, names: Sequence[str] = INPUTS[:5]) -> dict[str, tuple[float, float]]:
    """Return ranges of the same relative width about each input: comparable, and no forecast.

    Raises:
        CostError: the share does not lie between 0 and 1.
    """
    if not 0 < share < 1:
        raise CostError(f"A share about the input lies between 0 and 1, got {share}.")
    return {name: (case.value(name) * (1 - share), case.value(name) * (1 + share)) for name in names}


def tornado(
    case: Case,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    cost: Callable[[Case], float] = static_usd_per_1000,
) -> list[Swing]:
    """Move each input alone from its low to its high value, and return the swings, widest first.

    Args:
        ranges: input -> (low, high); by default `around` the case. Ranges that you believe in tell more.
        cost: what is looked at.

    Raises:
        CostError: no range, a low value above its high one, an unknown input, or a value out of range.
    """
    chosen = around(case) if ranges is None else ranges
    if not chosen:
        raise CostError("A tornado needs at least one input with its range.")
    at_base = cost(case)
    swings = []
    for name, (low, high) in chosen.items():
        if low > high:
            raise CostError(f"The range of {name} runs from {low:g} down to {high:g}; give the lower value first.")
        at_low, at_high = (cost(case.changed(name, value)) for value in (low, high))
        swings.append(Swing(name, low, case.value(name), high, at_low, at_base, at_high))
    return sorted(swings, key=lambda swing: -swing.width)
