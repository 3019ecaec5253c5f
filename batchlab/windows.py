"""A run cut into windows of time: the percentile in each, and whether the objective held there.

One percentile of a whole run hides when it was bad: an hour of calm makes up for the minute of a spike.
"""

import pandas as pd

from batchlab.measure import Run
from batchlab.slo import Slo, verdicts_by_window

COLUMNS = ("start_s", "end_s", "requests", "misses", "percentile_ms", "outcome")


def table(run: Run, slo: Slo, window_s: float, confidence: float = 0.99) -> pd.DataFrame:
    """Return one row per window of intended send time, from the warm-up on.

    Args:
        run: measured or simulated.
        slo: the objective, and with it the percentile that is told.
        window_s: length of a window, in s; the last may hold less.
        confidence: of each verdict, see `slo.verdict`.

    Returns:
        Columns `COLUMNS`; ``percentile_ms`` is the objective's percentile of the answered requests, NaN where none was
        answered.

    Raises:
        SloError: a window that is not above 0 s.
    """
    rows = []
    for judged in verdicts_by_window(run, slo, window_s, confidence):
        start_s, end_s = judged.span_s or (float("nan"), float("nan"))
        latencies = latencies_ms(run, start_s, end_s)
        value = latencies.quantile(slo.percentile / 100, interpolation="higher") if len(latencies) else float("nan")
        rows.append((start_s, end_s, judged.requests, judged.misses, float(value), judged.outcome))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def latencies_ms(run: Run, start_s: float, end_s: float) -> pd.Series:
    """Return the latencies, in ms, of the answered requests meant to be sent within ``[start_s, end_s)``."""
    rows = run.answered
    inside = rows[(rows["intended_s"] >= start_s) & (rows["intended_s"] < end_s)]
    return (inside["done_s"] - inside["intended_s"]) * 1000


def answered_ips(run: Run, start_s: float, end_s: float) -> float:
    """Return the items answered per second within ``[start_s, end_s)``, counted when their answer came.

    Raises:
        ValueError: the window is empty.
    """
    if not end_s > start_s:
        raise ValueError(f"A window ends after it starts; got {start_s} to {end_s} s.")
    rows = run.answered
    inside = rows[(rows["done_s"] >= start_s) & (rows["done_s"] < end_s)]
    return float(inside["batch_size"].sum()) / (end_s - start_s)
