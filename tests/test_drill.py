"""The drill: every question sound for many seeds, answers kept through kills, interviews timed and resumed."""

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.text import Text

from batchlab import arrivals, course, journal, simulate, twin
from batchlab.drill import bank, mock, own_data, repetition
from batchlab.drill.causes import CAUSES
from batchlab.drill.picture import folder_for
from batchlab.drill.question import LEVELS, TOPICS, DrillError, rounded
from batchlab.measure import Run
from batchlab.service import ServiceTime

NUMERIC, DIAGNOSIS, DESIGN = (bank.ids(kind=kind) for kind in ("numeric", "diagnosis", "design"))
GAP = re.compile(r"\{[^}]*\}|\bnan\b|\binf\b|\bTODO\b")
UNIT = re.compile(r"\((ms|s)\)|\b(items|batches|requests?)\b")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("name", NUMERIC)
def test_numeric_for_200_seeds(name: str) -> None:
    texts = set()
    for seed in range(200):
        asked = bank.question(name, seed)
        assert math.isfinite(asked.answer)
        assert asked.answer == rounded(asked.answer, asked.whole)
        assert asked.judge(asked.answer) == "", (seed, asked)
        assert asked.judge(asked.wrong), (seed, asked)
        assert not GAP.search(asked.text + asked.solution), (seed, asked.text)
        texts.add(asked.text)
    assert len(texts) > 5


@pytest.mark.parametrize("name", DIAGNOSIS)
def test_diagnosis_is_answerable(name: str) -> None:
    for seed in range(5):
        asked = bank.question(name, seed)
        assert not GAP.search(asked.text), asked.text
        assert asked.judge(asked.answer) == ""
        assert len(asked.choices) == 4
        for other in set(asked.choices) - {asked.answer}:
            assert asked.judge(other) == asked.because[other]
        assert asked.solution


def facts(name: str, seed: int) -> dict[str, str]:
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", bank.question(name, seed).text, flags=re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("seed", range(5))
def test_the_figures_show_the_cause(seed: int) -> None:
    def number(name: str, figure: str, place: int = 0) -> float:
        return float(facts(name, seed)[figure].split(" / ")[place])

    assert number("sick_no_batching", "mean batch") == 1
    assert number("sick_no_batching", "mean queue, ms") > 50
    assert number("sick_large_batch", "P50 / P99, ms", 1) > 100
    assert number("sick_large_batch", "mean batch") > 20
    assert number("sick_long_delay", "mean queue, ms") > 2 * number("sick_long_delay", "mean compute, ms")
    assert number("sick_preferred", "device busy, %") < 70
    assert number("sick_preferred", "mean queue, ms") > 15
    assert "timeout" in facts("sick_timeout", seed)["error"].lower()
    assert "queue size" in facts("sick_full_queue", seed)["error"].lower()
    assert number("sick_overload", "device busy, %") > 97
    assert number("sick_bursts", "device busy, %") < 80
    assert number("sick_bursts", "P50 / P99, ms", 1) > 3 * number("sick_bursts", "P50 / P99, ms")
    assert number("sick_client", "device busy, %") < 90
    assert number("sick_neighbour", "mean compute, ms") > 10
    assert number("sick_instances", "device busy, %") > 90
    gain = [number("sick_instances", "throughput before / after, requests/s", place) for place in (0, 1)]
    assert gain[1] == pytest.approx(gain[0], rel=0.03)
    assert number("sick_test", "P99 of users who come every so often, ms") > 5 * number(
        "sick_test", "P99 of the tool, ms"
    )
    assert number("sick_claim", "answered / failed") < 459
    assert number("sick_shapes", "mean batch") < 8
    assert number("sick_levels", "P99 of level 2, ms") > 3 * number("sick_levels", "P99 of level 1, ms")
    told = facts("sick_dashboard", seed)
    assert float(told["P99 that clients see, ms"]) > float(told["dashboard, mean of them, ms"])


@pytest.mark.parametrize("name", DIAGNOSIS)
def test_a_diagnosis_has_a_picture_with_units_that_says_it_is_simulated(name: str) -> None:
    asked = bank.question(name, 4)
    ax = asked.picture.draw()
    figure = ax.get_figure()
    assert "simulated: no server, the digital twin" in " ".join(figure.get_supxlabel().split())
    assert ax.get_title(loc="left")
    assert UNIT.search(ax.get_xlabel()), ax.get_xlabel()
    # Rows that carry names need no label besides.
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert UNIT.search(ax.get_ylabel()) or "mean request" in rows or "1 instance" in rows
    drawn = " ".join(text.get_text() for text in figure.findobj(Text))
    assert asked.answer not in drawn
    assert CAUSES[asked.answer][0] not in drawn
    plt.close(figure)


@pytest.mark.parametrize("name", DIAGNOSIS)
def test_the_picture_is_of_the_run_whose_figures_the_text_shows(name: str) -> None:
    shown, told = bank.question(name, 2).picture.shown, facts(name, 2)
    runs = [shown] if isinstance(shown, Run) else list(shown.values())
    p99 = [f"{run.percentile_ms(99).value:.0f}" for run in runs]
    if "mean batch" in told:
        assert f"{runs[-1].server.mean_batch:.1f}" == told["mean batch"]
        assert f"{runs[-1].server.queue_ms:.1f}" == told["mean queue, ms"]
    elif name == "sick_test":
        assert p99 == [told["P99 of the tool, ms"], told["P99 of users who come every so often, ms"]]
    else:
        assert ", ".join(p99) == told["P99 of the replicas, ms"]


