"""The part of a lab that a judge may run itself: imports, literals and functions made of nothing else.

A check names what it compares with. Names that the lab's own cells bind once, by an import, a literal or a function
that needs only such names, are made anew by the judge; so a learner who overwrites `queueing` in the notebook changes
nothing for the check. Every other name is asked of the learner's kernel.
"""

import ast
import builtins
from collections.abc import Iterator, Sequence
from typing import Any

from batchlab.submission import Part

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class Trusted:
    """Names of one lab that the judge makes itself, made when first asked for."""

    def __init__(self, lab: Sequence[Part]) -> None:
        self._bound: dict[str, list[ast.stmt | None]] = {}
        self.namespace: dict[str, Any] = {}
        for part in lab:
            for statement in parsed(part.source).body if part.code else ():
                learners = part.kind == "answer"
                for name in bound(statement):
                    self._bound.setdefault(name, []).append(None if learners else statement)

    def has(self, name: str, above: frozenset[str] = frozenset()) -> bool:
        """Whether the judge can make a name itself."""
        statements = self._bound.get(name, [])
        statement = statements[0] if len(statements) == 1 else None
        if isinstance(statement, ast.Import | ast.ImportFrom):
            return True
        if isinstance(statement, ast.Assign):
            return isinstance(statement.targets[0], ast.Name) and _literal(statement.value)
        if isinstance(statement, ast.FunctionDef):
            return all(other in above or self.has(other, above | {name}) for other in free(statement) - {name})
        return False

    def get(self, name: str) -> Any:
        """Return a name's value; call it only where `has` says yes."""
        if name not in self.namespace:
            statement = self._bound[name][0]
            assert statement is not None
            if isinstance(statement, ast.FunctionDef):
                # Set first, for a function that calls itself.
                self.namespace[name] = None
                for other in free(statement) - {name}:
                    self.get(other)
            exec(compile(ast.Module([statement], []), "<lab>", "exec"), self.namespace)
        return self.namespace[name]


def parsed(source: str) -> ast.Module:
    """Return the syntax tree of a cell, IPython's magics translated; an empty one where it is no Python."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def bound(node: ast.AST) -> set[str]:
    """Return the names that a statement binds in the namespace it stands in."""
    names = set()
    for inner in _own(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(inner.name)
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name.split(".")[0]) for alias in inner.names}
        elif isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
            names.add(inner.id)
    return names


def free(node: ast.AST) -> set[str]:
    """Return the names that code reads and neither binds itself nor finds among Python's own."""
    loaded: set[str] = set()
    made: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            (loaded if isinstance(inner.ctx, ast.Load) else made).add(inner.id)
        elif isinstance(inner, ast.arg):
            made.add(inner.arg)
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made.add(inner.name)
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name.split(".")[0]) for alias in inner.names}
    return {name for name in loaded - made if not hasattr(builtins, name)}


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a statement without the insides of functions, classes and comprehensions, which bind elsewhere."""
    yield node
    if isinstance(node, SCOPES):
        return
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            yield from _own(child)


def _literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True
