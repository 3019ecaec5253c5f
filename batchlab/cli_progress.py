"""``batchlab progress``: where you stand in the course, and what comes next."""

import json
from typing import Annotated

import typer


def progress(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, times in seconds.")] = False,
) -> None:
    """Show labs, points, time spent, and the next step.

    The same table stands in lab 00. Time spent runs from answer to answer;
    a gap of more than 30 minutes is a pause and counts nothing.

    Examples:

      batchlab progress
      batchlab progress --json
    """
    from batchlab import course, scoreboard, standing
    from batchlab import progress as record

    labs = list(course.load().values())
    entries = record.load()
    if as_json:
        typer.echo(json.dumps(standing.stand(labs, entries).to_json(), indent=2))
    else:
        typer.echo(str(scoreboard.course_table(labs, entries)))
