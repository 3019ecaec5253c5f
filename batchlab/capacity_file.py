"""Capacity curves on disk: the table that a tuner saved, its folder, or saved runs."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from batchlab import capacity, journal
from batchlab.capacity import CapacityCurve, CapacityError
from batchlab.points import Point
from batchlab.slo import Slo

LOG = "points.jsonl"
"""What `tune.Tuner` keeps in its folder."""


def read(path: Path, slo: Slo) -> list[CapacityCurve]:
    """Read the curves of a tuner's CSV, of its folder, of a run, or of a folder of runs.

    A search's measurement counts where it kept its own SLO and its P99 keeps this one: a limit looser than the
    search's changes nothing.

    Raises:
        CapacityError: nothing there, or another content; the message says what was looked for.
        JournalError: a run that cannot be read.
    """
    if path.is_dir():
        log = path / LOG
        if log.is_file():
            return _of_log(log, slo)
        runs = sorted(path.glob("*.jsonl"))
        if not runs:
            raise CapacityError(f"{path} holds neither {LOG} of a search nor saved runs (*.jsonl).")
        return _of_runs(runs, slo)
    if not path.is_file():
        raise CapacityError(f"There is no file or folder {path}.")
    if path.name == LOG:
        return _of_log(path, slo)
    if path.suffix == ".jsonl":
        return _of_runs([path], slo)
    return _of_table(path, slo)


def _of_table(path: Path, slo: Slo) -> list[CapacityCurve]:
    try:
        frame = pd.read_csv(path, keep_default_na=False)
        rows = frame.to_dict("records")
        tiers = [str(row.pop("tier", "")) for row in rows]
        points = [_point(row) for row in rows]
    except (OSError, ValueError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise CapacityError(
            f"{path} is no table of measurements ({type(error).__name__}: {error}). Write one with batchlab tune --csv."
        ) from error
    curves: list[CapacityCurve] = []
    for tier in dict.fromkeys(tiers):
        group = [point for point, its in zip(points, tiers, strict=True) if its == tier]
        curves += _curves(group, slo, path, tier)
    if not curves:
        raise CapacityError(f"{path} holds no measurement.")
    return curves


def _of_log(path: Path, slo: Slo) -> list[CapacityCurve]:
    points = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        try:
            points.append(_point(json.loads(line)))
        except (ValueError, TypeError, KeyError):
            continue  # A line that a kill has cut: the log is made so that it may be.
    if not points:
        raise CapacityError(f"{path} holds no measurement.")
    return _curves(points, slo, path, "")


def _curves(points: Iterable[Point], slo: Slo, path: Path, tier: str) -> list[CapacityCurve]:
    note = f"{tier or 'tier not in the file'}: measurements in {path.name}"
    judged = [_judged(point, slo) for point in points]
    return capacity.of_points(judged, slo, note=note, suffix=f", {tier}" if tier else "")


def _of_runs(paths: Iterable[Path], slo: Slo) -> list[CapacityCurve]:
    groups: dict[tuple[str, str], list[Any]] = {}
    for path in paths:
        run = journal.load(path)
        origin = run.provenance
        groups.setdefault((f"{origin.model}, {origin.tier}", str(run.settings.get("config", ""))), []).append(run)
    curves: list[CapacityCurve] = []
    for (name, _), runs in groups.items():
        taken = sum(curve.name.startswith(name) for curve in curves)
        curves.append(capacity.of_runs(runs, slo, f"{name} ({taken + 1})" if taken else name))
    return curves


def _point(values: dict[str, Any]) -> Point:
    row = dict(values)
    for name in ("within_slo", "valid", "batching"):
        if name in row:
            row[name] = str(row[name]).strip().lower() in ("true", "1")
    for name in ("rate_rps", "throughput_rps", "goodput_rps", "p50_ms", "p99_ms", "mean_batch"):
        row[name] = float(row[name]) if row[name] not in ("", None) else float("nan")
    return Point.from_dict(row)


def _judged(point: Point, slo: Slo) -> Point:
    """Judge a measurement by this SLO, whose limit may be stricter than the search's own, which the file does not say.

    What was answered within this limit was not counted: of a P99 that keeps it, 99 % are known, and no more are taken.
    """
    kept = point.within_slo and point.p99_ms <= slo.limit_ms
    known = slo.percentile / 100 * point.throughput_rps if kept else point.goodput_rps
    return dataclasses.replace(point, within_slo=kept, goodput_rps=min(known, point.throughput_rps))
