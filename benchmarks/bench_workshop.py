"""A room at work: how many learners run lab 01 at the same time through JupyterHub, what slows down, what breaks.

Every learner logs in, starts a server and a kernel, and runs every cell of the unattempted lab 01 in order, one second
of thought before each. Run it as root: ``python -m benchmarks workshop``. BATCHLAB_BENCH_LEARNERS sets the
crowds, default 1 and 8; BATCHLAB_PACE, default 0.1, shortens the labs' measurements.
"""

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from batchlab import room, workspace
from batchlab.learner import Learner, LearnerError
from batchlab.room import Account, RoomError
from batchlab.seat import holdings
from batchlab.workshop import Workshop

LAB = "01_sweep_static_batches"
CELL_S = 600
THINKING_S = 1.0


@dataclass
class Visit:
    """What one learner met."""

    ready_s: float = float("nan")
    lab_s: float = float("nan")
    slowest_s: float = 0.0
    problems: list[str] = field(default_factory=list)


def attend(hub: str, account: Account, cells: list[str], visit: Visit) -> None:
    """Work through the lab as one learner; what goes wrong is kept, not raised."""
    began = time.monotonic()
    try:
        learner = Learner(hub, account.name, account.password)
        learner.start_server(within_s=CELL_S)
        kernel = learner.kernel()
        kernel.run("1", within_s=CELL_S)
        visit.ready_s = time.monotonic() - began
        for number, code in enumerate(cells):
            time.sleep(THINKING_S)
            ran = kernel.run(code, within_s=CELL_S)
            visit.slowest_s = max(visit.slowest_s, ran.seconds)
            if ran.error:
                visit.problems.append(f"cell {number}: {ran.error[:120]}")
        visit.lab_s = time.monotonic() - began - visit.ready_s
        kernel.close()
        learner.stop_server()
    except (LearnerError, OSError) as error:
        visit.problems.append(str(error)[:200])


def class_of(count: int, cells: list[str]) -> tuple[list[Visit], float, float]:
    """Let `count` learners attend at once; return their visits, the most that one held in GiB, the load in %."""
    with tempfile.TemporaryDirectory(prefix="room-") as name:
        Path(name).chmod(0o711)
        python = os.environ.get("BATCHLAB_WORKSHOP_PYTHON", sys.executable)
        place = room.prepare(Path(name) / "r", count, python)
        visits = [Visit() for _ in place.accounts]
        most, loads = 0, []
        with Workshop(place, python=python) as hub:
            threads = [
                threading.Thread(target=attend, args=(hub.url, account, cells, visit), daemon=True)
                for account, visit in zip(place.accounts, visits, strict=True)
            ]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                loads.append(psutil.cpu_percent(interval=1.0))
                most = max(most, *(sum(size for size, _ in holdings(account.uid)) for account in place.accounts), 0)
    return visits, most / 1024**3, statistics.fmean(loads)


def main() -> int:
    """Measure each crowd and print one row for each."""
    os.environ.setdefault("BATCHLAB_PACE", "0.1")
    crowds = [int(word) for word in os.environ.get("BATCHLAB_BENCH_LEARNERS", "1,8").split(",")]
    notebook = json.loads((workspace.project_dir() / "labs" / f"{LAB}.ipynb").read_text(encoding="utf-8"))
    # As everywhere in the course: what asserts a measured property is left out where measurements are shortened.
    left_out = "measured" if float(os.environ["BATCHLAB_PACE"]) < 1 else ""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    cells = ["".join(cell["source"]) for cell in code if left_out not in cell["metadata"].get("tags", [])]
    cores = psutil.cpu_count() or 1
    print(f"{LAB}, {len(cells)} cells, pace {os.environ['BATCHLAB_PACE']}, {cores} cores")
    print("learners  finished  ready s (worst)  lab s (worst)  slowest cell s  GiB (largest)  CPU %")
    try:
        for count in crowds:
            visits, memory, load = class_of(count, cells)
            done = [visit for visit in visits if visit.lab_s == visit.lab_s]
            worst = [
                max((getattr(v, key) for v in done), default=float("nan")) for key in ("ready_s", "lab_s", "slowest_s")
            ]
            ready, lab, cell = worst
            print(f"{count:8}  {len(done):8}  {ready:15.1f}  {lab:13.1f}  {cell:14.1f}  {memory:13.1f}  {load:5.0f}")
            for account, visit in enumerate(visits, 1):
                for problem in visit.problems:
                    print(f"  learner{account}: {problem}")
    except RoomError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
