"""What a lab does on a server that it did not start: a part that needs the embedded one is left out, and says so."""

from types import SimpleNamespace

import pandas as pd
import pytest
from labs_under_test import PROJECT

from batchlab.source import read

LAB_05 = PROJECT / "solutions" / "05_shape_the_traffic.py"


def test_lab_05_leaves_its_buckets_out_on_a_server_it_did_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [cell.text for cell in read(LAB_05).cells if cell.cell_type == "code" and "triton.embedded" in cell.text]
    assert len(cells) == 3
    # Whatever else a cell reached for would be a NameError.
    names = {"triton": SimpleNamespace(embedded=False, url="10.0.0.5:8000"), "pd": pd}
    for cell in cells:
        exec(cell, names)
    told = capsys.readouterr().out
    assert told.startswith("Left out: ")
    assert "10.0.0.5:8000" in told
    assert "unset BATCHLAB_URL" in told
    assert names["own_queues"] == {}
