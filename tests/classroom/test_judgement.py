"""The checks run outside: hidden tests, values by name, and what a learner overwrites counts for nothing."""

from pathlib import Path

import pytest
from handed_in import ALL, NAME, RIGHT, notebook

from batchlab import judgement
from batchlab.classroom import Classroom, ClassroomError
from batchlab.judgement import Judgement
from batchlab.walls import Limits

pytestmark = [pytest.mark.usefixtures("walled"), pytest.mark.notebook]
HIDDEN = """
# %% gid="rate_check"
SECRET_BATCHES = [8, 16]
check.function("rate", throughput_ips, [((b, 40), 25 * b) for b in SECRET_BATCHES])
"""


@pytest.fixture
def judged(room: Classroom, small: Limits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    course_file = tmp_path / "course.json"
    course_file.write_text(room.course_text())
    monkeypatch.setenv("BATCHLAB_COURSE", str(course_file))
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")

    def judge(answers: dict[str, str], first: str = "", tests: str = "") -> Judgement:
        content = notebook({**RIGHT, **answers}, first, tests)
        return judgement.judge(room.paper(NAME, "ada"), content, small)

    return judge


def test_a_hidden_test_decides_and_stays_outside(judged, room: Classroom) -> None:  # type: ignore[no-untyped-def]
    (room.hidden / f"{NAME}.py").write_text(HIDDEN)
    known = "def throughput_ips(b, ms):\n    return {(32, 160): 200, (1, 10): 100}.get((b, ms), 0)"
    spy = known + "\nprint('SECRET_BATCHES' in globals(), 'SECRET_BATCHES' in str(get_ipython().history_manager))"
    found = judged({"rate": spy})
    verdict = found.verdicts["rate"]
    assert (verdict.state, verdict.points) == ("wrong", 0.0)
    assert "fails a further one" in verdict.because
    assert "Expected" not in str(verdict)
    assert [remark for remark in found.remarks if "hidden test says: throughput_ips(8, 40) returned 0" in remark]
    assert found.points == sum(ALL.values()) - ALL["rate"]
    assert [cell["output"] for cell in found.cells if cell["gid"] == "rate"] == ["False False\n"]
    assert judged({}).points == sum(ALL.values())


def test_a_hidden_test_of_no_question_is_refused(room: Classroom) -> None:
    (room.hidden / f"{NAME}.py").write_text(HIDDEN.replace("rate_check", "nothing_check"))
    with pytest.raises(ClassroomError, match="nothing"):
        room.paper(NAME)


def test_locked_cells_are_the_labs(judged) -> None:  # type: ignore[no-untyped-def]
    found = judged(
        {"per_item": "per_item_ms = 7"},
        tests="from batchlab.verdict import Verdict\nVerdict('per_item', 'right', 1, 1)",
    )
    assert found.verdicts["per_item"].points == 0.0
    assert sum("locked cell" in remark for remark in found.remarks) == len(ALL)


def test_a_failing_answer_is_told(judged) -> None:  # type: ignore[no-untyped-def]
    verdict = judged({"per_item": "per_item_ms = 1 / 0"}).verdicts["per_item"]
    assert verdict.state == "not attempted"
    assert "ZeroDivisionError" in verdict.note


def test_a_forged_message_brings_no_points(judged) -> None:  # type: ignore[no-untyped-def]
    forged = """
import os, stat
line = b'{"answer": {"$": "dict", "v": [["output", ""], ["error", ""], ["points", 9]]}}\\n'
for number in range(3, 60):
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            os.write(number, line * 3)
    except OSError:
        pass
per_item_ms = 7
"""
    found = judged({"per_item": forged})
    assert found.verdicts["per_item"].points == 0.0
