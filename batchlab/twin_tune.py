"""The tuner on the twin: thousands of configurations simulated, the few best measured.

The exhaustive tuner (`batchlab.tune`) pays several runs on the server for every configuration. Here the server is
asked only for the calibration and for the proof. What is deployed is always what was proven on the server.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from batchlab import simulate, twin
from batchlab.configuration import ModelConfig
from batchlab.measure import Run
from batchlab.points import Knobs, Point, Search
from batchlab.schedule import Arrivals
from batchlab.service import Calibration
from batchlab.slo import Slo
from batchlab.tune import Drive, Pattern, TuneError, Tuner, configured
from batchlab.twin import Twin

SIMULATED_REQUESTS = 20_000
LOWEST_SHARE = 0.05
"""Of a configuration's capacity: the rate that any configuration should carry."""
STEPS, STEP_DOWN = 5, 0.97
"""Of a proof: the twin's rates are close, so the server is asked in smaller steps than after a screening."""
NO_BETTER = 1.005
"""What must be gained over the best so far for a configuration to be looked at closely."""


@dataclass
class TwinSearch:
    """What a search on the twin found, and what it cost.

    Attributes:
        calibration: what the twin knew of the server.
        considered: configurations simulated.
        simulated: simulated runs.
        predicted: the twin's own search. It holds the highest rate of those configurations that were, when they came,
            better than all before them; the others could not beat these and have None.
        live: the measurements on the server, and the configuration they confirmed.
    """

    calibration: Calibration
    considered: int
    simulated: int
    predicted: Search
    live: Search = field(repr=False)

    @property
    def confirmed(self) -> Point | None:
        """The measurement on the server that kept the SLO at the stated confidence; None where none did."""
        return self.live.confirmed

    @property
    def live_measurements(self) -> int:
        """Runs on the server: the calibration's and the proof's."""
        return int(self.calibration.details.get("runs", 0)) + len(self.live.points)

    def __str__(self) -> str:
        best = self.predicted.ranked[:1]
        told = (
            f"The twin considered {self.considered} configurations in {self.simulated} simulated runs; "
            f"{self.live_measurements} runs on the server. "
        )
        if self.calibration.warnings:
            told += "The calibration is not to be trusted: " + " ".join(self.calibration.warnings) + " "
        if best:
            told += f"It predicted {best[0].rate_rps:.0f} requests/s for {best[0].knobs}. "
        return told + str(self.live)


class TwinDrive:
    """A `Drive` that plays the traffic on the twin of a model, with the knobs it is given.

    Args:
        config: the model's configuration; its batcher and instances give way to the knobs.
        calibration: what a batch costs on it.
    """

    def __init__(self, config: ModelConfig, calibration: Calibration) -> None:
        self._config, self._calibration = config, calibration
        self._known: dict[Knobs, Twin] = {}

    def twin(self, knobs: Knobs) -> Twin:
        """Return the twin with these knobs, built once."""
        if knobs not in self._known:
            self._known[knobs] = twin.of(configured(self._config, knobs), self._calibration)
        return self._known[knobs]

    def __call__(self, knobs: Knobs, arrivals: Arrivals) -> Run:
        """Simulate the traffic."""
        return simulate.simulate(self.twin(knobs), arrivals)


def search(
    config: ModelConfig,
    calibration: Calibration,
    slo: Slo,
    live: Drive,
    pattern: Pattern,
    configurations: Iterable[Knobs],
    *,
    candidates: int = 3,
    live_seconds: float = 5.0,
    simulated_requests: int = SIMULATED_REQUESTS,
    folder: Path | None = None,
    seed: int = 0,
    on_point: Callable[[Point], None] = lambda point: None,
) -> TwinSearch:
    """Find the best configuration on the twin, prove it on the server, stop when no other could beat it.

    Args:
        config: the model's configuration, as ``server.config(model)`` gives it.
        calibration: of the same model (`calibrate.calibrate`).
        live: configures the server and sends the traffic (`tune.drive_server`).
        pattern: the traffic, as a function of rate, seconds and seed; any schedule.
        configurations: what to consider, such as `tune.grid`.
        candidates: how many of the best may be tried on the server.
        live_seconds: least length of a proving run.
        simulated_requests: length of a simulated run.
        folder: keeps the live measurements, so that a search can be resumed.
        on_point: called with each measurement, simulated or live; `Point.run_id` of a simulated one is empty.

    Raises:
        TuneError: no configurations.
    """
    wanted = list(configurations)
    if not wanted:
        raise TuneError("The grid is empty: there is no configuration to simulate.")
    play = TwinDrive(config, calibration)
    predicted = Search(config.name, slo)
    simulated = 0
    best = 0.0
    for knobs in wanted:
        capacity = play.twin(knobs).capacity_rps()
        # A run as long as the capacity asks for: the same number of requests for a slow model and a fast one.
        seconds = simulated_requests / capacity
        player = Tuner(config.name, slo, play, pattern, seconds=seconds, tolerance=0.01, seed=seed, on_point=on_point)
        predicted.highest[knobs] = None
        bar = best * NO_BETTER
        if bar < capacity and (bar == 0 or player.measure(knobs, bar).within_slo):
            found = player.highest_rate(knobs, bar or LOWEST_SHARE * capacity, capacity)
            predicted.highest[knobs] = found
            best = max(best, found.rate_rps if found else 0.0)
        simulated += len(player.points)
        predicted.points += player.points
    prover = Tuner(config.name, slo, live, pattern, seconds=live_seconds, folder=folder, seed=seed, on_point=on_point)
    proven = Search(config.name, slo)
    for candidate in predicted.ranked[:candidates]:
        if proven.confirmed and candidate.rate_rps <= proven.confirmed.rate_rps:
            break
        proof = prover.confirm(candidate, STEPS, STEP_DOWN)
        proven.highest[candidate.knobs] = proof
        if proof and (proven.confirmed is None or proof.rate_rps > proven.confirmed.rate_rps):
            proven.confirmed = proof
    proven.points, proven.sender_limited = prover.points, dict(prover.sender_limited)
    return TwinSearch(calibration, len(wanted), simulated, predicted, proven)