def test_a_picture_is_drawn_only_for_who_looks_and_opens_no_window(tmp_path: Path) -> None:
    assert bank.question("fan_out").picture is None
    before = plt.get_fignums()
    saved = bank.question("sick_bursts").picture.save(tmp_path, "bursts")
    assert saved == tmp_path / "bursts.png"
    assert saved.read_bytes().startswith(b"\x89PNG")
    assert plt.get_fignums() == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wanted in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DrillError, match=r"cannot be written to .*file.* --pictures"):
            folder_for(wanted)
    with pytest.raises(DrillError, match="cannot be written to"):
        bank.question("sick_bursts").picture.save(tmp_path / "gone", "bursts")
    assert folder_for(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_the_bank_is_large_and_covers_its_levels_and_topics() -> None:
    names = bank.ids()
    assert len(set(names)) == len(names) >= 60
    assert (len(NUMERIC) >= 30, len(DIAGNOSIS) >= 14, len(DESIGN) >= 16) == (True, True, True)
    for level in LEVELS:
        assert len(bank.ids(level=level)) >= 10
    for topic in TOPICS:
        assert len(bank.ids(topic=topic)) >= 3, topic


def test_every_question_names_a_lab_of_the_course_or_a_source() -> None:
    planned = {*course.load(), "06_speed_up_the_model", "07_find_the_bottleneck", "09_price_the_capacity",
               "10_compare_servers"}  # fmt: skip
    for name in bank.ids():
        lab = bank.question(name).lab
        assert lab in planned or re.search(r"\d{4}$", lab), (name, lab)


def test_design_questions_have_rubrics_and_the_two_of_the_brief_are_there() -> None:
    for name in DESIGN:
        asked = bank.question(name)
        assert list(asked.rubric) == ["strong", "fair", "weak"]
        assert min(len(words) for words in asked.rubric.values()) > 15
        with pytest.raises(DrillError, match="rubric"):
            asked.judge("x")
    assert "20 ms" in bank.question("p99_is_missed").rubric["strong"]
    assert "450 ms" in bank.question("a_trade_off_you_made").rubric["strong"]


def test_a_seed_is_a_question_and_bad_wishes_are_told() -> None:
    assert bank.question("fan_out", 3) == bank.question("fan_out", 3) != bank.question("fan_out", 4)
    assert bank.choose(5, 1) == bank.choose(5, 1)
    for wrong in (
        lambda: bank.question("fan_outt"),
        lambda: bank.question("fan_out", -1),
        lambda: bank.ids(topic="cooking"),
        lambda: bank.choose(99, 0),
        lambda: mock.begin("ceo"),
    ):
        with pytest.raises(DrillError):
            wrong()


def test_what_was_missed_comes_back_and_what_was_known_later() -> None:
    known = ["fan_out", "saving", "peeking"]
    assert repetition.due(known, NOON) == []
    repetition.record("fan_out", 0, True, NOON)
    repetition.record("saving", 0, False, NOON)
    assert repetition.due(known, NOON) == ["saving"]
    assert repetition.due(known, NOON + timedelta(days=1)) == ["saving", "fan_out"]
    repetition.record("fan_out", 0, True, NOON + timedelta(days=1))
    assert repetition.due(["fan_out"], NOON + timedelta(days=3)) == []
    assert repetition.due(["fan_out"], NOON + timedelta(days=4)) == ["fan_out"]
    repetition.record("fan_out", 0, False, NOON + timedelta(days=4))
    assert repetition.due(["fan_out"], NOON + timedelta(days=4)) == ["fan_out"]


def test_a_kill_in_mid_write_costs_one_answer() -> None:
    repetition.record("fan_out", 1, False, NOON)
    with repetition.path().open("a") as file:
        file.write('\n{"question": "saving", "se')
    repetition.record("peeking", 1, True, NOON)
    assert [reply.question for reply in repetition.replies()] == ["fan_out", "peeking"]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("name", mock.INTERVIEWS)
def test_an_interview_from_end_to_end(name: str) -> None:
    clock = Clock()
    going = mock.begin(name, 7, clock=clock)
    while (asked := going.next()) is not None:
        clock.now += 60
        going.answer(asked.id, asked.answer, 2 if asked.kind == "design" else None)
        going = mock.begin(name, 7, clock=clock)  # A new kernel each time.
    assert going.left_s == 60 * (going.minutes - 8)
    assert "8 of 8 points" in going.sheet()


def test_an_interview_ends_with_its_time_and_grades_what_was_wrong() -> None:
    clock = Clock()
    going = mock.begin("engineer", clock=clock)
    asked = going.next()
    assert going.answer(asked.id, asked.wrong) != "right"
    with pytest.raises(DrillError, match="answered"):
        going.answer(asked.id, asked.answer)
    with pytest.raises(DrillError, match="grade"):
        going.answer("p99_is_missed", "a loop")
    clock.now += 60 * going.minutes
    assert going.next() is None
    with pytest.raises(DrillError, match="over"):
        going.answer("sick_test", "omission")
    assert "0 of 8 points" in going.sheet()
    assert "00_start_here" in going.sheet()
    assert mock.begin("engineer", clock=clock, anew=True).left_s == 60 * going.minutes


def test_a_cut_line_of_an_interview_costs_one_answer() -> None:
    going = mock.begin("staff")
    asked = going.next()
    going.answer(asked.id, asked.answer)
    with mock.path("staff", 0).open("a") as file:
        file.write('\n{"question": "sick_n')
    assert list(mock.begin("staff").given) == [asked.id]


def test_own_runs_are_shown_with_their_tier_or_words_say_that_there_are_none() -> None:
    assert own_data.own_runs() == own_data.NOTHING
    model = twin.model(ServiceTime.from_function(lambda b: 10 + b, [1, 8]), name="mine")
    journal.save(simulate.simulate(model, arrivals.poisson(50, 2, seed=1)))
    assert "| mine | simulated |" in own_data.own_runs()
