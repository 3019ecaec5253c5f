"""One function per picture; each draws into `ax` (or makes its own), returns it, and leaves the global style alone.

Every picture carries the tier and the provenance of its numbers at its foot.
"""

from batchlab.plots.canvas import use_style
from batchlab.plots.configurations import pareto, slo_surface
from batchlab.plots.errors import PlotError
from batchlab.plots.inside import batch_histogram, time_in_server
from batchlab.plots.money import capacity_curves, cost_front, fleets_over_day, tornado
from batchlab.plots.palette import COLOURS, shades
from batchlab.plots.photographs import photographs
from batchlab.plots.queues import formula_against_runs
from batchlab.plots.replay import batch_timeline
from batchlab.plots.requests import closed_against_open, latency_ecdf, latency_histogram, request_timeline
from batchlab.plots.servers import share_of_limit
from batchlab.plots.splits import flame, span_lines, split
from batchlab.plots.sweeps import (
    fixed_and_per_item,
    latency_against_batch,
    throughput_against_batch,
    throughput_latency,
)
from batchlab.plots.techniques import speedup_by_technique
from batchlab.plots.traffic import p99_against_rate, rate_over_time
from batchlab.plots.windows import percentile_by_window

__all__ = [
    "COLOURS",
    "PlotError",
    "batch_histogram",
    "batch_timeline",
    "capacity_curves",
    "closed_against_open",
    "cost_front",
    "fixed_and_per_item",
    "flame",
    "fleets_over_day",
    "formula_against_runs",
    "latency_against_batch",
    "latency_ecdf",
    "latency_histogram",
    "p99_against_rate",
    "pareto",
    "percentile_by_window",
    "photographs",
    "rate_over_time",
    "request_timeline",
    "shades",
    "share_of_limit",
    "slo_surface",
    "span_lines",
    "speedup_by_technique",
    "split",
    "throughput_against_batch",
    "throughput_latency",
    "time_in_server",
    "tornado",
    "use_style",
]
