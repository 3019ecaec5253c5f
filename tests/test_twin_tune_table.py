"""The committed comparison of the two tuners: what docs/simulate.md says of it follows from it."""

from pathlib import Path

import pandas as pd
import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    return pd.read_csv(DOCS / "twin_tune.csv")


def test_it_is_as_wide_as_promised(pairs: pd.DataFrame) -> None:
    assert pairs["curve"].nunique() == 3
    assert set(pairs["traffic"]) == {"poisson", "bursts"}
    assert (pairs["configurations"] >= 60).all()
    assert pairs[["server", "machine", "date"]].notna().all(axis=None)


def test_its_shares_are_those_of_its_rates_and_runs(pairs: pd.DataFrame) -> None:
    for ratio, kind in (("rate_ratio", "rps"), ("runs_ratio", "runs")):
        assert (pairs[ratio] - pairs[f"twin_{kind}"] / pairs[f"exhaustive_{kind}"]).abs().max() < 1e-3


def test_the_page_says_what_the_table_holds(pairs: pd.DataFrame) -> None:
    rows = (DOCS / "simulate.md").read_text(encoding="utf-8").splitlines()
    for pair in pairs.itertuples():
        exhaustive = f"{pair.exhaustive_rps:.0f}/s | {pair.exhaustive_runs} | {pair.exhaustive_long_p99_ms:.0f} ms"
        twin = f"{pair.twin_rps:.0f}/s | {pair.twin_runs} | {pair.twin_long_p99_ms:.0f} ms"
        shares = f"{pair.rate_ratio:.1%} | {pair.runs_ratio:.1%}"
        assert f"| {pair.curve} | {pair.traffic} | {exhaustive} | {twin} | {shares} |" in rows
        assert pair.exhaustive_best == pair.twin_best
