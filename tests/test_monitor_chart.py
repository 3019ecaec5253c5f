"""Small line charts as SVG."""

import math
from xml.etree import ElementTree

import pytest

from batchlab.monitor_chart import Line, ceiling, chart


def drawn(*lines: Line, limit: float | None = None) -> ElementTree.Element:
    return ElementTree.fromstring(f"<svg>{chart('a & b', lines, 200, 100, 60.0, limit)}</svg>")


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (math.inf, 1), (0.3, 0.5), (1, 1), (1.01, 2), (7, 10), (120, 200), (1000, 1000)]
)
def test_the_top_is_a_round_number_at_or_above(value: float, top: float) -> None:
    assert ceiling(value) == pytest.approx(top)


def test_a_line_breaks_where_nothing_is_known_and_a_lone_point_is_a_dot() -> None:
    line = Line("", "#0072B2", [-5, -4, -3, -2, -1, 0], [1, 2, math.nan, 3, math.nan, 4])
    picture = drawn(line)
    assert len(picture.findall("polyline")) == 1
    assert len(picture.findall("circle")) == 2


def test_the_newest_point_is_at_the_right_and_a_larger_value_higher() -> None:
    polyline = drawn(Line("", "#0072B2", [-60, 0], [0, 10])).find("polyline")
    assert polyline is not None
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in polyline.attrib["points"].split())
    assert (x0, x1) == (6, 190)
    assert y1 < y0


def test_what_is_older_than_the_window_is_left_out() -> None:
    assert not drawn(Line("", "#0072B2", [-90, -80], [1, 2])).findall("polyline")


def test_the_slo_is_always_inside_the_chart() -> None:
    limit = drawn(Line("", "#0072B2", [-1, 0], [1, 1]), limit=150).find("line[@class='slo']")
    assert limit is not None
    assert 18 <= float(limit.attrib["y1"]) <= 94
    assert drawn(Line("", "#0072B2", [-1, 0], [1, 1])).find("line[@class='slo']") is None


def test_the_newest_values_are_told_with_their_names() -> None:
    words = "".join(drawn(Line("queue", "#BDBDBD", [0], [1.234]), Line("x", "#000000", [0], [math.nan])).itertext())
    assert "a & b" in words
    assert "queue 1.23" in words
    assert "x -" in words
