"""The small sample lab that the tests of reading, linting and building share, and ways to break a copy of it."""

from pathlib import Path

import pytest

from batchlab import authoring
from batchlab.authoring import AuthoringError

FIXTURES = Path(__file__).parent / "fixtures"
NAME = "90_try_everything"
SOURCE = FIXTURES / "solutions" / f"{NAME}.py"


def edited(root: Path, old: str, new: str) -> Path:
    """Make one change in the copy that the project at `root` holds, and return its path; the change must be one."""
    path = root / "solutions" / SOURCE.name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def problems(path: Path) -> str:
    """Return what the builder says when it refuses a source."""
    with pytest.raises(AuthoringError) as caught:
        authoring.build_lab(path)
    return str(caught.value)
