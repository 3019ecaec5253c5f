"""Common mistakes, exercise by exercise, with what to say: ``docs/common-mistakes.md``, derived and never edited.

The mistakes are those of `tests/wrong_answers/`, which the tests give to the labs; so each is known to be called wrong,
and for that reason. What to say is the check's own hint. Run as ``python -m batchlab.mistakes``.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batchlab import source, workspace
from batchlab.source import Cell, Source, check_call

PAGE = "docs/common-mistakes.md"
HEAD = """# Common mistakes, and what to say

Derived from the labs and `tests/wrong_answers/` by `python -m batchlab.mistakes`; the tests hold it up to date.
Each mistake below is given to its lab by the tests, and the check answers with the words quoted.
Ask the question in the last line before you explain: most learners find the slip themselves.
"""
LONGEST = 8


def render(root: Path) -> str:
    """Return the page for the project at `root`."""
    parts = [HEAD]
    for path in sorted((root / "tests" / "wrong_answers").glob("[0-9][0-9]_*.toml")):
        lab = source.read(root / "solutions" / f"{path.stem}.py")
        parts.append(f"\n## {path.stem[:2]} {lab.header['title']}\n")
        parts += _lab(lab, tomllib.loads(path.read_text(encoding="utf-8"))["set"])
    return "".join(parts)


def write(root: Path) -> bool:
    """Write the page, and return whether it changed."""
    page, text = root / PAGE, render(root)
    if page.is_file() and page.read_text(encoding="utf-8") == text:
        return False
    page.write_text(text, encoding="utf-8")
    return True


def _lab(lab: Source, sets: list[dict[str, Any]]) -> Iterator[str]:
    tests = [cell for cell in lab.cells if cell.kind == "test"]
    for cell in tests:
        given = [chosen["answers"][cell.question] for chosen in sets if cell.question in chosen["answers"]]
        if not given:
            continue
        yield f"\n### {cell.question}\n"
        for answer in given:
            code = answer["code"].strip().splitlines()
            shown = [*code[:LONGEST], *(["..."] if len(code) > LONGEST else [])]
            yield "\n```text\n" + "\n".join(shown) + "\n```\n"
            yield f"\nThe check says: *{_plain(answer['because'])}*\n"
        hint = _hint(cell)
        if hint:
            yield f"\nSay: {_plain(hint)}\n"


def _hint(cell: Cell) -> str:
    """Return the hint that a check gives with every wrong answer; empty where it gives none."""
    call = check_call(cell)
    for keyword in call.keywords if call else ():
        text = isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
        if keyword.arg in ("hint", "hints") and text:
            return str(ast.literal_eval(keyword.value))
    return ""


def _plain(text: str) -> str:
    """Return a text that Markdown leaves as it is."""
    return text.replace("*", r"\*").replace("_", r"\_").replace("<", "&lt;")


if __name__ == "__main__":
    print(f"{PAGE}: {'written' if write(workspace.project_dir()) else 'unchanged'}")
    sys.exit(0)
