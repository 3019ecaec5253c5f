"""Published throughputs: what others measured on a named GPU, each with its latency and its source."""

import csv
import math
from dataclasses import dataclass
from importlib import resources

from batchlab.cost import Price, usd_per_1000


class PublishedError(ValueError):
    """A row of the data file that does not hold."""


@dataclass(frozen=True)
class Published:
    """One published measurement.

    Attributes:
        scenario: how it was loaded; MLPerf Server keeps a P99 bound under Poisson traffic, Offline keeps none.
        inferences_per_s: of one GPU.
        latency_ms: by `statistic` (``"mean"`` or ``"P99"``); None where nothing bounds it.
        bound_ms: the P99 that had to be kept; None where there was none.
        source: address of the log or table.
    """

    name: str
    model: str
    gpu: str
    precision: str
    scenario: str
    inferences_per_s: float
    latency_ms: float | None
    statistic: str
    bound_ms: float | None
    source: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.inferences_per_s) and self.inferences_per_s > 0):
            raise PublishedError(f"{self.name}: {self.inferences_per_s} inferences/s. It must be above 0.")

    def usd_per_1000(self, price: Price) -> float:
        """Return what 1000 inferences cost on a GPU of this price that is never idle."""
        return usd_per_1000(price.usd_per_gpu_hour, self.inferences_per_s)


def load_published() -> dict[str, Published]:
    """Return every shipped measurement by name, ``data/published_throughput.csv``.

    Raises:
        PublishedError: a row that does not hold; the message gives its line.
    """
    text = resources.files("batchlab").joinpath("data/published_throughput.csv").read_text(encoding="utf-8")
    return parse(text)


def parse(text: str) -> dict[str, Published]:
    """Read such rows from the text of a CSV file.

    Raises:
        PublishedError: see `load_published`.
    """
    found: dict[str, Published] = {}
    for line, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        try:
            words = {key: row[key] for key in ("name", "model", "gpu", "precision", "scenario", "statistic", "source")}
            made = Published(
                inferences_per_s=float(row["inferences_per_s"]),
                latency_ms=float(row["latency_ms"]) if row["latency_ms"] else None,
                bound_ms=float(row["bound_ms"]) if row["bound_ms"] else None,
                **words,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise PublishedError(f"published_throughput.csv, line {line}: {error}") from error
        if made.name in found:
            raise PublishedError(f"published_throughput.csv, line {line}: {made.name!r} is there twice. Rename one.")
        found[made.name] = made
    return found
