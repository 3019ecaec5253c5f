"""Sources are read with their header, or refused with a reason."""

import re
from pathlib import Path

import pytest
from sample_lab import SOURCE, edited, problems

from batchlab import authoring
from batchlab.authoring import AuthoringError
from batchlab.source import read


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("#     level: beginner\n", "", "level is missing"),
        ("level: beginner", "level: easy", "level 'easy' is none of"),
        ("minutes: 5", "minutes: five", "minutes must be of type int"),
        ("minutes: 5", "minutes: 0", "minutes must be positive"),
        ("tiers: [simulated]", "tiers: [gpus]", "tiers gpus must be among"),
        ("tiers: [simulated]", "tiers: []", "tiers are empty"),
        ("needs: []", "needs: []\n#     nedes: []", "unknown key 'nedes'"),
        ("#   batchlab:", "#   batchlap:", "no block 'batchlab:'"),
    ],
)
def test_a_wrong_header_is_named(root: Path, old: str, new: str, said: str) -> None:
    assert said in problems(edited(root, old, new))


def test_the_header_may_stand_beside_jupyters(root: Path) -> None:
    path = root / "solutions" / SOURCE.name
    text = path.read_text()
    head, rest = text.split("# ---\n\n", 1)
    head = re.sub(r"(?m)^#   (  )?(?=(batchlab|title|level|minutes|tiers|needs|summary))", r"# \1", head)
    path.write_text(f"{head}# ---\n\n{rest}")
    assert read(path).header == read(SOURCE).header
    assert authoring.render(authoring.build_lab(path)) == authoring.render(authoring.build_lab(SOURCE))


@pytest.mark.parametrize("name", ["lab.py", "1_lab.py", "01_Lab.py", "01-lab.py"])
def test_a_name_that_is_no_lab_id(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(AuthoringError, match="call a lab NN_verb_noun"):
        read(tmp_path / name)


def test_a_file_that_is_missing_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(AuthoringError, match="cannot be read"):
        read(tmp_path / "01_gone.py")
    (tmp_path / "01_bytes.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AuthoringError, match="cannot be read"):
        read(tmp_path / "01_bytes.py")
