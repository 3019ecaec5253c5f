"""Ranking: against values worked out by hand, and the refusal of a network that computes something else."""

import numpy as np
import pytest

from batchlab import ranking
from batchlab.keepsake import KeepsakeError

LABELS = np.array([1, 1, 0, 1, 0, 0])
ANSWERS = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])


def test_auc_and_recall_are_what_counting_gives():
    found = ranking.score(LABELS, ANSWERS, ANSWERS, precision=0.75)
    # Of nine pairs of a positive and a negative one is the wrong way round.
    assert found.auc == found.best_auc == pytest.approx(8 / 9)
    # All three positives are found with four alarms: 3 of 4 are right.
    assert found.recall == 1.0
    assert ranking.score(LABELS, ANSWERS, ANSWERS, precision=0.9).recall == pytest.approx(2 / 3)
    assert (found.examples, found.positives) == (6, 3)
    assert "recall 1.000 at precision 0.75" in str(found)


def test_a_precision_that_no_threshold_reaches_has_no_recall():
    assert ranking.score(LABELS, -ANSWERS, ANSWERS, precision=0.9).recall == 0.0


def test_answers_that_differ_are_refused():
    assert ranking.agree(ANSWERS, ANSWERS + 1e-5) == pytest.approx(1e-5)
    with pytest.raises(KeepsakeError, match=r"differ by 0\.1 in a probability; 0\.0001 is allowed"):
        ranking.agree(ANSWERS, ANSWERS + 0.1)
    with pytest.raises(KeepsakeError, match="differ by nan"):
        ranking.agree(ANSWERS * np.nan, ANSWERS)
