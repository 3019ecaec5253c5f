"""Capacity curves, options and a business case, made without a server; shared by the tests of cost."""

from batchlab import capacity, frontier, twin
from batchlab.capacity import CapacityCurve
from batchlab.cost import Price
from batchlab.day import Day
from batchlab.frontier import Option
from batchlab.memo import Memo
from batchlab.profiles import synthetic_profile
from batchlab.scaling import Case
from batchlab.slo import Slo
from batchlab.spot import Spot

SLO = Slo(p99_ms=100)
PRICE = Price("A cloud", "a machine", "T4", 1, "north", 0.5, "2026-01-01", "https://example.com/prices")


def curve_of(max_batch: int, requests: int = 4000) -> CapacityCurve:
    made_up = twin.model(synthetic_profile(10, 1, 32), name="toy_t4", max_batch_size=max_batch)
    return capacity.of_twin(made_up, SLO, requests=requests, seed=1, name=f"batch {max_batch}")


def curves() -> list[CapacityCurve]:
    return [curve_of(8), curve_of(32)]


def found() -> list[Option]:
    return frontier.options(curves(), PRICE)


def case() -> Case:
    day = Day.of_requests(5e8)
    return Case.of(curve_of(32), day, PRICE, spot=Spot(0.6, 0.1, 10))


def memo() -> Memo:
    both = curves()
    priced = frontier.options(both, PRICE)
    best = next(curve for curve in both if curve.name == priced[0].name)
    return Memo("Sorting mail", best, priced[0], tuple(priced), Case.of(best, Day.of_requests(5e8), PRICE))
