"""Progress survives what happens to kernels and disks."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batchlab import progress
from batchlab.progress import ANSWER_LIMIT, Entry, ProgressError

WRITER = """
import sys
from batchlab.progress import Entry, record
count = int(sys.argv[2])
n = 0
while count < 0 or n < count:
    problem = record(Entry("01_lab", f"{sys.argv[1]}_{n}", 1.0, 1.0, "right", "x" * 180))
    assert not problem, problem
    n += 1
    if n == 5:
        print("going", flush=True)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    return tmp_path


def entry(question: str = "q1", points: float = 1.0, answer: str = "80", lab: str = "01_lab") -> Entry:
    return Entry(lab, question, points, 2.0, "right" if points else "wrong", answer)


def writer(name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, name, str(count)], stdout=subprocess.PIPE, text=True)


def test_nothing_answered_is_an_empty_list() -> None:
    assert progress.load() == []


def test_what_is_recorded_comes_back_with_its_time() -> None:
    assert progress.record(entry(answer="80")) == ""
    (loaded,) = progress.load()
    assert (loaded.lab, loaded.question, loaded.points, loaded.maximum) == ("01_lab", "q1", 1.0, 2.0)
    assert loaded.answer == "80"
    assert loaded.time.endswith("+00:00")


def test_long_answers_are_cut() -> None:
    progress.record(entry(answer="x" * 10_000))
    assert len(progress.load()[0].answer) == ANSWER_LIMIT


def test_the_best_points_count_and_the_first_answer_stays() -> None:
    for points, answer in ((0.0, "guess"), (2.0, "good"), (1.0, "worse")):
        progress.record(entry(points=points, answer=answer))
    progress.record(entry(points=2.0, answer="elsewhere", lab="02_lab"))
    entries = progress.load()
    assert progress.best(entries, "01_lab")["q1"].answer == "good"
    first = progress.first(entries, "01_lab", "q1")
    assert first is not None
    assert first.answer == "guess"
    assert progress.first(entries, "01_lab", "q9") is None


def test_a_cut_line_costs_only_itself(home: Path) -> None:
    progress.record(entry("q1"))
    with (home / progress.FILE_NAME).open("a", encoding="utf-8") as file:
        file.write('\n{"lab": "01_lab", "question": "q2", "poi')
    progress.record(entry("q3"))
    assert [e.question for e in progress.load()] == ["q1", "q3"]


@pytest.mark.parametrize(
    "line",
    ["[]", "null", "{}", "\x00\x00", '"text"', '{"lab": 1}', "{" * 50, "\ufffd"],
)
def test_damaged_lines_are_left_out(home: Path, line: str) -> None:
    progress.record(entry("q1"))
    with (home / progress.FILE_NAME).open("ab") as file:
        file.write(b"\n\xff\xfe" + line.encode() + b"\n" + line.encode() + b"\n")
    assert [e.question for e in progress.load()] == ["q1"]


@pytest.mark.parametrize(("key", "value"), [("points", float("nan")), ("points", "2"), ("points", -1), ("points", 99)])
def test_points_changed_by_hand_do_not_count(home: Path, key: str, value: object) -> None:
    progress.record(entry("q1"))
    values = json.loads((home / progress.FILE_NAME).read_text())
    (home / progress.FILE_NAME).write_text(json.dumps({**values, key: value}))
    assert progress.load() == []


def test_kernels_that_write_at_once_lose_nothing() -> None:
    writers = [writer(name, 30) for name in ("a", "b", "c")]
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    questions = {e.question for e in progress.load()}
    assert questions == {f"{name}_{n}" for name in ("a", "b", "c") for n in range(30)}


def test_a_killed_kernel_loses_at_most_its_last_line() -> None:
    process = writer("killed", -1)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    before = progress.load()
    assert [e.question for e in before] == [f"killed_{n}" for n in range(len(before))]
    assert len(before) >= 5
    assert progress.record(entry("after")) == ""
    assert [e.question for e in progress.load()] == [*(e.question for e in before), "after"]


def test_a_full_disk_is_told_and_nothing_is_raised(home: Path) -> None:
    (home / progress.FILE_NAME).symlink_to("/dev/full")
    assert "No space left" in progress.record(entry())


def test_a_file_that_cannot_be_read_says_what_to_do(home: Path) -> None:
    (home / progress.FILE_NAME).mkdir()
    assert "directory" in progress.record(entry()).lower()
    with pytest.raises(ProgressError, match="BATCHLAB_HOME"):
        progress.load()


def test_a_home_that_cannot_be_made_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("BATCHLAB_HOME", str(home / "file" / "below"))
    assert "BATCHLAB_HOME" in progress.record(entry())


def test_graded_submissions_stay_out_of_the_instructors_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    progress.record(entry("q1"))
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert progress.record(entry("q2")) == ""
    assert progress.load() == []
    monkeypatch.delenv("NBGRADER_EXECUTION")
    assert [e.question for e in progress.load()] == ["q1"]
