"""The live panel: what it shows, and that it ends. No browser is needed; a kernel is tried for real."""

import gc
import re
import threading
import time
from collections.abc import Callable, Iterator
from xml.etree import ElementTree

import nbformat
import pytest
from metrics_server import MetricsServer, exposition
from nbclient import NotebookClient

from batchlab import monitor
from batchlab.monitor import MonitorError
from batchlab.monitor_panel import Panel
from batchlab.plots import COLOURS
from batchlab.provenance import Provenance


class Watched:
    """What a panel needs of a server."""

    def __init__(self, metrics_url: str) -> None:
        self.metrics_url = metrics_url

    def provenance(self, model: str) -> Provenance:
        return Provenance(tier="emulated", model=model, server="Triton 2.51.0 (embedded)")


@pytest.fixture
def fake() -> Iterator[MetricsServer]:
    with MetricsServer(exposition("a") + exposition("b")) as serving:
        yield serving


def until(true: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "batchlab-monitor"]


def test_it_draws_by_itself_and_says_where_the_numbers_come_from(fake: MetricsServer) -> None:
    live = Panel(Watched(fake.url), ["a", "b"], {"a": 50}, interval_s=0.1)
    try:
        fake.text = exposition("a", requests=9, queue_us=90_000, pending=4, rejected=1) + exposition("b")
        until(lambda: "4 pending" in live.picture().data)
        until(lambda: len(live.monitor.history) > 5)
        picture = live.picture().data
    finally:
        live.stop()
    svg = ElementTree.fromstring(re.search(r"<svg.*</svg>", picture)[0])  # type: ignore[index]
    words = " ".join(svg.itertext())
    assert "a (SLO 50 ms)" in words
    for title in ("mean ms", "answered/s", "mean batch", "pending", "rejected/s"):
        assert words.count(title) == 2
    assert picture.count(f'stroke="{COLOURS["slo"]}"') == 1
    assert "emulated: real Triton, accelerator played back" in picture


def test_stop_ends_the_thread_and_keeps_the_picture(fake: MetricsServer) -> None:
    live = monitor.panel(Watched(fake.url), ["a"], slo_ms=10)
    assert live.running
    live.stop()
    live.stop()
    assert not live.running
    assert threads() == []
    assert "<svg" in live.picture().data


def test_the_button_ends_it(fake: MetricsServer) -> None:
    live = Panel(Watched(fake.url), ["a"], interval_s=0.1)
    live.widget.children[1].click()
    until(lambda: threads() == [])
    assert not live.running


def test_a_panel_that_nobody_holds_ends(fake: MetricsServer) -> None:
    Panel(Watched(fake.url), ["a"], interval_s=0.1)
    gc.collect()
    until(lambda: threads() == [])


def test_a_server_that_goes_and_comes_back_is_told(fake: MetricsServer) -> None:
    live = Panel(Watched(fake.url), ["a"], interval_s=0.1)
    try:
        fake.stop()
        until(lambda: "No Triton answers" in live.picture().data)
        with MetricsServer(exposition("a"), fake.port):
            until(lambda: "Live, the last" in live.picture().data)
    finally:
        live.stop()


def test_bad_input_is_told_and_starts_nothing(fake: MetricsServer) -> None:
    for models, slo_ms, said in (
        ([], None, "at least one model"),
        (["a"], 0, "above 0; got 0 for 'a'"),
        (["a"], {"x": 5}, "names 'x', which is not shown"),
    ):
        with pytest.raises(MonitorError, match=said):
            monitor.panel(Watched(fake.url), models, slo_ms)
    assert threads() == []


def test_in_a_kernel_the_next_cell_runs_while_it_draws_and_the_kernel_ends(fake: MetricsServer) -> None:
    setup = f"""
from batchlab.monitor_panel import Panel
from batchlab.provenance import Provenance
class Watched:
    metrics_url = "{fake.url}"
    def provenance(self, model): return Provenance(tier="cpu", model=model, server="x")
live = Panel(Watched(), ["a"], interval_s=0.1)
live"""
    later = """
import time
before = len(live.monitor.history)
time.sleep(1)
print(live.running, len(live.monitor.history) > before + 2)"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (setup, later)])
    # Nobody stops the panel: the client ends the kernel, and would time out if the panel kept it.
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    shown, printed = (cell.outputs for cell in notebook.cells)
    assert "application/vnd.jupyter.widget-view+json" in shown[0].data
    assert [output.get("text") for output in printed] == ["True True\n"]
