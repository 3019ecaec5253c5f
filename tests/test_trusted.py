"""Which names of a lab a judge makes itself: imports, literals, functions of such; bound once and not by a learner."""

import ast

import pytest

from batchlab import trusted
from batchlab.submission import Part


def lab(*sources: str, answer: str = "") -> trusted.Trusted:
    parts = [Part("", "", str(number), True, source) for number, source in enumerate(sources)]
    return trusted.Trusted([*parts, Part("answer", "q", "a", True, answer)])


def test_imports_literals_and_functions_of_them_are_made_by_the_judge() -> None:
    names = lab(
        "import math\nfrom batchlab import slo as promises",
        "RATE = 480",
        "def area(r):\n    return math.pi * r**2 * RATE",
    )
    assert all(map(names.has, ("math", "promises", "RATE", "area")))
    assert names.get("area")(1) == pytest.approx(480 * 3.14159265)
    assert names.get("promises").__name__ == "batchlab.slo"


@pytest.mark.parametrize(
    "source",
    [
        "x = open('f')",
        "x = [y for y in range(3)]",
        "x = 1\nx = 2",
        "for x in (1, 2):\n    pass",
        "x += 1",
        "x: int = 1",
    ],
)
def test_what_runs_code_or_changes_is_asked_of_the_kernel(source: str) -> None:
    assert not lab(source).has("x")


def test_a_function_that_needs_the_kernel_stays_there() -> None:
    names = lab("triton = start()", "def ask(text):\n    return triton.infer(text)", "def both(a):\n    return ask(a)")
    assert not names.has("ask")
    assert not names.has("both")


def test_a_learners_name_is_never_the_judges() -> None:
    names = lab("LIMIT = 3", answer="LIMIT = ...")
    assert not names.has("LIMIT")


def test_a_function_may_call_itself() -> None:
    names = lab("def fall(n):\n    return n * fall(n - 1) if n else 1")
    assert names.get("fall")(5) == 120


def test_free_and_bound_names() -> None:
    tree = ast.parse("import a.b as c\nd, (e, f) = g(h)\nwith i as j: k = [l for l in m]\ndef n(o, *p): return o + q")
    assert trusted.free(tree) == {"g", "h", "i", "m", "q"}
    assert set().union(*map(trusted.bound, tree.body)) == {"c", "d", "e", "f", "j", "k", "n"}


def test_what_is_no_python_has_no_names() -> None:
    assert trusted.parsed("def (").body == []
    assert len(trusted.parsed("%time x = 1").body) == 1
