"""Made-up runs up a staircase of rates, as lab 10 measures them."""

import numpy as np
import pandas as pd

from batchlab.comparison import Stairs
from batchlab.measure import COLUMNS, Run
from batchlab.provenance import Provenance
from batchlab.slo import Slo

STAIRS = Stairs(100.0, (0.25, 0.75), step_s=1.0, lead_s=1.0)
SLO = Slo(p99_ms=100)


def a_run(broken_from_s, name):
    times = np.arange(0.0, 3.0, 0.05)
    took = np.where(times < broken_from_s, 0.01, 0.2)
    rows = {"intended_s": times, "sent_s": times, "done_s": times + took, "batch_size": 1, "ok": True, "error": ""}
    origin = Provenance("emulated", "m", f"{name} 1.0", details={"protocol": name})
    return Run(pd.DataFrame(rows)[list(COLUMNS)], origin, "open_loop")
