"""Plausible wrong answers fail, each at its own check and for the expected reason."""

from pathlib import Path
from typing import Any

import pytest
from labs_under_test import LabUnderTest

from batchlab import authoring, execution


def test_every_question_has_a_wrong_answer(lab: LabUnderTest) -> None:
    assert lab.wrong_answers.is_file(), f"tests/wrong_answers/{lab.name}.toml is missing"
    answered = {question for chosen in lab.sets() for question in chosen["answers"]}
    assert answered == set(lab.source().info().points)


@pytest.mark.notebook
@pytest.mark.timeout(600)
def test_wrong_answers_fail_at_their_own_check(wrong: tuple[LabUnderTest, dict[str, Any]], tmp_path: Path) -> None:
    lab, chosen = wrong
    answers, follows = chosen["answers"], set(chosen.get("follows", ()))
    notebook = authoring.build_solution(lab.path, execute=False)
    for cell in notebook.cells:
        gid = cell.metadata.get("nbgrader", {}).get("grade_id")
        if gid in answers:
            cell.source = answers[gid]["code"]
    execution.run(notebook, lab.path.parent, lab.environment(tmp_path / "home"))

    told = execution.verdicts(notebook)
    points = lab.source().info().points
    for question, answer in answers.items():
        earned, words = told[question]
        assert "Wrong" in words, f"{question}: {words}"
        assert answer["because"] in words, f"{question}: {words}"
        assert earned == 0.0
    for question in set(points) - set(answers) - follows:
        assert told[question][0] == points[question], f"{question} was to stay right: {told[question][1]}"
