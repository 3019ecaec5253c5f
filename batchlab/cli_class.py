"""``batchlab class``: hand labs out to a room, collect, grade and return them."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

Room = Annotated[Path, typer.Option("--course", help="The course folder.")]
Labs = Annotated[list[str] | None, typer.Option("--lab", help="These labs only, by their first letters; repeat it.")]
HERE = Path("course")

class_ = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@class_.callback()
def about() -> None:
    """Teach: hand out, collect, grade and return the labs of a whole room.

    A course folder is an nbgrader course. Submissions run in a sandbox
    without network (bubblewrap); the checks run outside of it.

    Examples:

      batchlab class init course
      batchlab class release course/handouts --learners room.txt --zip
      batchlab class collect downloads/
      batchlab class grade
      batchlab class formgrader
      batchlab class feedback
      batchlab class export grades.csv
    """


@class_.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The course folder; made if it is not there.")] = HERE,
    lab: Labs = None,
    sources: Annotated[Path | None, typer.Option(help="Folder of the labs' sources.")] = None,
    hidden: Annotated[Path | None, typer.Option(help="Your folder of hidden tests, NN_lab.py each.")] = None,
) -> None:
    """Make a course folder, or change its labs; nothing in it is lost."""
    from batchlab import classroom

    room = classroom.init(folder, lab or (), sources, hidden)
    typer.echo(f"{room.root}: {len(room.labs)} labs. Hidden tests, if any, go to {room.hidden}.")
    typer.echo("The folder holds solutions and the secret behind seeds and seals: keep it to yourself, and back it up.")


@class_.command()
def release(
    target: Annotated[Path, typer.Argument(help="Where the learners' folders or zips go.")],
    course: Room = HERE,
    lab: Labs = None,
    learners: Annotated[
        Path | None, typer.Option(help="A file of ids, one a line; without it, one copy for all.")
    ] = None,
    zipped: Annotated[bool, typer.Option("--zip", help="Zips instead of folders.")] = False,
) -> None:
    """Write what each learner gets: no solutions, no hidden tests, an own seed."""
    from batchlab import classroom
    from batchlab import release as handing

    room = classroom.open_(course)
    ids = handing.roster(learners) if learners else []
    for path in handing.hand_out(room, target, _chosen(room, lab), ids, zipped=zipped):
        typer.echo(str(path))


@class_.command()
def collect(
    folder: Annotated[Path, typer.Argument(help="A folder of notebooks and zips, as a platform downloads it.")],
    course: Room = HERE,
) -> None:
    """Take in what was handed in; what is refused gets one line, and the rest goes on."""
    from batchlab import classroom, intake

    taken = intake.collect(classroom.open_(course), folder)
    for one in taken:
        typer.echo(str(one))
    refused = sum(bool(one.refused) for one in taken)
    typer.echo(f"{len(taken) - refused} notebooks taken, {refused} files refused.")


@class_.command()
def grade(
    course: Room = HERE,
    lab: Labs = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Submissions at once.", show_default="one a core")] = None,
    wall_s: Annotated[float, typer.Option(min=1, help="Seconds for one submission.")] = 1800,
    cell_s: Annotated[float, typer.Option(min=1, help="Seconds for one cell.")] = 600,
    memory_mib: Annotated[int, typer.Option(min=256, help="Memory of one submission.")] = 6144,
    processes: Annotated[int, typer.Option(min=16, help="Processes and threads of one submission.")] = 1024,
    disk_mib: Annotated[int, typer.Option(min=16, help="Scratch space of one submission.")] = 1024,
    pace: Annotated[float | None, typer.Option(min=0.01, help="Factor on every measuring duration.")] = None,
) -> None:
    """Grade everything that is not graded yet; after a kill, call it again."""
    import time

    from tqdm import tqdm

    from batchlab import classroom, evidence, gradebook, marking
    from batchlab.walls import Limits

    room = classroom.open_(course)
    labs = _chosen(room, lab)
    for name in labs or room.labs:
        if not (room.root / "release" / name).is_dir():
            gradebook.release(room, name)
    limits = Limits(wall_s, cell_s, memory_mib, processes, disk_mib)
    began = time.monotonic()
    tqdm.monitor_interval = 0  # its thread must not be there when judges are forked
    quiet = bool(os.environ.get("TQDM_DISABLE"))
    with tqdm(total=len(room.submissions(labs)), desc="graded", unit="notebook", disable=quiet or None) as bar:

        def done(learner: str, lab: str, result: dict[str, Any]) -> None:
            bar.update()
            bar.set_postfix_str(f"{learner} {result['points']:g}")

        environment = {} if pace is None else {"BATCHLAB_PACE": str(pace)}
        marked = marking.mark(room, labs, workers=workers, limits=limits, environment=environment, on_done=done)
    gradebook.enter(room, marked.results)
    twins = {
        name: evidence.shared({who: room.submitted(who, name) for who, lab in marked.results if lab == name})
        for name in room.labs
    }
    for (learner, name), result in sorted(marked.results.items()):
        maximum = sum(verdict["maximum"] for verdict in result["verdicts"].values())
        typer.echo(f"{learner}  {name}  {result['points']:g} of {maximum:g}")
        for remark in [*result["remarks"], *twins[name].get(learner, [])]:
            typer.echo(f"    look: {remark}")
    seconds = time.monotonic() - began
    typer.echo(f"{len(marked.results)} submissions, {marked.fresh} graded now, {seconds:.0f} s.")
    for learner, name in marked.failed:
        typer.echo(f"{learner} {name}: the grader itself failed; call it again.", err=True)
    if marked.failed:
        raise typer.Exit(1)


@class_.command()
def formgrader(
    course: Room = HERE,
    browser: Annotated[bool, typer.Option(help="Open the browser; without it only the address is printed.")] = True,
) -> None:
    """Open nbgrader's formgrader: points for free text, and for what the grader leaves to you.

    It listens on 127.0.0.1 only, behind a token, and runs no notebook.
    Points and comments are saved as you type them. Ctrl-C ends it.
    """
    from batchlab import classroom, jupyter_session
    from batchlab import formgrader as by_hand

    def announce(session: jupyter_session.Session) -> None:
        typer.echo(f"The formgrader is open on {room.root}. Ctrl-C here ends it.")
        typer.echo(f"  {session.page(by_hand.FIRST_PAGE)}")

    room = classroom.open_(course)
    raise typer.Exit(by_hand.run(room, browser=browser, on_ready=announce))


@class_.command()
def feedback(course: Room = HERE) -> None:
    """Write one page of HTML for each learner into the course folder's feedback/."""
    from batchlab import classroom, gradebook, marking
    from batchlab import feedback as pages

    room = classroom.open_(course)
    results = {pair: found for pair in room.submissions() if (found := marking.read(room.result(*pair)))}
    for path in pages.give(room, gradebook.grades(room), results):
        typer.echo(str(path))


