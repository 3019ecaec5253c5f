"""How a bench tells its result: the table on the screen and as a file, the machine, and each goal met or missed."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from batchlab.provenance import this_machine

FOLDER = Path(__file__).resolve().parent.parent / "build" / "bench"


@contextmanager
def own_home() -> Iterator[Path]:
    """Keep the runs of a bench apart from the user's, and forget them at the end."""
    with TemporaryDirectory(prefix="batchlab-bench-") as folder:
        environ["BATCHLAB_HOME"] = folder
        yield Path(folder)


def tell(name: str, title: str, table: pd.DataFrame, shown: pd.DataFrame | None = None) -> None:
    """Write `table` to ``build/bench/<name>.csv`` and print it, or its summary `shown`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.to_csv(FOLDER / f"{name}.csv", index=False)
    print(f"\n{title}\n{this_machine()}\n")
    print((table if shown is None else shown).round(3).to_string(index=False, na_rep="-"))


def judge(goal: str, measured: str, met: bool) -> None:
    """Print a goal, what was measured, and whether the one meets the other."""
    print(f"\nGoal: {goal}: {measured}, {'met' if met else 'MISSED'}")
