"""Run every ``bench_*.py`` here, each in a process of its own: ``make bench``, or ``python -m benchmarks harness``.

Options after the name of one bench are its own: ``make bench OPTIONS='twin_tune --all'``.
"""

import itertools
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    """Run the benches named, or all; return 1 when one of them failed. A missed goal is printed and is no failure."""
    wanted = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    options = arguments[len(wanted) :]
    known = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"No bench named {', '.join(unknown)}. There are: {', '.join(known)}.", file=sys.stderr)
        return 2
    if options and len(wanted) != 1:
        print(f"{options[0]} is an option of one bench: name that bench before it, and no other.", file=sys.stderr)
        return 2
    failed = []
    for name in wanted or known:
        print(f"\n=== {name} ===", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{known[name].stem}", *options], cwd=HERE.parent)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"\nFailed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
