"""The accuracy gate: counts by hand, the interval against its paper's form and a simulation, three outcomes."""

import numpy as np
import pytest
from scipy import stats

from batchlab import gate
from batchlab.gate import GateError


def answers(both: int, lost: int, won: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    before = np.repeat([True, True, False, False], [both, lost, won, neither])
    after = np.repeat([True, False, True, False], [both, lost, won, neither])
    return before, after


def test_counts_are_those_of_the_four_cells() -> None:
    found = gate.judge(*answers(70, 10, 3, 7), allowed_loss=0.02)
    assert (found.asked, found.right_before, found.right_after, found.lost, found.won) == (90, 80, 73, 10, 3)
    assert found.change == pytest.approx(-7 / 90)
    assert found.low < found.change < found.high
    assert "10 lost" in str(found)


def test_the_p_value_is_mcnemars_exact_one() -> None:
    found = gate.judge(*answers(70, 10, 3, 7), allowed_loss=0.02)
    assert found.p_value == pytest.approx(2 * stats.binom.cdf(3, 13, 0.5))
    assert gate.judge(*answers(5, 0, 0, 5), allowed_loss=0.02).p_value == 1


def test_the_interval_is_walds_on_cells_with_half_a_count_more() -> None:
    lost, won, asked = 10.5, 3.5, 92
    difference = (won - lost) / asked
    error = 1.959964 * np.sqrt((won + lost) / asked - difference**2) / np.sqrt(asked)
    assert gate.interval(90, 10, 3) == pytest.approx((difference - error, difference + error), abs=1e-6)


def test_the_interval_covers_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).multinomial(90, [0.8, 0.08, 0.03, 0.09], size=2000)
    covered = [low <= -0.05 <= high for low, high in (gate.interval(90, int(d[1]), int(d[2])) for d in draws)]
    assert 0.93 < np.mean(covered) < 0.985


@pytest.mark.parametrize(
    ("cells", "allowed", "outcome"),
    [
        ((82, 0, 0, 8), 0.03, "PASS"),
        ((81, 1, 0, 8), 0.03, "NEED MORE DATA"),
        ((70, 12, 0, 8), 0.03, "FAIL"),
        ((70, 12, 0, 8), 0.25, "PASS"),
        ((8200, 50, 50, 800), 0.01, "PASS"),
    ],
)
def test_three_outcomes(cells: tuple[int, int, int, int], allowed: float, outcome: str) -> None:
    found = gate.judge(*answers(*cells), allowed_loss=allowed)
    assert found.outcome == outcome
    assert found.passed == (outcome == "PASS")


def test_a_broken_variant_is_refused() -> None:
    truth = np.random.default_rng(2).integers(0, 6, 90)
    found = gate.judge(np.full(90, True), np.zeros(90, int) == truth, allowed_loss=0.05)
    assert found.outcome == "FAIL"


def test_agreement_counts_classes_and_measures_distances() -> None:
    before = np.array([[1.0, 2.0], [3.0, 0.0]])
    after = np.array([[1.0, 0.5], [3.0, 0.0]])
    found = gate.agreement(before, after)
    assert (found.asked, found.same_top, found.share) == (2, 1, 0.5)
    assert (found.mean_distance, found.worst_distance) == (0.375, 1.5)
    assert gate.agreement(before, before).worst_distance == 0


def test_nonsense_is_refused() -> None:
    with pytest.raises(GateError, match="same examples"):
        gate.judge([True], [True, False], allowed_loss=0.1)
    with pytest.raises(GateError, match="same examples"):
        gate.judge([], [], allowed_loss=0.1)
    with pytest.raises(GateError, match="allowed_loss = 2"):
        gate.judge([True], [True], allowed_loss=2)
    with pytest.raises(GateError, match="no finite number"):
        gate.agreement(np.ones((2, 3)), np.full((2, 3), np.nan))
    with pytest.raises(GateError, match="shapes"):
        gate.agreement(np.ones((2, 3)), np.ones((2, 4)))
