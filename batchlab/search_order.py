"""A search as it is ordered: grid, promise, traffic; carried out on the server, or on the twin and then proven."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchlab import arrivals, service_source, twin_tune
from batchlab.calibrate import calibrate
from batchlab.points import Knobs, Point, Search
from batchlab.schedule import Arrivals
from batchlab.service import Calibration
from batchlab.slo import Slo
from batchlab.tune import Tuner, capacity_rps, drive_server, grid
from batchlab.twin_tune import TwinSearch

if TYPE_CHECKING:
    from batchlab.server import Server

BATCHES, DELAYS_MS, INSTANCES = (1, 8, 32), (0, 2, 5, 20), (1,)
TWIN_BATCHES = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
TWIN_DELAYS_MS = (0, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
TWIN_INSTANCES = (1, 2, 4)
"""Where they share one device, of which a calibration knows. How copies share a processor no calibration tells."""


@dataclass(frozen=True)
class SearchOrder:
    """What is to be found, and by which traffic.

    Attributes:
        max_batch_size, max_delay_ms, instances: the axes of the grid; None takes a few values where each is measured,
            and many where each is simulated.
        max_queue_size: one more axis, 0 for no limit.
        burstiness: squared coefficient of variation of the gaps; 1 is Poisson.
        seconds: length of a screening run; on the twin, of a proof at least.
        folder: keeps the measurements, so that a search can be resumed.
    """

    model: str
    slo: Slo
    max_batch_size: Sequence[int] | None = None
    max_delay_ms: Sequence[float] | None = None
    instances: Sequence[int] | None = None
    max_queue_size: Sequence[int] = (0,)
    burstiness: float = 1.0
    seconds: float = 5.0
    seed: int = 0
    folder: Path | None = None

    def traffic(self, rate_rps: float, seconds: float, seed: int) -> Arrivals:
        """Return the traffic: Poisson, or in bursts."""
        if self.burstiness == 1.0:
            return arrivals.poisson(rate_rps, seconds, seed=seed)
        return arrivals.gamma(rate_rps, seconds, burstiness=self.burstiness, seed=seed)

    def cells(self) -> list[Knobs]:
        """Return the grid that is measured cell by cell."""
        return grid(
            self.max_batch_size or BATCHES,
            self.max_delay_ms or DELAYS_MS,
            self.instances or INSTANCES,
            self.max_queue_size,
        )

    def twin_cells(self, calibration: Calibration) -> list[Knobs]:
        """Return the grid that is simulated: as far as the calibration's knowledge goes, where no axis is given."""
        known = [size for size in TWIN_BATCHES if size <= calibration.service.max_batch]
        return grid(
            self.max_batch_size or known,
            self.max_delay_ms or TWIN_DELAYS_MS,
            self.instances or (TWIN_INSTANCES if calibration.shared_device else INSTANCES),
            self.max_queue_size,
        )

    def on_server(
        self, server: "Server", low_rps: float, high_rps: float | None, on_point: Callable[[Point], None]
    ) -> Search:
        """Measure every cell between two rates; 1.1 times the measured capacity where the upper is not given."""
        cells = self.cells()
        drive = drive_server(server, self.model)
        top = high_rps or 1.1 * capacity_rps(server, self.model, cells)
        tuner = Tuner(
            self.model,
            self.slo,
            drive,
            self.traffic,
            seconds=self.seconds,
            folder=self.folder,
            seed=self.seed,
            on_point=on_point,
        )
        return tuner.search(cells, low_rps, top)

    def on_twin(
        self, server: "Server", saved: Calibration | None, keep: Path | None, on_point: Callable[[Point], None]
    ) -> TwinSearch:
        """Simulate every cell, prove the few best on the server.

        Args:
            saved: a calibration of the same model; None makes one.
            keep: where a calibration that is made is written.

        Raises:
            CalibrateError, ServiceError, TwinError: the model cannot be calibrated, or `saved` is of another model or
                knows no batch as large as the grid asks for.
        """
        original = server.config(self.model)
        if saved is None:
            largest = max(self.max_batch_size or (min(original.max_batch_size, TWIN_BATCHES[-1]), 1))
            saved = calibrate(server, self.model, max_batch_size=largest)
            if keep:
                service_source.write_calibration(keep, saved)
        return twin_tune.search(
            original,
            saved,
            self.slo,
            drive_server(server, self.model),
            self.traffic,
            self.twin_cells(saved),
            live_seconds=self.seconds,
            folder=self.folder,
            seed=self.seed,
            on_point=on_point,
        )
