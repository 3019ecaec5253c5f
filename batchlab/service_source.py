"""Where a service time comes from: a published profile, a formula, or a calibration that was saved."""

import ast
import json
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from batchlab.profiles import Profile, load_profiles
from batchlab.service import Calibration, ServiceError, ServiceTime

OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
FUNCTIONS: dict[str, Callable[..., float]] = {"max": max, "min": min}


def chosen(
    profile: str | None = None, formula: str | None = None, calibration: Path | None = None, *, max_batch: int = 1
) -> Profile | ServiceTime | Calibration:
    """Return what exactly one of the three names.

    Args:
        profile: a name that `load_profiles` knows.
        formula: ms of a batch of ``b``, see `from_formula`.
        calibration: a file of `Calibration.to_dict`.
        max_batch: the largest size for which a formula is asked.

    Raises:
        ServiceError: none or several were given, or the one given does not hold.
    """
    given = [name for name, value in _named(profile, formula, calibration).items() if value is not None]
    if len(given) != 1:
        raise ServiceError(
            "Say once what a batch costs: a profile, a formula such as 10+1*b, or a saved calibration"
            + (f"; got {' and '.join(given)}." if given else ".")
        )
    if profile is not None:
        known = load_profiles()
        if profile not in known:
            raise ServiceError(f"No profile {profile!r}. There are: {', '.join(sorted(known))}.")
        return known[profile]
    if calibration is not None:
        return read_calibration(calibration)
    return from_formula(str(formula), max_batch)


def from_formula(text: str, max_batch: int) -> ServiceTime:
    """Tabulate a formula of the batch size ``b`` in ms, such as ``"10+1*b"`` or ``"max(8, 2*b)"``.

    Known are numbers, ``b``, ``+ - * / **``, parentheses, ``min`` and ``max``; nothing of it is executed.

    Raises:
        ServiceError: it cannot be read, or gives no time.
    """
    if max_batch < 1:
        raise ServiceError(f"The largest batch is 1 or more, got {max_batch}.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        times = [float(_value(tree, b)) for b in range(1, max_batch + 1)]
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise ServiceError(
            f"The formula {text!r} is not one of numbers, b, + - * / **, min and max ({error}). Write it like 10+1*b."
        ) from error
    return ServiceTime(np.arange(1, max_batch + 1), np.array(times), source=f"the formula {text.strip()} ms")


def read_calibration(path: Path) -> Calibration:
    """Read a calibration that was saved as JSON.

    Raises:
        ServiceError: no such file, or another content.
    """
    try:
        return Calibration.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ServiceError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, ServiceError):
            raise
        raise ServiceError(f"{path} holds no calibration: write Calibration.to_dict() there as JSON.") from error


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration as JSON, whole or not at all.

    Raises:
        ServiceError: the file cannot be written.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(json.dumps(calibration.to_dict(), indent=1) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise ServiceError(f"{path} cannot be written: {error.strerror}.") from error


def _named(profile: Any, formula: Any, calibration: Any) -> dict[str, Any]:
    return {"a profile": profile, "a formula": formula, "a calibration": calibration}


def _value(node: ast.AST, b: int) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name) and node.id == "b":
        return float(b)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_value(node.left, b), _value(node.right, b))
    if isinstance(node, ast.UnaryOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_value(node.operand, b))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1 and not node.keywords:
        function = FUNCTIONS.get(node.func.id)
        if function:
            return function(*(_value(argument, b) for argument in node.args))
    raise ValueError(f"{ast.unparse(node)} is not known")
