"""The exhaustive tuner: every configuration of a grid, and for each the highest rate that keeps the SLO.

For one configuration the highest rate is found by bisection between nothing and the configuration's own capacity,
with short screening runs. Screening decides by the plain percentile and proves nothing. The winner is then confirmed
with a run long enough for a verdict at the stated confidence; where the verdict is not PASS, the rate steps down and
is confirmed anew, because the largest of several noisy measurements is more likely lucky than good.

A run whose sender was late says nothing about the server, unless it broke the SLO by more than that. It is made again
with the same traffic; where it stays so, the search goes on below that rate, and says that the sender was its limit.

Every measurement is a saved run and one line in ``points.jsonl``. A tuner that is started again on the same folder
reads them and measures only what is missing.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchlab import changes
from batchlab.arrivals import Arrivals
from batchlab.load import closed_loop, open_loop
from batchlab.measure import Run
from batchlab.points import Knobs, Point, PointLog, Search
from batchlab.recording import server_gone
from batchlab.repository import ModelConfig
from batchlab.slo import Slo, min_requests

if TYPE_CHECKING:
    from batchlab.server import Server

SAFE_SHARE = 1.3  # A confirmation run holds this many times the requests of the rule, to afford a few misses.
STEP_DOWN = 0.95  # After a confirmation that did not pass.
REPEATS = 2  # Of a run whose sender was late: most often something else was busy for a moment.

Pattern = Callable[[float, float, int], Arrivals]
"""Makes traffic: (rate_rps, seconds, seed) -> Arrivals."""

Drive = Callable[[Knobs, Arrivals], Run]
"""Configures the server and sends the traffic: (knobs, arrivals) -> Run."""

Ends = Callable[[Knobs], float]  # where each configuration's bisection ends: knobs -> rate_rps


class TuneError(ValueError):
    """A search that cannot be made: an empty grid, a bracket that is no bracket."""


def grid(
    max_batch_size: Iterable[int] = (1, 8, 32),
    max_delay_ms: Iterable[float] = (0, 2, 5, 20),
    instances: Iterable[int] = (1,),
    max_queue_size: Iterable[int] = (0,),
) -> list[Knobs]:
    """Return every combination, with what cannot differ said once: a batch of 1 never waits for company.

    Raises:
        TuneError: an empty axis, or a value out of range.
    """
    axes: list[list[float]] = [list(max_batch_size), list(max_delay_ms), list(instances), list(max_queue_size)]
    names = ("max_batch_size", "max_delay_ms", "instances", "max_queue_size")
    for name, axis, least in zip(names, axes, (1, 0, 1, 0), strict=True):
        if not axis:
            raise TuneError(f"The grid's axis {name} is empty. Give it at least one value.")
        for value in axis:
            if value < least:
                raise TuneError(f"{name} = {value} is out of range; the least is {least}.")
    found = {
        Knobs(int(batch), 0 if batch == 1 else round(delay * 1000), int(count), int(queue))
        for batch in axes[0]
        for delay in axes[1]
        for count in axes[2]
        for queue in axes[3]
    }
    return sorted(found)


class Tuner:
    """Finds the configuration of highest throughput under an SLO.

    Args:
        model: name for the records.
        slo: the promise to keep.
        drive: configures the server and sends the traffic; `drive_server` makes one for a running Triton.
        pattern: the traffic, as a function of rate, seconds and seed.
        seconds: length of a screening run.
        tolerance: the bisection stops when its bracket is this share of the upper end.
        folder: where ``points.jsonl`` is kept, so that a search can be resumed; None keeps it in memory.
        seed: of the traffic; each rate of a search sees the same seed, each confirmation another one.
        on_point: called with each new measurement, for a progress bar.

    Attributes:
        sender_limited: configurations whose highest rate the sender set and not the server, with the measurement that
            could not be had.
    """

    def __init__(
        self,
        model: str,
        slo: Slo,
        drive: Drive,
        pattern: Pattern,
        *,
        seconds: float = 5.0,
        tolerance: float = 0.05,
        folder: Path | None = None,
        seed: int = 0,
        on_point: Callable[[Point], None] = lambda point: None,
    ) -> None:
        if seconds <= 0 or not 0 < tolerance < 1:
            raise TuneError(f"seconds = {seconds} must be positive and tolerance = {tolerance} between 0 and 1.")
        self.model, self.slo, self.drive, self.pattern = model, slo, drive, pattern
        self.seconds, self.tolerance, self.seed, self.on_point = seconds, tolerance, seed, on_point
        self.sender_limited: dict[Knobs, Point] = {}
        self._log = PointLog(folder, {"model": model, "slo": str(slo), "seconds": seconds, "seed": seed})

    @property
    def points(self) -> list[Point]:
        """Every measurement, in the order in which it was made."""
        return list(self._log)

    def measure(self, knobs: Knobs, rate_rps: float, *, purpose: str = "screen", seed: int | None = None) -> Point:
        """Measure one configuration at one rate, or return the valid measurement that an earlier search made.

        A run that is not valid is made again with the same traffic, up to `REPEATS` times; the last one counts.
        """
        seed = self.seed if seed is None else seed
        known = self._log.find((knobs, round(rate_rps, 6), seed, purpose))
        if known and known.valid:
            return known
        seconds = self.seconds
        if purpose == "confirm":
            seconds = max(seconds, SAFE_SHARE * min_requests(3, self.slo.percentile) / rate_rps)
        arrivals = self.pattern(rate_rps, seconds, seed)
        for _ in range(1 + REPEATS):
            point = Point.of(self.drive(knobs, arrivals), self.slo, knobs, rate_rps, seed=seed, purpose=purpose)
            self._log.add(point)
            self.on_point(point)
            if point.valid:
                break
        return point

    def highest_rate(self, knobs: Knobs, low_rps: float, high_rps: float) -> Point | None:
        """Bisect for the highest rate within the SLO between two rates; None when even `low_rps` breaks it.

        A rate that could not be measured bounds the search from above, too, and the configuration is then noted in
        `sender_limited`: the answer, None included, may be too low.

        Raises:
            TuneError: the bracket is empty or negative.
        """
        if not 0 < low_rps < high_rps:
            raise TuneError(f"No bracket: the rates {low_rps:g} and {high_rps:g} must be positive and rising.")
        self.sender_limited.pop(knobs, None)
        best = self.measure(knobs, low_rps)
        if not best.within_slo:
            self._note(best)
            return None
        top = self.measure(knobs, high_rps)
        if top.within_slo:
            return top
        while top.rate_rps - best.rate_rps > self.tolerance * top.rate_rps:
            middle = self.measure(knobs, (best.rate_rps + top.rate_rps) / 2)
            if middle.within_slo:
                best = middle
            else:
                top = middle
        self._note(top)
        return best

    def _note(self, end: Point) -> None:
        """Remember that a search ended at a measurement that could not be had."""
        if not end.valid:
            self.sender_limited[end.knobs] = end

    def confirm(self, point: Point, tries: int = 4, step_down: float = STEP_DOWN) -> Point | None:
        """Confirm a screening point with a longer run and fresh traffic, stepping the rate down until it passes.

        The verdict is the plain rule's, which takes requests as independent. Discounted (``correlated=True``), no run
        of this length could pass at a load worth finding: at 80 % even one without a miss takes ten to twenty thousand
        requests (simulated in tests/test_tune.py), ten times as many, for each try. Before you promise the winner's
        rate to anybody, judge one long run of it by ``verdict(run, slo, correlated=True)``.
        """
        rate_rps = point.rate_rps
        for attempt in range(tries):
            proof = self.measure(point.knobs, rate_rps, purpose="confirm", seed=self.seed + 1 + attempt)
            if proof.outcome == "PASS":
                return proof
            self._note(proof)
            rate_rps *= step_down
        return None

    def search(self, configurations: Iterable[Knobs], low_rps: float, high_rps: float | Ends) -> Search:
        """Find each configuration's highest rate, then confirm the best, and the next best where it fails."""
        found = Search(self.model, self.slo)
        for knobs in configurations:
            end_rps = high_rps(knobs) if callable(high_rps) else high_rps
            found.highest[knobs] = self.highest_rate(knobs, low_rps, end_rps)
        if not found.highest:
            raise TuneError("The grid is empty: there is no configuration to measure.")
        for candidate in found.ranked:
            # A runner-up is worth its proof only while it could still beat what is proven.
            if found.confirmed and candidate.rate_rps <= found.confirmed.rate_rps:
                break
            proof = self.confirm(candidate)
            if proof and (found.confirmed is None or proof.rate_rps > found.confirmed.rate_rps):
                found.confirmed = proof
        found.points, found.sender_limited = self.points, dict(self.sender_limited)
        return found


