"""The authoring contract, checked: what a lab's source must hold before it becomes notebooks."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from batchlab.source import CHECK_SUFFIX, GID, KINDS, Cell, Source, answer_names, check_call

MAX_CODE_LINES = 25
AIM_CODE_LINES = 12
MAX_CONTEXT_SENTENCES = 3
TAGS = {
    "nbval-ignore-output": "its output is a measurement",
    "nbval-raises-exception": "it shows an error on purpose",
    "raises-exception": "it shows an error on purpose",
    "remove-input": "its code is hidden on a page",
    "measured": "it asserts a measured property, and is left out of runs at a shorter pace",
}
OPENING = ("What you'll do", "What you'll learn", "What you'll need")
CLOSING = ("What you did", "What you learned")
FRAME = ("On your own", "In practice", "Further reading")
UNBOUND = "write '{name} = ...' above ### BEGIN SOLUTION, or hand the check what this cell sets."
ABBREVIATIONS = r"(?<!e\.g)(?<!i\.e)(?<!vs)(?<!cf)(?<!etc)(?<!approx)(?<!Fig)(?<!No)(?<!Eq)"
TWO_SENTENCES = re.compile(ABBREVIATIONS + r"[.!?][\"')*_`]*\s+(?=[\"'(*_`]*[A-Z])")
SENTENCE_END = re.compile(r"[.!?:;…][\"')*_`\]]*$")
NOT_PROSE = re.compile(r"\s*([#>|<$!]|[-*+]\s|\d+[.)]\s|\[[^\]]+\]:|$)")


@dataclass(frozen=True)
class Finding:
    """One departure from the contract; a warning does not stop a build."""

    place: str
    text: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {'warning: ' if self.warning else ''}{self.text}"


def findings(source: Source) -> list[Finding]:
    """Return everything that departs from the authoring contract, in the order of the source."""
    found = [Finding(source.where(cell), text, warning) for cell in source.cells for text, warning in _cell(cell)]
    found += [Finding(source.where(cell), text) for cell, text in _questions(source)]
    found += [Finding(source.where(), text, warning) for text, warning in _frame(source)]
    return found


def _cell(cell: Cell) -> Iterator[tuple[str, bool]]:
    yield from ((text, False) for text in _metadata(cell))
    if cell.cell_type == "markdown":
        yield from _prose(cell.text)
    elif cell.cell_type == "code":
        size = sum(1 for line in cell.text.splitlines() if line.strip() and "SOLUTION" not in line)
        if size > MAX_CODE_LINES:
            yield f"{size} lines of code; split the cell, {MAX_CODE_LINES} is the limit.", False
        elif size > AIM_CODE_LINES:
            yield f"{size} lines of code; aim for {AIM_CODE_LINES}.", True


def _metadata(cell: Cell) -> Iterator[str]:
    if cell.extra:
        yield f"unknown cell header {', '.join(cell.extra)}; a header knows gid, kind, points and tags."
    for tag in cell.tags:
        if tag not in TAGS:
            yield f"unknown tag {tag!r}; known are {', '.join(TAGS)}."
    marked = "BEGIN SOLUTION" in cell.text or "END SOLUTION" in cell.text
    if not cell.kind and not cell.gid:
        if cell.points is not None:
            yield "points without gid and kind."
        if marked:
            yield 'a solution in a cell that is no answer; write gid="q1" kind="answer" into its header.'
        return
    if cell.kind not in KINDS:
        yield f"unknown kind {cell.kind!r}; use one of {', '.join(KINDS)}."
        return
    if not GID.fullmatch(cell.gid):
        yield f"gid {cell.gid!r} must be lower-case letters, digits and underscores."
    graded = cell.kind in ("test", "manual")
    if graded and not (type(cell.points) in (int, float) and cell.points and cell.points > 0):
        yield f"a {cell.kind} cell needs points above 0, such as points=1."
    if not graded and cell.points is not None:
        yield f"an {cell.kind} cell has no points; put them on its test."
    if cell.text.count("BEGIN SOLUTION") != cell.text.count("END SOLUTION"):
        yield "BEGIN SOLUTION and END SOLUTION do not pair."
    if marked and cell.kind not in ("answer", "manual"):
        yield f"a solution in a {cell.kind} cell would be handed out."
    if cell.cell_type == "markdown" and cell.kind in ("answer", "test"):
        yield f'a Markdown cell cannot be of kind "{cell.kind}"; free text is "manual".'
    if cell.kind == "answer" and not marked:
        yield "an answer cell needs a part between ### BEGIN SOLUTION and ### END SOLUTION."
    if cell.kind == "test":
        yield from _test(cell)


def _test(cell: Cell) -> Iterator[str]:
    if not cell.gid.endswith(CHECK_SUFFIX):
        yield f'call the test of question "q1" "q1{CHECK_SUFFIX}".'
    if "nbval-ignore-output" in cell.tags:
        yield "a verdict must be compared; drop the tag nbval-ignore-output."
    call = check_call(cell)
    if call is None:
        yield "a test cell ends with check.number(...) or another check, whose value is the points."
    elif not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == cell.question):
        yield f'the check\'s first argument must be "{cell.question}".'


def _questions(source: Source) -> Iterator[tuple[Cell, str]]:
    seen: dict[str, Cell] = {}
    for cell in source.cells:
        if cell.gid and cell.gid in seen:
            yield cell, f"gid {cell.gid!r} is taken by cell {seen[cell.gid].number}."
        elif cell.gid:
            seen[cell.gid] = cell
    for cell in source.cells:
        if cell.kind == "answer" and f"{cell.gid}{CHECK_SUFFIX}" not in seen:
            yield cell, f'no test "{cell.gid}{CHECK_SUFFIX}" checks this answer; add one, or make the cell manual.'
        if cell.kind == "test" and cell.gid.endswith(CHECK_SUFFIX):
            answer = seen.get(cell.question)
            if answer is None or answer.number > cell.number:
                yield cell, f'no answer cell "{cell.question}" stands above this test.'
            else:
                gone = [name for name in answer_names(cell) if name not in _left_to_learners(answer)]
                yield from ((answer, f"learners find no {name!r} here: {UNBOUND.format(name=name)}") for name in gone)


def _left_to_learners(answer: Cell) -> set[str]:
    """Return the names that an answer cell still defines when its solution is taken out."""
    outside = re.sub(r"(?ms)^[ \t]*#* *BEGIN SOLUTION.*?END SOLUTION[^\n]*$", "", answer.text)
    try:
        tree = ast.parse(outside)
    except SyntaxError:
        # An emptied function body: the stub would not even parse.
        return set()
    bound = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return bound | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _prose(text: str) -> Iterator[tuple[str, bool]]:
    fenced, sentences, previous = False, 0, ""
    text = _straight(text)
    for line in [*text.splitlines(), ""]:
        if line.lstrip().startswith(("```", "~~~", "$$")):
            fenced, previous = not fenced, ""
            continue
        if fenced or (NOT_PROSE.match(line) and not line.startswith("**")):
            previous = ""
            continue
        # A bold lead-in such as "**Predict.**" belongs to its sentence.
        plain = re.sub(r"^\*\*[^*]+\*\*\s*", "", line)
        if TWO_SENTENCES.search(plain):
            yield f"two sentences on one line: {_start(line)}", False
        if previous and not SENTENCE_END.search(previous) and re.match(r"[a-z]", line):
            yield f"a sentence runs over two lines: {_start(previous)}", False
        sentences, previous = sentences + 1, line.rstrip()
    if sentences > MAX_CONTEXT_SENTENCES and not text.lstrip().startswith("# "):
        yield f"{sentences} sentences of prose; aim for {MAX_CONTEXT_SENTENCES} before the next code.", True


def _start(line: str) -> str:
    return f"'{line[:50]}...'" if len(line) > 50 else f"'{line}'"


def _frame(source: Source) -> Iterator[tuple[str, bool]]:
    first = source.cells[0] if source.cells else None
    if first is None or first.cell_type != "markdown" or not first.text.startswith("# "):
        yield "the first cell must be Markdown and begin with '# ' and the title.", False
    else:
        title = first.text.splitlines()[0].removeprefix("# ").strip()
        if title != source.header["title"]:
            yield f"the first cell is titled {title!r}, the header says {source.header['title']!r}.", False
        yield from ((f"the first cell lacks '{part}'.", False) for part in OPENING if not _holds(first.text, part))
        if not re.search(rf"\b{source.header['minutes']} minutes\b", first.text):
            yield f"the first cell does not say '{source.header['minutes']} minutes' as the header does.", False
    last = source.cells[-1] if source.cells else None
    if last is None or last.cell_type != "markdown" or not all(_holds(last.text, part) for part in CLOSING):
        yield f"the last cell must mirror the first, with {' and '.join(map(repr, CLOSING))}.", False
    headings = "\n".join(cell.text for cell in source.cells if cell.cell_type == "markdown")
    yield from ((f"no section '{part}'.", True) for part in FRAME if not re.search(rf"(?m)^#+ .*{part}", headings))


def _holds(text: str, part: str) -> bool:
    return part.casefold() in _straight(text).casefold()


def _straight(text: str) -> str:
    """Return a text with curly quotation marks made straight."""
    return text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'})
