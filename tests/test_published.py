"""Published throughput times price, to the cent, by another path: decimals, straight from the two data files."""

import csv
from decimal import ROUND_HALF_UP, Decimal
from importlib import resources

import pytest

from batchlab.cost import CostError, price_of, usd_per_1000
from batchlab.published import Published, PublishedError, load_published, parse

# name of the measurement, machine, day of its price, USD per million inferences as computed by others, 4 digits.
BILLS = [
    ("rn50-fp16-t4-triton-b1", "g4dn.xlarge", "undated", "0.4396"),
    ("rn50-fp16-t4-triton-b128", "g4dn.xlarge", "undated", "0.1141"),
    ("rn50-fp16-t4-triton-dynamic", "g4dn.xlarge", "undated", "0.0713"),
    ("rn50-int8-t4-stream", "g4dn.xlarge", "undated", "0.1187"),
    ("rn50-int8-t4-server", "g4dn.xlarge", "undated", "0.0314"),
    ("rn50-int8-t4-offline", "g4dn.xlarge", "undated", "0.0239"),
    ("rn50-int8-l4-stream", "g6.xlarge", "undated", "0.0795"),
    ("rn50-int8-l4-server", "g6.xlarge", "undated", "0.0183"),
    ("rn50-int8-a100-stream", "p4de.24xlarge", "2026-11-09", "0.4333"),
    ("rn50-int8-a100-server", "p4de.24xlarge", "2026-11-09", "0.0250"),
    ("rn50-int8-h100-server", "p5.48xlarge", "2026-11-09", "0.0251"),
    ("bertlarge-t4-server", "g4dn.xlarge", "undated", "0.5041"),
    ("bertlarge-l4-server", "g6.xlarge", "undated", "0.2487"),
    ("bertlarge-h100-server", "p5.48xlarge", "2026-11-09", "0.2547"),
]
CENT, FOUR = Decimal("0.01"), Decimal("0.0001")


def rows(name: str) -> list[dict[str, str]]:
    text = resources.files("batchlab").joinpath(f"data/{name}").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def by_decimals(name: str, instance: str, as_of: str, inferences: int) -> Decimal:
    """Seconds that so many inferences take, times the price of a second: in exact decimals."""
    (measured,) = [row for row in rows("published_throughput.csv") if row["name"] == name]
    (price,) = [row for row in rows("cloud_prices.csv") if (row["instance"], row["as_of"]) == (instance, as_of)]
    assert measured["source"].startswith("https://")
    assert price["source"].startswith("https://")
    seconds = Decimal(inferences) / Decimal(measured["inferences_per_s"])
    return Decimal(price["usd_per_hour"]) / int(price["gpu_count"]) / 3600 * seconds


@pytest.mark.parametrize(("name", "instance", "as_of", "per_million"), BILLS)
def test_throughput_times_price_to_the_cent(name: str, instance: str, as_of: str, per_million: str) -> None:
    ours = Decimal(load_published()[name].usd_per_1000(price_of(instance, as_of)))
    # A bill of a billion inferences is some hundred dollars: there a cent is a matter of the sixth digit.
    exact = by_decimals(name, instance, as_of, 10**9)
    assert (ours * 10**6).quantize(CENT, ROUND_HALF_UP) == exact.quantize(CENT, ROUND_HALF_UP)
    assert (ours * 1000).quantize(FOUR, ROUND_HALF_UP) == Decimal(per_million)


def test_every_measurement_is_priced_above() -> None:
    assert set(load_published()) == {name for name, *_ in BILLS}


def test_the_bound_of_a_server_run_was_kept() -> None:
    bounded = [each for each in load_published().values() if each.bound_ms is not None]
    assert len(bounded) == 7
    assert all(each.latency_ms is not None and each.latency_ms <= each.bound_ms for each in bounded)
    assert {each.statistic for each in load_published().values()} == {"mean", "P99", "none"}


def test_a_row_that_does_not_hold_names_its_line() -> None:
    head = "name,model,gpu,precision,scenario,inferences_per_s,latency_ms,statistic,bound_ms,source\n"
    good = "a,m,T4,FP16,s,100,1,P99,,https://x\n"
    assert parse(head + good)["a"].bound_ms is None
    for bad, words in (
        ("a,m,T4,FP16,s,-1,1,P99,,u\n", "line 2: a: -1.0 inferences/s"),
        ("a,m,T4,FP16,s,fast,1,P99,,u\n", "line 2"),
        (good + good, "line 3: 'a' is there twice"),
    ):
        with pytest.raises(PublishedError, match=words):
            parse(head + bad)
    with pytest.raises(PublishedError, match="above 0"):
        Published("a", "m", "T4", "", "s", float("nan"), None, "none", None, "u")


def test_a_price_of_a_named_machine() -> None:
    assert price_of("g4dn.xlarge").as_of == "2023-10-30"
    assert price_of("p4de.24xlarge").as_of == "2026-11-09"
    with pytest.raises(CostError, match=r"No price of 'g4dn.xlarge' of 1999-01-01 is known, but of undated"):
        price_of("g4dn.xlarge", "1999-01-01")
    with pytest.raises(CostError, match="but of no day"):
        price_of("abacus")


def test_unit_cost_by_hand_and_its_limits() -> None:
    assert usd_per_1000(3.6, 1000) == pytest.approx(0.001)
    assert usd_per_1000(3.6, 0) == float("inf")
    assert usd_per_1000(0, 5) == 0
    for usd, rate in ((-1, 5), (1, -5), (float("nan"), 5), (1, float("inf"))):
        with pytest.raises(CostError, match="0 or more"):
            usd_per_1000(usd, rate)
