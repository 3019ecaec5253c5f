"""Where a learner stands: time from answer to answer, and the next step by its rule."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from batchlab.course import LabInfo
from batchlab.progress import Entry
from batchlab.standing import PAUSE_MINUTES, duration, spent_s, stand

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LABS = [
    LabInfo("00_a", "Start", "beginner", 40, needs=[], summary="First words.", points={"q1": 1, "q2": 1}),
    LabInfo("01_b", "Sweep", "beginner", 75, needs=["00_a"], summary="Batches.", points={"q1": 2, "q2": 2}),
    LabInfo("02_c", "Tail", "advanced", 70, needs=["01_b", "a quiet machine"], points={"q1": 1}),
]


def answer(lab: str, question: str, points: float, minute: float | None = 0.0) -> Entry:
    time = "" if minute is None else (NOON + timedelta(minutes=minute)).isoformat()
    return Entry(lab, question, points, 9.0, "right" if points else "wrong", "", time)


def test_time_runs_from_answer_to_answer_and_belongs_to_the_later_lab() -> None:
    entries = [answer("00_a", "q1", 1, 0), answer("00_a", "q2", 1, 10), answer("01_b", "q1", 2, 25)]
    assert spent_s(entries) == {"00_a": 600, "01_b": 900}


def test_a_pause_counts_nothing() -> None:
    still = [answer("00_a", "q1", 1, 0), answer("00_a", "q2", 1, PAUSE_MINUTES)]
    assert spent_s(still) == {"00_a": 60 * PAUSE_MINUTES}
    paused = [answer("00_a", "q1", 1, 0), answer("00_a", "q2", 1, PAUSE_MINUTES + 0.1), answer("00_a", "q2", 1, 35)]
    assert spent_s(paused) == {"00_a": pytest.approx(60 * (35 - PAUSE_MINUTES - 0.1))}


def test_the_order_of_the_file_and_unreadable_times_do_not_matter() -> None:
    entries = [answer("00_a", "q2", 1, 10), answer("00_a", "q1", 1, None), answer("00_a", "q1", 1, 0)]
    assert spent_s(entries) == {"00_a": 600}
    odd = [Entry("00_a", "q1", 1, 1, "right", "", text) for text in ("2026-05-04T12:00:00", "yesterday", "7")]
    assert spent_s([*entries, *odd]) == {"00_a": 600}, "a time without a zone is UTC"


def test_the_first_visit_names_the_first_lab() -> None:
    now = stand(LABS, [])
    assert not now.begun
    step = now.next_step()
    assert (step.kind, step.lab) == ("begin", "00_a")
    assert step.text == "Begin with lab 00, Start (40 minutes). First words."
    assert [lab.state for lab in now.labs] == ["not started"] * 3


def test_an_unfinished_lab_goes_on_with_its_first_open_question() -> None:
    step = stand(LABS, [answer("00_a", "q1", 0)]).next_step()
    assert (step.kind, step.lab) == ("go on", "00_a")
    assert "1 question is open, the first is q2" in step.text


def test_the_lab_of_the_latest_answer_comes_before_the_course_s_order() -> None:
    entries = [answer("00_a", "q1", 1, 0), answer("01_b", "q1", 2, 5)]
    assert stand(LABS, entries).next_step().lab == "01_b"
    assert stand(LABS, entries[::-1]).next_step().lab == "01_b", "by time, not by the order of the file"


def test_a_lab_whose_needs_are_not_fulfilled_waits() -> None:
    poor = [
        answer("00_a", "q1", 1, 0),
        answer("00_a", "q2", 1, 1),
        answer("01_b", "q1", 1, 2),
        answer("01_b", "q2", 0, 3),
    ]
    step = stand(LABS, poor).next_step()
    assert (step.kind, step.lab) == ("try again", "01_b"), "a quarter of lab 01 is not enough for lab 02"
    assert "last 3 points" in step.text
    half = [*poor[:3], answer("01_b", "q2", 1, 3)]
    step = stand(LABS, half).next_step()
    assert (step.kind, step.lab) == ("start", "02_c"), "a need that is no lab stops nobody"


def test_what_is_not_right_yet_comes_last_and_then_nothing_is_left() -> None:
    most = [answer("00_a", "q1", 1, 0), answer("00_a", "q2", 0, 1)]
    most += [answer("01_b", "q1", 2, 2), answer("01_b", "q2", 2, 3), answer("02_c", "q1", 1, 4)]
    step = stand(LABS, most).next_step()
    assert (step.kind, step.lab) == ("try again", "00_a")
    assert "last 1 point of lab 00" in step.text
    done = stand(LABS, [*most, answer("00_a", "q2", 1, 9)])
    assert done.next_step().kind == "done"
    assert (done.points, done.total) == (7, 7)


def test_points_are_capped_and_other_courses_ignored() -> None:
    now = stand(LABS, [answer("00_a", "q1", 9, 0), answer("77_other", "q1", 9, 5), answer("00_a", "gone", 9, 6)])
    assert now.points == 1
    assert now.latest == "00_a"
    assert now.labs[0].answered == ("q1",)


def test_json_holds_all_of_it() -> None:
    plain = json.loads(json.dumps(stand(LABS, [answer("00_a", "q1", 1)]).to_json()))
    assert plain["next"] == {"kind": "go on", "lab": "00_a", "text": plain["next"]["text"]}
    assert plain["labs"][0]["open_questions"] == ["q2"]
    assert plain["points"] == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "-"), (59, "< 1 min"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations_are_told_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text
