"""The picture of servers side by side: bars are means, dots are seeds, an absent server says so."""

import pytest
from staircase import SLO, STAIRS, a_run

from batchlab import plots
from batchlab.plots import PlotError


def test_bars_are_means_and_an_absent_server_says_so():
    runs = {"mosec": [a_run(9, "mosec"), a_run(2, "mosec")], "TorchServe": []}
    ax = plots.share_of_limit(runs, STAIRS, SLO)
    assert [bar.get_width() for bar in ax.patches] == [pytest.approx(0.5)]
    assert ax.lines[0].get_xdata().tolist() == [0.75, 0.25]
    words = " ".join(text.get_text() for text in [*ax.texts, *ax.figure.texts])
    assert "did not run here" in words
    assert "real server" in words
    assert [label.get_text() for label in ax.get_yticklabels()] == ["mosec", "TorchServe"]


def test_nothing_to_draw_is_told():
    with pytest.raises(PlotError, match="no server ran"):
        plots.share_of_limit({"mosec": []}, STAIRS, SLO)
