"""A list of numbers in one option of a command, separated by commas."""

from typing import Any

import typer


def numbers(option: str, text: str, kind: type, *, empty: bool = False) -> list[Any]:
    """Return the numbers in an option's text, in their order.

    Args:
        option: its name, for the error.
        kind: ``int`` or ``float``.
        empty: whether a text without any number will do.

    Raises:
        typer.BadParameter: something in it is no such number, or there is none.
    """
    try:
        found = [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found, empty = [], False
    if not found and not empty:
        raise typer.BadParameter(f"{text!r} is not a comma-separated list of numbers.", param_hint=option)
    return found
