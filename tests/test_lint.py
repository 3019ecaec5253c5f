"""The authoring contract: each breach is named with its place."""

import re
from pathlib import Path

import pytest
from sample_lab import NAME, SOURCE, edited, problems

from batchlab import authoring, lint
from batchlab.source import read


def warnings_of(path: Path) -> str:
    return "\n".join(str(finding) for finding in lint.findings(read(path)) if finding.warning)


def test_the_fixture_keeps_the_contract() -> None:
    assert [str(finding) for finding in lint.findings(read(SOURCE))] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('gid="per_item" kind="answer"', 'gid="per_item" kind="anwser"', "unknown kind 'anwser'"),
        ('gid="rate" kind="answer"', 'gid="per_item" kind="answer"', "gid 'per_item' is taken by cell 4"),
        (' kind="test" points=1', ' kind="test"', "a test cell needs points above 0"),
        (' kind="test" points=1', ' kind="test" points=0', "a test cell needs points above 0"),
        (' kind="test" points=1', ' kind="test" points="1"', "a test cell needs points above 0"),
        ('gid="per_item_check" kind="test" points=1', "", 'no test "per_item_check" checks this answer'),
        ('gid="per_item_check"', 'gid="item_check"', 'no answer cell "item" stands above'),
        ('gid="per_item_check"', 'gid="per_item_test"', 'call the test of question "q1" "q1_check"'),
        ('gid="per_item"', 'gid="Per item"', "must be lower-case"),
        ('check.number("per_item"', 'check.number("rate"', 'first argument must be "per_item"'),
        ('check.number("per_item"', 'verdict = check.number("per_item"', "ends with check.number"),
        ('answers all its images at once.")', 'answers all its images at once.");', "ends with check.number"),
        ("per_item_ms = ...  # ms for one image\n", "", "learners find no 'per_item_ms' here"),
        ("per_item_ms, 5, unit", "[per_item_ms, other_ms], 5, unit", "learners find no 'other_ms' here"),
        ('    """Return images per second when a batch of `batch_size` takes `batch_ms`."""\n', "", "learners find no"),
        ("### BEGIN SOLUTION\nper_item_ms = 160 / 32", "per_item_ms = 160 / 32", "do not pair"),
        ('# %%\nimport time', '# %%\n### BEGIN SOLUTION\n### END SOLUTION\nimport time', "in a cell that is no answer"),
        ('tags=["nbval-ignore-output"]', 'tags=["nbval-ignore-ouput"]', "unknown tag 'nbval-ignore-ouput'"),
        ('points=0.5', 'points=0.5 tags=["nbval-ignore-output"]', "a verdict must be compared"),
        ('gid="cost" kind="answer"', 'gid="cost" kind="answer" points=1', "has no points; put them on its test"),
        ('gid="cost" kind="answer"', 'gid="cost" kind="answer" weight=1', "unknown cell header weight"),
        ('[markdown] gid="essay" kind="manual"', '[markdown] gid="essay" kind="test"', "cannot be of kind"),
        ("import time\n", "import time\n" + "time\n" * 26, "split the cell, 25 is the limit"),
        ("What you'll learn", "What comes", "the first cell lacks 'What you'll learn'"),
        ("5 minutes, no server", "no server", "does not say '5 minutes'"),
        ("# # Try everything a lab", "# # Try some things a lab", "is titled 'Try some things"),
        ("What you learned", "What else", "the last cell must mirror the first"),
        ("takes 160 ms.\n# How", "takes 160 ms. How", "two sentences on one line: 'A batch of 32"),
        ("takes 160 ms.\n", "takes 160 ms\n# and more.\n", "a sentence runs over two lines"),
    ],
)  # fmt: skip
def test_each_breach_is_named_with_its_place(root: Path, old: str, new: str, said: str) -> None:
    told = problems(edited(root, old, new))
    assert said in told
    assert all(re.match(rf"solutions/{NAME}\.py(:\d+ \(cell \d+)?", line) for line in told.splitlines())


def test_warnings_do_not_stop_a_build(root: Path) -> None:
    path = edited(root, "import time\n", "import time\n" + "time\n" * 15)
    edited(root, "# ## In practice", "# ## Later")
    edited(root, "# A batch of 32", "# One.\n# Two.\n# Three.\n# A batch of 32")
    told = warnings_of(path)
    assert "lines of code; aim for 12" in told
    assert "no section 'In practice'" in told
    assert "5 sentences of prose; aim for 3" in told
    authoring.build_lab(path)


def test_every_breach_is_told_at_once(root: Path) -> None:
    path = edited(root, "points=2", "points=0")
    edited(root, 'kind="answer"', 'kind="anwser"')
    assert len(problems(path).splitlines()) >= 2


def test_abbreviations_tables_and_code_are_no_prose(root: Path) -> None:
    lines = ["e.g. A100 and i.e. T4.", "**Why.** Because.", "", "| a. B | c. D |", "", "```", "One. Two.", "```", ""]
    text = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    path = edited(root, "# A batch of 32", f"{text}# A batch of 32")
    authoring.build_lab(path)
