"""The ``batchlab`` command: gathers the sub-commands and turns the library's own errors into one line.

A sub-command is a module ``batchlab/cli_NAME.py`` that holds a function ``NAME``, or an application of commands;
it is found by that name, so that adding one touches nothing here. Such a module imports at its top only what its
signature needs.
"""

import importlib
import keyword
import pkgutil
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import batchlab

PREFIX = "cli_"
PANELS = {
    "doctor": "Learn",
    "labs": "Learn",
    "drill": "Learn",
    "progress": "Learn",
    "serve": "Serve",
    "models": "Serve",
    "profiles": "Serve",
    "sweep": "Measure",
    "simulate": "Plan",
    "plan": "Plan",
    "cost": "Plan",
    "class": "Teach",
}
OTHER_PANEL = "Measure"


class _Group(TyperGroup):
    """A group whose commands fail in one clear line: status 2 for bad input, 1 for anything else that went wrong.

    Only the library's own errors are treated so; a programming error keeps its traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: typer.echo(f"Note: {message}", err=True)
            try:
                return super().invoke(ctx)
            except Exception as error:
                if not _is_ours(error):
                    raise
                typer.echo(f"Error: {error}", err=True)
                raise typer.Exit(2 if _is_bad_input(error) else 1) from error


def _is_ours(error: Exception) -> bool:
    return any(kind.__module__.startswith("batchlab.") for kind in type(error).__mro__)


def _is_bad_input(error: Exception) -> bool:
    from batchlab.endpoint import RequestError

    return isinstance(error, (ValueError, RequestError))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"batchlab {batchlab.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Learn batching on a real Triton Inference Server, then tune your own.

    The labs need neither a GPU nor Docker. Every measuring command takes
    --url HOST:PORT of any running Triton, and --json for a script to read.

    Start here:

      batchlab doctor           what this machine can do
      batchlab labs             JupyterLab on the first lab
      batchlab sweep resnet50   batch 1, 8, 32, 128, and the knee
    """


def gather() -> typer.Typer:
    """Return the application with every sub-command found, those named in `PANELS` first."""
    found = typer.Typer(cls=_Group, no_args_is_help=True, add_completion=False, rich_markup_mode="rich")
    found.callback()(_root)
    modules = {
        module.name.removeprefix(PREFIX)
        for module in pkgutil.iter_modules(batchlab.__path__)
        if module.name.startswith(PREFIX)
    }
    for name in [*(name for name in PANELS if name in modules), *sorted(modules - PANELS.keys())]:
        module, panel = importlib.import_module(f"batchlab.{PREFIX}{name}"), PANELS.get(name, OTHER_PANEL)
        # A Python keyword cannot be a function's name; PEP 8 puts an underscore behind it.
        command = getattr(module, f"{name}_" if keyword.iskeyword(name) else name)
        if isinstance(command, typer.Typer):
            found.add_typer(command, name=name, rich_help_panel=panel)
        else:
            found.command(name, rich_help_panel=panel)(command)
    return found


app = gather()
