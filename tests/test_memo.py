"""The memo: every number in it comes from its objects, and changes with them."""

import dataclasses
import re

import pytest
from priced import memo

from batchlab.memo import MemoError
from batchlab.scaling import WAYS


@pytest.fixture(scope="module")
def ours():
    return memo()


def test_it_says_what_the_objects_say(ours) -> None:
    text = ours.text()
    assert text.startswith("# Sorting mail: what an answer costs\n")
    best = ours.cheapest
    assert f"**Recommendation.** Run {ours.chosen.name} on T4 with the {best.name} fleet" in text
    assert f"{1000 * best.usd_per_1000:.3g} USD per million answers within the SLO" in text
    assert f"{ours.bills[0].usd_per_day:,.0f}" in text
    assert f"{ours.chosen.rate_rps:,.0f} requests/s" in text
    assert "P99 <= 100 ms" in text
    for bill in ours.bills:
        assert bill.assumption in text
    for words in (
        "independently",
        "https://example.com/prices",
        "of 2026-01-01",
        "simulated: no server",
        "500,000,000",
    ):
        assert words in text
    assert "![" not in text
    assert "](a.png)" in ours.text("a.png")


def test_no_number_is_typed(ours) -> None:
    """Of a case with other inputs every figure in the tables and sentences is another one, but those of the promise."""
    other = dataclasses.replace(
        ours,
        case=dataclasses.replace(ours.case, headroom=0.45, spare=7).changed("usd_per_hour", 0.77),
        bills=(),
        swings=(),
    )

    def rows(text: str) -> list[str]:
        return [line for line in text.splitlines() if re.match(r"\| (static|hourly|spot)", line)]

    before, after = rows(ours.text()), rows(other.text())
    assert len(before) == len(after) == len(WAYS)
    for one, two in zip(before, after, strict=True):
        cells = list(zip(one.split("|")[2:7], two.split("|")[2:7], strict=True))
        assert all(left != right for left, right in cells)


def test_it_fits_a_page(ours) -> None:
    words = ours.text("memo.png").split()
    assert len(words) < 600


def test_the_cheapest_fleet_is_one_that_keeps_the_promise(ours) -> None:
    assert ours.cheapest.usd_per_1000 == min(bill.usd_per_1000 for bill in ours.bills)
    lossy = dataclasses.replace(ours.bills[2], hours=ours.bills[2].hours.assign(within=lambda rows: rows["within"] / 2))
    cheap = dataclasses.replace(lossy, hours=lossy.hours.assign(usd=0.01))
    refused = dataclasses.replace(ours, bills=(*ours.bills[:2], cheap))
    assert refused.cheapest.name != "spot"
    assert "of spot machines are assumed" not in refused.text()
    assert "of spot machines are assumed" in ours.text()


def test_it_is_saved_with_its_picture(ours, tmp_path) -> None:
    words, picture = ours.save(tmp_path / "memo.md")
    assert (words.name, picture.name) == ("memo.md", "memo.png")
    assert "(memo.png)" in words.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    words, picture = ours.save(tmp_path / "page.pdf")
    assert picture.read_bytes().startswith(b"%PDF")
    assert "(page.pdf)" in words.read_text()


def test_what_cannot_be_written(ours, tmp_path) -> None:
    with pytest.raises(MemoError, match=r"written to \.md"):
        ours.save(tmp_path / "memo.docx")
    with pytest.raises(MemoError, match="There is no folder"):
        ours.save(tmp_path / "no" / "memo.md")
    with pytest.raises(MemoError, match="not among the options"):
        dataclasses.replace(ours, options=ours.options[1:])
