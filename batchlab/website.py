"""The course as a site: executed solutions and documents, assembled into pages for Sphinx, and built by it.

``python -m batchlab.website`` (``make site``) writes ``build/site``. No notebook is executed: the committed ones are
shown as they ran. What would spoil a lab is hidden behind a click: solutions, checks, and model answers to free text.
Pages lie where their sources lie in the project, so that links between documents hold in both.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
from nbformat.notebooknode import NotebookNode

from batchlab import course, workspace
from batchlab.course import LEVELS, LabInfo

ENGINE = ("sphinx", "myst_nb", "furo", "latex2mathml")
PROJECT_PAGES = ("CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(```.*?^```)", flags=re.MULTILINE | re.DOTALL)
TERM = re.compile(r"^\*\*([^*]+)\*\*: ", flags=re.MULTILINE)
SUMMARY = re.compile(r"^check\.summary\(", flags=re.MULTILINE)
MARKER = re.compile(r"\s*(###|<!--) (BEGIN|END) SOLUTION")
BEGIN = re.compile(r"^\s*(?:###|<!--) BEGIN SOLUTION.*$", flags=re.MULTILINE)


class WebsiteError(RuntimeError):
    """The site cannot be built; the message says what is missing or what Sphinx complains about."""


def build(project: Path, out: Path) -> Path:
    """Assemble the pages beside `out` and build the site into it; return its first page.

    Raises:
        WebsiteError: Sphinx is not installed, a notebook is missing, or a warning of Sphinx, such as a dead link.
    """
    missing = [name for name in ENGINE if find_spec(name) is None]
    if missing:
        raise WebsiteError(f"Not installed: {', '.join(missing)}. Run 'make setup', which installs requirements.txt.")
    source, cache = out.with_name(f"{out.name}-source"), out.with_name(f"{out.name}-cache")
    for stale in (source, out):
        shutil.rmtree(stale, ignore_errors=True)
    assemble(project, source)
    # -W: a warning fails; -n: a link that leads nowhere is a warning.
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-E", "-b", "html", "-d", str(cache)]
    done = subprocess.run(
        [*command, "-c", str(project / "website"), str(source), str(out)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise WebsiteError(f"Sphinx refused the pages in {source}:\n{done.stderr.strip()}")
    shutil.rmtree(cache, ignore_errors=True)
    return out / "index.html"


def assemble(project: Path, target: Path) -> None:
    """Write every page of the site into the new folder `target`, and what the pages link to.

    Raises:
        WebsiteError: a lab of the course has no executed solution.
    """
    labs = course.load()
    (target / "labs").mkdir(parents=True)
    (target / "download").mkdir()
    for lab, info in labs.items():
        executed, student = project / "solutions" / f"{lab}.ipynb", project / "labs" / f"{lab}.ipynb"
        for notebook in (executed, student):
            if not notebook.is_file():
                raise WebsiteError(f"{notebook} is missing. Build it: 'make labs' and 'make solutions'.")
        page = lab_page(nbformat.read(executed, as_version=4), nbformat.read(student, as_version=4), info, labs)
        nbformat.write(page, target / "labs" / f"{lab}.ipynb")
        shutil.copy2(student, target / "download")
    documents = sorted((project / "docs").glob("*.md"))
    pages = [*documents, *(project / name for name in PROJECT_PAGES)]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        text = glossary(text) if path.stem == "glossary" else text
        place = target / path.relative_to(project)
        place.parent.mkdir(exist_ok=True)
        place.write_text(_carry(text, path, project, target, pages), encoding="utf-8")
    index = (project / "website" / "index.md").read_text(encoding="utf-8")
    index = index.replace("{{labs}}", lab_tables(labs.values()))
    index = index.replace("{{navigation}}", navigation(labs.values(), [page.stem for page in documents]))
    (target / "index.md").write_text(index, encoding="utf-8")


def lab_page(executed: NotebookNode, student: NotebookNode, info: LabInfo, labs: Iterable[str] = ()) -> NotebookNode:
    """Return the page of a lab: the executed notebook, its answers hidden behind a click, its stubs in the open.

    Args:
        executed: the solution with its outputs.
        student: the learner's lab, whose cells show what is asked.
        info: what the course knows of the lab.
        labs: ids of the labs that have a page.
    """
    stubs = {_gid(cell): cell.source for cell in student.cells if _gid(cell)}
    page = nbformat.v4.new_notebook(metadata=executed.metadata)
    for cell in executed.cells:
        page.cells.extend(_shown(cell, stubs.get(_gid(cell), "")))
    title, _, rest = page.cells[0].source.partition("\n")
    page.cells[0].source = f"{title}\n\n{_facts(info, set(labs))}\n{rest}"
    return page


def glossary(text: str) -> str:
    """Return the glossary's page with its ``**Term**: meaning`` paragraphs as terms that search and links find."""
    opening, *entries = re.split(r"\n\n(?=\*\*[^*]+\*\*: )", text.strip())
    lines = []
    for entry in entries:
        match = TERM.match(entry)
        assert match is not None  # the split saw it
        meaning = entry[match.end() :].replace("\n", "\n  ")
        lines += [match[1], f"  {meaning}", ""]
    return "\n".join([opening, "", ":::{glossary}", *lines, ":::", ""])


