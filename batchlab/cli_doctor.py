"""``batchlab doctor``: what this machine can do, in one table."""

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON.")] = False,
) -> None:
    """Say what this machine can do, and what to do about each lack.

    Exit status 0 when the labs can run here, else 1.
    A note is worth knowing and stops nothing.

    Examples:

      batchlab doctor
      batchlab doctor --json
    """
    from batchlab import doctor as examination

    checks = examination.examine()
    if as_json:
        typer.echo(examination.to_json(checks))
    else:
        _show(checks)
    raise typer.Exit(0 if examination.able(checks) else 1)


def _show(checks: list) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from batchlab import doctor as examination

    colours = {"ok": "green", "note": "yellow", "lack": "bold red"}
    table = Table(title="What this machine can do", title_justify="left")
    table.add_column("")
    table.add_column("Question", no_wrap=True)
    table.add_column("Found", overflow="fold")
    table.add_column("To do", overflow="fold")
    for check in checks:
        # Text, not markup: a path may hold square brackets.
        table.add_row(
            Text(check.state, style=colours[check.state]), check.name, Text(check.finding), Text(check.remedy)
        )
    console = Console()
    console.print(table)
    console.print(Text(examination.verdict(checks)))