def configured(config: ModelConfig, knobs: Knobs) -> ModelConfig:
    """Return `config` with its batcher and instances set to `knobs`; everything else stays."""
    wanted: dict[str, Any] = {"max_batch_size": knobs.max_batch_size, "instances": knobs.instances}
    if not knobs.batching:
        wanted["dynamic_batching"] = None
    else:
        wanted["max_queue_delay_microseconds"] = knobs.max_delay_us
        # A limit of 0 is left unsaid: Triton schedules differently as soon as any queue policy is set.
        if knobs.max_queue_size:
            wanted["max_queue_size"] = knobs.max_queue_size
    return changes.apply(config, wanted)


def drive_server(server: "Server", model: str, *, inputs: Any = None, workers: int = 1) -> Drive:
    """Return a `Drive` that reloads `model` with each new configuration and sends the traffic in an open loop.

    The model is reloaded only when the knobs change, since a reload takes a second or two. A run that was cut short
    says nothing that a search could use: an interrupt ends the search (`KeyboardInterrupt`), and so does a server that
    is gone (`TuneError`). What was measured before stays in the search's folder.
    """
    original = server.config(model)
    current: list[Knobs] = []

    def drive(knobs: Knobs, arrivals: Arrivals) -> Run:
        if current != [knobs]:
            server.load(model, configured(original, knobs))
            current[:] = [knobs]
        settings = {"knobs": asdict(knobs)}
        run = open_loop(server, model, arrivals, inputs=inputs, workers=workers, settings=settings, progress=False)
        if run.partial and (gone := server_gone(run)):
            raise TuneError(f"The search stopped. {gone} A search with a folder goes on where it was.")
        if run.partial:
            raise KeyboardInterrupt  # The conductor turned the first Ctrl-C into an early end.
        return run

    return drive


def capacity_rps(server: "Server", model: str, configurations: Iterable[Knobs], *, seconds: float = 2.0) -> float:
    """Return the highest throughput that a crowd of waiting clients draws from the largest configuration.

    No open-loop rate above it can be carried for long, so it is the upper end of the search.
    """
    largest = max(configurations, key=lambda knobs: (knobs.max_batch_size, knobs.instances))
    original, clients = server.config(model), min(256, 2 * largest.max_batch_size * largest.instances)
    server.load(model, configured(original, largest))
    run = closed_loop(server, model, clients=clients, seconds=seconds, progress=False)
    server.load(model, original)
    return run.throughput_rps