@class_.command()
def export(
    target: Annotated[Path, typer.Argument(help="The CSV file.")] = Path("grades.csv"), course: Room = HERE
) -> None:
    """Write points by question, lab and learner; what waits for you says so."""
    from batchlab import classroom, gradebook

    room = classroom.open_(course)
    every = gradebook.grades(room)
    classroom.write(target.expanduser().resolve(), gradebook.table(every))
    waiting = sum(one.points is None for one in every)
    how = f" Give the points: batchlab class formgrader --course {course}." if waiting else ""
    typer.echo(f"{target}: {len(every)} grades, {waiting} {gradebook.BY_HAND}.{how}")


@class_.command()
def pack(
    notebook: Annotated[Path, typer.Argument(help="Your lab.")],
    target: Annotated[Path, typer.Option("--to", help="Folder for the zip.")] = Path(),
    ticket: Annotated[Path | None, typer.Option(help="The learner.json that came with the labs.")] = None,
) -> None:
    """For learners: put a lab and its saved runs into the zip to hand in."""
    from batchlab import evidence, journal, progress

    best = progress.best(progress.load(), notebook.stem)
    right = {name: entry.answer for name, entry in best.items() if entry.state == "right"}
    place = evidence.pack(notebook, journal.saved(), ticket or notebook.parent / evidence.TICKET, target, right)
    typer.echo(f"{place}: hand this file in.")


@class_.command()
def slides(target: Annotated[Path, typer.Argument(help="The PDF.")] = Path("batchlab-slides.pdf")) -> None:
    """Draw the key figures as slides, from published profiles and the digital twin."""
    from batchlab import slides as deck

    for number, title in enumerate(deck.draw(target), 1):
        typer.echo(f"{number}. {title}")
    typer.echo(str(target))


@class_.command()
def preflight() -> None:
    """Check this machine for grading: Python's packages, cores, memory, and a sandbox that holds."""
    import psutil

    from batchlab import arrivals, sandbox, simulate, twin
    from batchlab.profiles import synthetic_profile

    sandbox.check()
    typer.echo("Sandbox: bubblewrap runs, without network and on read-only files.")
    cores, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory().available / 2**30
    typer.echo(f"{cores} cores: as many submissions at once. {memory:.0f} GiB free: up to 6 GiB for each, by default.")
    simulate.simulate(twin.model(synthetic_profile(1.0, 0.1)), arrivals.constant(10, seconds=1))
    typer.echo("The digital twin is compiled: every sandbox gets a copy instead of compiling it again.")
    typer.echo("For the learners' machines: batchlab doctor.")


def _chosen(room: Any, names: list[str] | None) -> list[str]:
    from batchlab.classroom import ClassroomError

    for name in names or ():
        if not any(lab.startswith(name) for lab in room.labs):
            raise ClassroomError(f"No lab of this course begins with {name!r}; it has {', '.join(room.labs)}.")
    return [lab for lab in room.labs if any(lab.startswith(name) for name in names or ())]
