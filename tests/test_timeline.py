"""The replay's window and player: every event in order, each batch with its reason, and a picture that follows."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from batchlab import arrivals, plots, simulate, timeline, twin
from batchlab.plots.replay import REASONS
from batchlab.profiles import synthetic_profile
from batchlab.timeline import TimelineError
from batchlab.twin_state import REASONS as TWIN_REASONS

TIMES = [0.0, 0.001, 0.004, 0.014, 0.015]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def replayed(times=TIMES, **knobs):
    """A device of 10 ms + 1 ms per item, and these arrivals."""
    model = twin.model(synthetic_profile(10, 1, 8), name="toy", **knobs)
    schedule = arrivals.Arrivals(np.array(times), 1.0)
    return simulate.replay([simulate.Stream(model, schedule)])["toy"]


def test_a_window_tells_when_each_request_waited_and_computed() -> None:
    window = timeline.window(replayed())
    # The first finds the device free, and computes for 11 ms; the second and third wait for it, and so on.
    assert window.requests["arrival_ms"].tolist() == [0, 1, 4, 14, 15]
    assert window.requests["start_ms"].tolist() == [0, 11, 11, 23, 23]
    assert window.requests["done_ms"].tolist() == [11, 23, 23, 35, 35]
    assert window.batches["items"].tolist() == [1, 2, 2]
    assert window.batches["reason"].tolist() == ["no wait"] * 3
    assert window.length_ms == 35


def test_events_are_in_order_and_say_why_a_batch_left() -> None:
    events = timeline.window(replayed(max_delay_ms=3.0)).events
    assert events["at_ms"].is_monotonic_increasing
    assert events["text"].iloc[0] == "Request 1 arrives."
    told = events.set_index("text")["at_ms"]
    assert told["Batch 1 leaves the batcher: its oldest request has waited long enough."] == pytest.approx(3, abs=0.002)
    early = "Batch 2 leaves the batcher: its oldest request has waited long enough, and waits 8.0 ms for the device."
    assert told[early] == pytest.approx(7, abs=0.002)
    assert told["The device starts batch 2, 1 together."] == pytest.approx(15, abs=0.002)
    assert (events["text"].str.contains("arrives")).sum() == len(TIMES)


def test_a_full_batch_is_told_from_one_that_waited() -> None:
    window = timeline.window(replayed([0.0, 0.0005, 0.05, 0.06], max_batch_size=2, max_delay_ms=3.0))
    assert window.batches["reason"].tolist() == ["full", "wait over", "wait over"]


def test_a_window_starts_its_clock_anew() -> None:
    window = timeline.window(replayed(), start_s=0.01, seconds=0.02)
    assert window.requests["arrival_ms"].tolist() == [4, 5]
    assert window.events["at_ms"].min() >= 0


@pytest.mark.parametrize(("start_s", "told"), [(0.5, "No request arrives"), (0.0, "shorten it")])
def test_a_window_that_shows_nothing_or_too_much_is_refused(start_s: float, told: str) -> None:
    with pytest.raises(TimelineError, match=told):
        timeline.window(replayed(np.linspace(0, 0.1, 200)), start_s=start_s)


def test_the_picture_holds_every_request_and_every_batch() -> None:
    window = timeline.window(replayed(max_delay_ms=3.0))
    ax = plots.batch_timeline(window)
    waiting, handed, computing, blocks = ax.collections[:4]
    boxes = [path.get_extents() for path in computing.get_paths()]
    ends = window.requests[["start_ms", "done_ms"]].to_numpy()
    assert np.array([(box.x0, box.x1) for box in boxes]) == pytest.approx(ends)
    assert [path.get_extents().x0 for path in waiting.get_paths()] == pytest.approx(window.requests["arrival_ms"])
    assert handed.get_paths()[1].get_extents().x1 == pytest.approx(window.requests["start_ms"].iloc[1])
    assert len(blocks.get_paths()) == len(window.batches)
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "left: wait over" in words
    assert "left: full" not in words
    assert ax.get_figure().get_supxlabel().startswith("simulated")


def test_every_reason_of_the_twin_has_a_colour_and_words() -> None:
    assert set(REASONS) == set(timeline.WHY) == set(TWIN_REASONS)


def test_a_step_shows_what_happened_so_far() -> None:
    player = timeline.step(timeline.window(replayed()))
    first, text = player.png, player.text
    player._slider.value = 5  # as a browser does
    assert player.event == 5
    assert player.png != first
    assert player.text != text
    assert player.text in player._text.value
    later = player.png
    player.event = 0
    assert player.png == first
    player.event = 5
    assert player.png == later


def test_a_step_beyond_the_last_event_is_refused() -> None:
    player = timeline.step(timeline.window(replayed()))
    with pytest.raises(TimelineError, match="numbered 0 to"):
        player.event = 1000
