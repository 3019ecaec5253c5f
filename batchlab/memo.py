"""A memo of one page for those who pay: text and figure, every number taken from the objects that it is about."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from batchlab.capacity import CapacityCurve
from batchlab.cost import unit
from batchlab.frontier import Option, front
from batchlab.scaling import WAYS, Case, FleetBill
from batchlab.sensitivity import Swing, tornado

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = (".png", ".pdf", ".svg")
DAYS_A_YEAR = 365


class MemoError(ValueError):
    """A memo that cannot be written where it was asked for, or about options that it was not given."""


@dataclass(frozen=True)
class Memo:
    """What is recommended, what it costs, and what could prove it wrong.

    Attributes:
        service: what it is about, in words.
        curve: of the configuration that is recommended.
        chosen: the option that is recommended.
        options: all that were looked at.
        case: the business case of the chosen option.
        bills: the fleets compared; by default every one of `scaling.WAYS`.
        swings: what moves the cost; by default of the static fleet.
    """

    service: str
    curve: CapacityCurve
    chosen: Option
    options: tuple[Option, ...]
    case: Case
    bills: tuple[FleetBill, ...] = field(default=())
    swings: tuple[Swing, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.chosen not in self.options:
            raise MemoError(f"{self.chosen.name} is recommended, and is not among the options that are given.")
        if not self.bills:
            object.__setattr__(self, "bills", tuple(way(self.case) for way in WAYS.values()))
        if not self.swings:
            object.__setattr__(self, "swings", tuple(tornado(self.case)))

    @property
    def cheapest(self) -> FleetBill:
        """The fleet with the lowest cost of an answer among those that turn no more away than the SLO allows."""
        allowed = self.curve.slo.allowed_miss_rate
        able = [bill for bill in self.bills if 1 - bill.within / bill.offered <= allowed + 1e-12]
        return min(able or self.bills, key=lambda bill: bill.usd_per_1000)

    def text(self, figure: str = "") -> str:
        """Return the memo in Markdown.

        Args:
            figure: address of its picture, if it has one.
        """
        first, best, case = self.bills[0], self.cheapest, self.case
        saved = first.usd_per_day - best.usd_per_day
        lines = [
            f"# {self.service}: what an answer costs",
            "",
            f"**Recommendation.** Run {_placed(self.chosen)} with the {best.name} fleet: "
            f"{self._cost(best.usd_per_1000)} answers within the SLO, "
            f"{_usd(best.usd_per_day)} a day"
            + (f", {_usd(saved)} a day less than the {first.name} fleet." if saved > 0 else "."),
            "",
            f"**Promise.** {self.curve.slo}: one replica carries {self.chosen.rate_rps:,.0f} requests/s with its "
            f"P{self.curve.slo.percentile:g} at {self.chosen.tail_ms:.3g} ms. "
            f"The day brings {case.day.requests:,.0f} requests, {case.day.peak_rps:,.0f}/s at noon and "
            f"{case.day.trough_rps:,.0f}/s at night.",
            "",
            f"| fleet | replicas | USD a day | USD a year | USD per {self._unit[1]} | in use | turned away |",
            "|---|---|---|---|---|---|---|",
            *(_row(bill, self._unit[0]) for bill in self.bills),
            "",
            *(f"- {bill.name}: {bill.assumption}." for bill in self.bills),
            "",
            f"**Instead of it.** {self._alternatives()}",
            "",
            f"**What could change this.** {self._risk()}",
            "",
            f"Price: {case.price}, {case.price.dated} ({case.price.source}). Headroom {100 * case.headroom:g} %, "
            f"{case.spare:g} spare. {self._origin()}",
        ]
        if figure:
            lines += ["", f"![What a replica carries, the day, what moves the cost, the options]({figure})"]
        return "\n".join(lines) + "\n"

    def figure(self) -> "Figure":
        """Return the memo's picture: capacity, day, sensitivity, options."""
        from batchlab.plots.canvas import styled

        return styled(self._drawn)()

    def _drawn(self) -> "Figure":
        import matplotlib.pyplot as plt

        from batchlab import plots

        origin, note = self.curve.provenance, self.curve.note
        figure, ((one, two), (three, four)) = plt.subplots(2, 2, figsize=(14, 9.5), layout="constrained")
        plots.capacity_curves([self.curve], ax=one)
        plots.fleets_over_day(self.bills, self.case, provenance=origin, note=note, ax=two)
        plots.tornado(self.swings, provenance=origin, note=note, ax=three)
        plots.cost_front(self.options, ax=four)
        return figure

    def save(self, path: Path | str) -> list[Path]:
        """Write the text as Markdown to `path`, and the picture beside it; or, by its ending, the picture to `path`.

        Raises:
            MemoError: no such folder, or an ending that is neither ``.md`` nor one of `FIGURES`.
        """
        import matplotlib.pyplot as plt

        path = Path(path)
        if path.suffix not in (".md", *FIGURES):
            raise MemoError(f"A memo is written to .md, its picture to {', '.join(FIGURES)}; got {path.name!r}.")
        if not path.resolve().parent.is_dir():
            raise MemoError(f"There is no folder {path.resolve().parent}; make it first.")
        picture = path if path.suffix in FIGURES else path.with_suffix(".png")
        words = path.with_suffix(".md")
        drawn = self.figure()
        drawn.savefig(picture)
        plt.close(drawn)
        words.write_text(self.text(picture.name), encoding="utf-8")
        return [words, picture]

    @property
    def _unit(self) -> tuple[float, str]:
        return unit(max(bill.usd_per_1000 for bill in self.bills))

    def _cost(self, usd_per_1000: float) -> str:
        factor, many = self._unit
        return f"{_usd(usd_per_1000 * factor)} per {many}"

    def _alternatives(self) -> str:
        others = [each for each in front(self.options) if each != self.chosen]
        if not others:
            return "No other option is better in cost, latency or rate."
        told = [
            f"{_placed(each)}: {self._cost(each.usd_per_1000)} at full use, "
            f"P{self.curve.slo.percentile:g} {each.tail_ms:.3g} ms, {each.rate_rps:,.0f}/s a replica"
            for each in others[:4]
        ]
        mine = f"{self._cost(self.chosen.usd_per_1000)} at full use"
        return f"The recommended one costs {mine}. Better in at least one respect: {'; '.join(told)}."

    def _risk(self) -> str:
        widest = self.swings[0]
        assumed = (
            "The discount and the interruptions of spot machines are assumed. " if self.cheapest.name == "spot" else ""
        )
        return (
            f"Of the inputs moved one at a time, {widest.label} moves the cost most: from {widest.low:.4g} to "
            f"{widest.high:.4g} it goes from {self._cost(widest.at_low)} to {self._cost(widest.at_high)}. "
            f"{assumed}{self.curve.doubt}".rstrip()
        )

    def _origin(self) -> str:
        origin = self.curve.provenance
        return f"Numbers: {origin.caption() if origin else self.curve.note}."


def _usd(value: float) -> str:
    return f"{value:,.0f} USD" if value >= 100 else f"{value:.3g} USD"


def _placed(option: Option) -> str:
    """Name an option and its GPU, once."""
    return option.name if option.price.gpu in option.name else f"{option.name} on {option.price.gpu}"


def _row(bill: FleetBill, factor: float) -> str:
    least, most = int(bill.hours["replicas"].min()), int(bill.hours["replicas"].max())
    count = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"| {bill.name} | {count} | {bill.usd_per_day:,.0f} | {bill.usd_per_day * DAYS_A_YEAR:,.0f} | "
        f"{bill.usd_per_1000 * factor:.3g} | {100 * bill.utilisation:.0f} % | {bill.turned_away} |"
    )
