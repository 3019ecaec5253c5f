"""The course as a site: what is shown and what is hidden, and the built pages: whole, linked, nothing from outside."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from batchlab import course, website
from batchlab.course import LabInfo
from batchlab.website import WebsiteError

PROJECT = Path(__file__).resolve().parent.parent
INFO = LabInfo("01_x", "Try it", "beginner", 5, ["cpu"], ["00_y", "a quiet machine"], "One.", {"q": 2}, {}, {"memo": 3})


def cell(kind: str, source: str, gid: str = "", **role: bool) -> nbformat.NotebookNode:
    made = (nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell)(source)
    if gid:
        made.metadata["nbgrader"] = {"grade_id": gid, "grade": False, "solution": False, **role}
    return made


@pytest.fixture
def page() -> nbformat.NotebookNode:
    solved = "x = ...\n### BEGIN SOLUTION\nx = 42\n### END SOLUTION"
    memo = "*Your answer here.*\n<!-- BEGIN SOLUTION -->\nIt costs less.\n<!-- END SOLUTION -->"
    executed = nbformat.v4.new_notebook(
        cells=[
            cell("markdown", "# Try it\n\nWords."),
            cell("code", solved, "q", solution=True),
            cell("code", "check(x)", "q_check", grade=True),
            cell("markdown", memo, "memo", solution=True, grade=True),
            cell("code", "print(1)"),
            cell("code", "check.summary()"),
        ]
    )
    student = nbformat.v4.new_notebook(cells=[cell("code", "x = ...", "q", solution=True)])
    return website.lab_page(executed, student, INFO, ["00_y", "01_x"])


def test_the_stub_is_in_the_open_and_the_solution_behind_a_click(page: nbformat.NotebookNode) -> None:
    _, stub, solution, check, _, plain, score = page.cells
    assert (stub.source, stub.metadata.get("tags")) == ("x = ...", None)
    assert solution.source == "x = ...\nx = 42"
    assert solution.metadata["tags"] == ["hide-cell"]
    assert solution.metadata["mystnb"]["code_prompt_show"] == "Show one solution"
    assert check.metadata["tags"] == ["hide-cell"], "a check names the right answer"
    assert "tags" not in plain.metadata
    assert score.metadata["tags"] == ["hide-cell"], "its table shows the answers given"
    nbformat.validate(page)


def test_a_model_answer_to_free_text_is_folded(page: nbformat.NotebookNode) -> None:
    memo = page.cells[4].source
    assert memo.startswith("<details")
    assert "It costs less." in memo
    assert "SOLUTION" not in memo
    assert "Your answer here" not in memo


def test_a_lab_s_page_begins_with_its_facts(page: nbformat.NotebookNode) -> None:
    opening = page.cells[0].source
    assert opening.startswith("# Try it\n")
    assert "5 minutes · 2 points · tiers cpu · after lab [00](00_y.ipynb), a quiet machine" in opening
    assert "{download}`the lab as a notebook <../download/01_x.ipynb>`" in opening
    assert opening.endswith("Words.")


def test_the_glossary_s_paragraphs_become_terms() -> None:
    text = "# Glossary\n\nWords.\n\n**Batch**: several\nitems.\n\n**P99**: the **99th**: so.\n"
    assert website.glossary(text).splitlines() == [
        "# Glossary", "", "Words.", "", ":::{glossary}", "Batch", "  several", "  items.", "", "P99",
        "  the **99th**: so.", "", ":::",
    ]  # fmt: skip


def test_navigation_goes_by_level() -> None:
    labs = [LabInfo("00_y", "First", "beginner", 1), LabInfo("09_z", "Last", "advanced", 1)]
    text = website.navigation(labs, ["glossary"])
    captions = re.findall(r":caption: (.*)", text)
    assert captions == ["Beginner", "Advanced", "Reference", "Project"]
    assert "00 First <labs/00_y>" in text
    assert "docs/glossary" in text


def test_a_missing_solution_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(WebsiteError, match="make solutions"):
        website.assemble(tmp_path, tmp_path / "out")


def test_missing_engines_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(website, "ENGINE", ("sphinx", "no_such_engine"))
    with pytest.raises(WebsiteError, match=r"no_such_engine.*make setup"):
        website.build(PROJECT, tmp_path / "site")


def test_a_dead_link_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    for folder in ("website", "docs"):
        shutil.copytree(PROJECT / folder, project / folder)
    for name in website.PROJECT_PAGES:
        (project / name).write_text("# A page\n")
    (project / "docs" / "dead.md").write_text("# Dead\n\nSee [there](nowhere.md).\n")
    (tmp_path / "course.json").write_text("{}")
    monkeypatch.setenv("BATCHLAB_COURSE", str(tmp_path / "course.json"))
    with pytest.raises(WebsiteError, match=r"dead\.md.*nowhere"):
        website.build(project, tmp_path / "site")


class Links(HTMLParser):
    """What one page refers to, and the places in it that can be referred to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.hrefs: list[str] = []
        self.assets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.anchors.update(filter(None, [values.get("id"), values.get("name")]))
        if tag == "a" and "href" in values:
            self.hrefs.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical",):
            self.assets.append(values.get("href", ""))
        elif "src" in values:
            self.assets.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real course, built once."""
    return website.build(PROJECT, tmp_path_factory.mktemp("built") / "site").parent


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_lab_and_document_has_its_page(pages: dict[Path, Links], site: Path) -> None:
    names = {str(path.relative_to(site)) for path in pages}
    labs = {f"labs/{lab}.html" for lab in course.load()}
    documents = {f"docs/{path.stem}.html" for path in (PROJECT / "docs").glob("*.md")}
    assert {"index.html", "search.html", "CHANGELOG.html", *labs, *documents} <= names


def test_every_internal_link_leads_to_a_page_and_a_place(pages: dict[Path, Links], site: Path) -> None:
    dead = []
    for path, links in pages.items():
        for link in [*links.hrefs, *links.assets]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors
            ):
                dead.append(f"{path.relative_to(site)} -> {link}")
    assert dead == []


def test_nothing_is_fetched_from_outside(pages: dict[Path, Links], site: Path) -> None:
    foreign = {link for links in pages.values() for link in links.assets if re.match(r"(https?:)?//", link)}
    assert foreign == set()
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text(encoding="utf-8")), path


def test_formulas_are_drawn_by_the_browser(site: Path) -> None:
    text = (site / "labs" / "00_start_here.html").read_text(encoding="utf-8")
    assert "<math" in text
    assert "mathjax" not in text.lower()


def test_the_site_does_not_spoil(site: Path) -> None:
    text = (site / "labs" / "00_start_here.html").read_text(encoding="utf-8")
    assert "BEGIN SOLUTION" not in text
    shown = re.sub(r"<details.*?</details>", "", text, flags=re.DOTALL)
    assert "charged twice" in text
    body = shown[shown.index("<article") :]
    assert "charged twice" not in body
    assert "check.that" not in body
    assert "my_message" in body, "the stub says what is asked"