def lab_tables(labs: Iterable[LabInfo]) -> str:
    """Return one table of labs for each level, in the course's order."""
    parts = []
    for level, infos in _by_level(labs):
        parts += [f"## {level.capitalize()}", "", "| lab | minutes | tiers | core of it |", "|---|---|---|---|"]
        for info in infos:
            link = f"[{info.lab[:2]} {info.title}](labs/{info.lab}.ipynb)"
            parts.append(f"| {link} | {info.minutes} | {', '.join(info.tiers)} | {info.summary} |")
        parts.append("")
    return "\n".join(parts).strip()


def navigation(labs: Iterable[LabInfo], documents: Iterable[str]) -> str:
    """Return the tables of contents that make the site's navigation: one for each level, then the documents."""
    groups = [
        (level.capitalize(), [f"{info.lab[:2]} {info.title} <labs/{info.lab}>" for info in infos])
        for level, infos in _by_level(labs)
    ]
    groups.append(("Reference", [f"docs/{name}" for name in documents]))
    groups.append(("Project", [Path(name).stem for name in PROJECT_PAGES]))
    return "\n\n".join(
        "\n".join([":::{toctree}", ":hidden:", f":caption: {caption}", "", *entries, ":::"])
        for caption, entries in groups
    )


def _by_level(labs: Iterable[LabInfo]) -> Iterator[tuple[str, list[LabInfo]]]:
    known = list(labs)
    for level in LEVELS:
        of_level = [info for info in known if info.level == level]
        if of_level:
            yield level, of_level


def _facts(info: LabInfo, labs: set[str]) -> str:
    needs = [f"[{need[:2]}]({need}.ipynb)" if need in labs else need for need in info.needs]
    facts = [info.level, f"{info.minutes} minutes", f"{info.total:g} points", f"tiers {', '.join(info.tiers)}"]
    facts += [f"after lab {', '.join(needs)}"] if needs else []
    return (
        f":::{{admonition}} Lab {info.lab[:2]}, as it ran once\n:class: note\n\n{' · '.join(facts)}.\n"
        f"Answers and checks are hidden: guess first, then click.\n"
        f"To work on it: {{download}}`the lab as a notebook <../download/{info.lab}.ipynb>`.\n:::"
    )


def _shown(cell: NotebookNode, stub: str) -> Iterator[NotebookNode]:
    role: dict[str, Any] = cell.metadata.get("nbgrader", {})
    if cell.cell_type == "markdown" and role.get("solution"):
        answer = "\n".join(line for line in BEGIN.split(cell.source, 1)[-1].splitlines() if not MARKER.match(line))
        cell.source = (
            f'<details class="one-answer"><summary>Show one answer</summary>\n\n{answer.strip()}\n\n</details>'
        )
    elif cell.cell_type == "code" and role.get("solution"):
        yield nbformat.v4.new_code_cell(stub, id=f"{cell.id}-stub")
        lines = [line for line in cell.source.splitlines() if not MARKER.match(line) and line.strip() != "..."]
        cell.source = "\n".join(lines)
        _hide(cell, "Show one solution")
    elif cell.cell_type == "code" and role.get("grade"):
        _hide(cell, "Show the check and its verdict")
    elif cell.cell_type == "code" and SUMMARY.search(cell.source):
        _hide(cell, "Show the score")  # its table holds the answers
    yield cell


def _hide(cell: NotebookNode, prompt: str) -> None:
    cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-cell"]
    cell.metadata["mystnb"] = {"code_prompt_show": prompt, "code_prompt_hide": prompt.replace("Show", "Hide")}


def _gid(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _carry(text: str, path: Path, project: Path, target: Path, pages: list[Path]) -> str:
    """Return the page's text with links that hold in the site; files that it links to are carried along."""

    def carried(match: re.Match[str]) -> str:
        image, words, link, anchor = match[1], match[2], match[3], match[4] or ""
        linked = (path.parent / link).resolve()
        if linked == project / "README.md":
            home = "../" * len(path.relative_to(project).parent.parts) + "index.md"
            return f"[{words}]({home})"
        if linked in pages or not linked.is_relative_to(project):
            return match[0]
        if linked.is_file():
            place = target / "files" / linked.relative_to(project)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(linked, place)
            up = "../" * len(path.relative_to(project).parent.parts)
            return f"{image}[{words}]({up}{place.relative_to(target)}{anchor})"
        return words if linked.is_dir() else match[0]

    # Code blocks stay as they are; the split keeps them at odd places.
    parts = FENCE.split(text)
    return "".join(part if index % 2 else LINK.sub(carried, part) for index, part in enumerate(parts))


def main() -> int:
    """Build the site of this project; 1 when it cannot be built."""
    project = workspace.project_dir()
    try:
        page = build(project, project / "build" / "site")
    except (WebsiteError, course.CourseError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"The site is built. Open {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
