"""``batchlab drill``: interview questions on the terminal; no notebook, no server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from batchlab.drill.question import Question


def drill(
    topic: Annotated[str, typer.Option(help="Such as batching, tails or cost; all if left out.")] = "",
    level: Annotated[str, typer.Option(help="beginner, intermediate or advanced.")] = "",
    kind: Annotated[str, typer.Option(help="numeric, diagnosis or design.")] = "",
    count: Annotated[int, typer.Option(min=1, help="How many questions.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice and the numbers.")] = 0,
    mock: Annotated[str, typer.Option(help="A timed interview: engineer or staff; a new seed begins anew.")] = "",
    sheet: Annotated[Path | None, typer.Option(help="Write the interview's score sheet here (.md).")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Draw the sick services into this folder (.png).")] = None,
    due: Annotated[bool, typer.Option("--due", help="Only what was missed or is due again.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List the questions and leave.")] = False,
) -> None:
    """Drill the interview: questions on batching, with worked solutions.

    What you missed comes back first the next time. An empty answer skips.

    Examples:

      batchlab drill --topic tails --count 3
      batchlab drill --mock engineer --sheet score.md
      batchlab drill --kind diagnosis --pictures sick
    """
    from batchlab.drill import bank, repetition
    from batchlab.drill.picture import folder_for

    folder = None if pictures is None else folder_for(pictures)
    if mock:
        _interview(mock, seed, sheet, folder)
        return
    fitting = bank.ids(kind=kind, level=level, topic=topic)
    if show:
        for name in fitting:
            asked = bank.question(name, seed)
            typer.echo(f"{name:28} {asked.kind:10} {asked.level:13} {asked.topic}")
        return
    waiting = repetition.due(fitting)
    rest = bank.choose(len(fitting), seed, kind=kind, level=level, topic=topic) if fitting else []
    order = waiting if due else [*waiting, *(name for name in rest if name not in waiting)]
    if not order:
        typer.echo("Nothing is due. Well done." if due and fitting else "No question fits; see batchlab drill --list.")
        return
    right = asked_count = 0
    for number, name in enumerate(order[:count], 1):
        asked = bank.question(name, seed)
        given = _ask(asked, f"{number}/{min(count, len(order))}", folder)
        if not given:
            continue
        asked_count += 1
        known = _graded(asked) > 0 if asked.kind == "design" else _told(asked, given)
        right += known
        repetition.record(name, seed, known)
    typer.echo(f"\n{right} of {asked_count} right.")


def _ask(asked: "Question", where: str, folder: Path | None) -> str:
    from batchlab.drill import bank
    from batchlab.drill.own_data import own_runs

    typer.echo(f"\n[{where}] {asked.id} ({asked.level}, {asked.topic})\n\n{asked.text}\n")
    if asked.picture is not None:
        drawn = "--pictures FOLDER draws one." if folder is None else asked.picture.save(folder, asked.id)
        typer.echo(f"Picture: {drawn}\n")
    for name, words in asked.choices.items():
        typer.echo(f"  {name}: {words}")
    if bank.takes_own_data(asked.id):
        typer.echo(f"Your own runs:\n{own_runs()}\n")
    what = {"numeric": f"Number, {asked.unit or 'a factor'}, {asked.tolerance}", "diagnosis": "One of these names"}
    given: str = typer.prompt(what.get(asked.kind, "Your answer, in a line"), default="", show_default=False)
    return given.strip()


def _told(asked: "Question", given: str) -> bool:
    reason = asked.judge(_value(asked, given))
    right = "" if asked.kind == "diagnosis" else f" The answer is {asked.answer:g} {asked.unit}."
    typer.echo(f"{'Wrong: ' + reason if reason else 'Right.'}{right}\n{asked.solution}\nTaught in: {asked.lab}")
    return not reason


def _value(asked: "Question", given: str) -> object:
    try:
        return float(given) if asked.kind == "numeric" else given
    except ValueError:
        return given


def _graded(asked: "Question") -> int:
    for name, words in asked.rubric.items():
        typer.echo(f"  {name}: {words}")
    grade: int = typer.prompt("Your own grade: 0 weak, 1 fair, 2 strong", type=int)
    return min(max(grade, 0), 2)


def _interview(name: str, seed: int, sheet: Path | None, folder: Path | None) -> None:
    from batchlab.drill import mock
    from batchlab.drill.question import DrillError

    going = mock.begin(name, seed)
    while (asked := going.next()) is not None:
        given = _ask(asked, f"{going.left_s / 60:.0f} min left", folder)
        grade = _graded(asked) if asked.kind == "design" else None
        if going.left_s <= 0:
            break
        typer.echo(going.answer(asked.id, _value(asked, given), grade))
    typer.echo(f"\n{going.sheet()}")
    if sheet is not None:
        try:
            sheet.write_text(going.sheet(), encoding="utf-8")
        except OSError as error:
            raise DrillError(f"The score sheet could not be written to {sheet}: {error.strerror}.") from error
