"""A learner's hands in JupyterLab: open a lab, run all its cells, type an answer, read the verdict."""

import json
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

OPEN_MS = 60_000
NUMBER = re.compile(r"^\[\d+\]:$")


class LabPage:
    """One notebook in JupyterLab.

    Args:
        page: the browser's page.
        url: address with the token.
        notebook: the learner's copy on disk, which tells the order of the cells.
    """

    def __init__(self, page: Page, url: str, notebook: Path) -> None:
        self.page = page
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        self.names = [cell["metadata"].get("nbgrader", {}).get("grade_id", "") for cell in cells]
        self.code_cells = [index for index, cell in enumerate(cells) if cell["cell_type"] == "code"]
        page.goto(url)
        expect(self.cell(0)).to_be_visible(timeout=OPEN_MS)
        # Whoever runs cells before the kernel is there is asked to choose one.
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=OPEN_MS)

    def cell(self, index: int) -> Locator:
        """Return the cell at a place in the notebook."""
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{index}"]')

    def named(self, name: str) -> Locator:
        """Return the cell of a question or of its check."""
        return self.cell(self.names.index(name))

    def run_all(self, within_s: float) -> None:
        """Run all cells through the menu and wait until the last one has its number, or one has failed."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        last = self.cell(self.code_cells[-1]).locator(".jp-InputPrompt").filter(has_text=NUMBER)
        expect(last.or_(self._errors()).first).to_be_attached(timeout=within_s * 1000)

    def errors(self) -> list[str]:
        """Return the text of every output that is an error or came on stderr."""
        return self._errors().all_inner_texts()

    def answer(self, question: str, code: str, check: str) -> str:
        """Replace an answer cell's text, run it and its check, and return what the check shows."""
        answer, verdict = self.named(question), self.named(check)
        self._focus(answer)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(code)
        self._run(answer)
        self._focus(verdict)
        self._run(verdict)
        shown = verdict.locator('[role="status"]')
        expect(shown).to_be_visible(timeout=OPEN_MS)
        return shown.inner_text()

    def wait_for_run(self, cell: Locator, within_s: float) -> None:
        """Wait until a cell's prompt holds a number: queued and running cells show a star."""
        prompt = cell.locator(".jp-InputPrompt")
        expect(prompt).to_have_text(NUMBER, timeout=within_s * 1000)

    def _errors(self) -> Locator:
        kinds = ("error", "stderr")
        return self.page.locator(
            ",".join(f'.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.{kind}"]' for kind in kinds)
        )

    def _focus(self, cell: Locator) -> None:
        cell.scroll_into_view_if_needed()
        cell.locator(".cm-content").click()

    def _run(self, cell: Locator) -> None:
        before = cell.locator(".jp-InputPrompt").inner_text()
        self.page.keyboard.press("Control+Enter")
        expect(cell.locator(".jp-InputPrompt")).not_to_have_text(before, timeout=OPEN_MS)
        self.wait_for_run(cell, OPEN_MS / 1000)
