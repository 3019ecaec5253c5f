"""The committed table of the twin against Triton: what docs/simulate.md says of it follows from it."""

import re
from pathlib import Path

import pandas as pd
import pytest

DOCS = Path(__file__).parent.parent / "docs"
BOUNDS = {"throughput": ("_rps", 3), "mean batch": ("", 10), "P50": ("_ms", 10), "P99": ("_ms", 15)}


@pytest.fixture(scope="module")
def points() -> pd.DataFrame:
    table = pd.read_csv(DOCS / "twin_against_triton.csv")
    return table[table["valid"]]


def within(points: pd.DataFrame, number: str, one: str = "predicted", other: str = "measured") -> int:
    unit, bound = BOUNDS[number]
    stem = number.lower().replace(" ", "_")
    ratio = points[f"{stem}_{one}{unit}"] / points[f"{stem}_{other}{unit}"]
    return round(100 * float(((ratio - 1).abs() <= bound / 100).mean()))


def test_the_grid_is_as_wide_as_promised(points: pd.DataFrame) -> None:
    assert len(points) >= 60
    assert set(points["curve"]) == {"affine", "hinge", "text"}
    assert set(points["traffic"]) == {"poisson", "bursts"}
    assert set(points["instances"]) == {1, 2, 4}
    assert points["delay_ms"].agg(["min", "max"]).tolist() == [0, 50]
    assert points["max_batch"].agg(["min", "max"]).tolist() == [1, 64]
    assert points["load"].min() <= 0.2
    assert points["load"].max() >= 0.9
    assert (points["priority_levels"] > 0).any()
    assert (points["queue_limit"] > 0).any()
    assert points[["server", "machine", "date"]].notna().all(axis=None)


@pytest.mark.parametrize("number", BOUNDS)
def test_the_page_says_what_the_table_holds(points: pd.DataFrame, number: str) -> None:
    page = (DOCS / "simulate.md").read_text(encoding="utf-8")
    shares = r" \| (\d+) %" * 4
    row = re.search(rf"^\| {number}, {BOUNDS[number][1]} %{shares} \|$", page, re.MULTILINE)
    assert row, f"docs/simulate.md has no row for {number}"
    emulated = points["curve"] != "text"
    assert [int(share) for share in row.groups()] == [
        within(points[emulated], number),
        within(points[~emulated], number),
        within(points, number),
        within(points, number, "run2", "run1"),
    ]
    heading = (
        f"| emulated devices, {emulated.sum()} points | text model on two cores, {(~emulated).sum()} points "
        f"| all {len(points)} points | Triton's second run against its first, all points |"
    )
    assert heading in page


def test_the_page_says_where_the_tails_are_right(points: pd.DataFrame) -> None:
    page = " ".join((DOCS / "simulate.md").read_text(encoding="utf-8").split())
    emulated = points[points["curve"] != "text"]
    nothing_ahead = (emulated["priority_levels"] > 0) | (emulated["queue_limit"] > 0)
    ahead, other = (f"{within(emulated[which], 'P99')} %" for which in (~nothing_ahead, nothing_ahead))
    assert (
        f"Of the emulated points {(~nothing_ahead).sum()} form ahead, and {ahead} of their P99s are right; "
        f"{nothing_ahead.sum()} do not, and {other} are."
    ) in page


def test_a_point_s_numbers_are_the_medians_of_its_runs(points: pd.DataFrame) -> None:
    for number, (unit, _) in BOUNDS.items():
        stem = number.lower().replace(" ", "_")
        runs = points[[f"{stem}_run{i}{unit}" for i in (1, 2, 3)]]
        assert (points[f"{stem}_measured{unit}"] - runs.median(axis=1)).abs().max() < 1e-3
