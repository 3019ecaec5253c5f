"""The conductor of load runs: one fleet of senders, one common start, one record for each model.

Kept apart from `batchlab.load`, which says what a run is; this module sees it through to its end, or to an early one.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm.auto import tqdm

from batchlab.fleet import Fleet
from batchlab.measure import Run
from batchlab.readiness import probe, settle
from batchlab.recording import Recorder

TICK_S = 0.25
SHOW_EVERY_S = 0.5
STOP_TIMEOUT_S = 4.0
BAR = "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s{postfix}"


def conduct(recorders: Sequence[Recorder], *, progress: bool = True) -> list[Run]:
    """Send every recorder's plan, all from one moment on, and return their runs in the same order.

    An interrupt, or a server that is gone, ends all of them early: `partial`.

    Raises:
        LoadError: a server that is not there, or refuses a request as wrong; nothing is sent then.
    """
    return _Conductor(recorders, progress).conduct()


class _Conductor:
    def __init__(self, recorders: Sequence[Recorder], progress: bool) -> None:
        self._recorders, self._progress = recorders, progress
        # Which recorder the sender of that number works for.
        self._of_sender = [recorder for recorder in recorders for _ in recorder.parts]
        self._ended = ""
        self._interrupts = 0

    def conduct(self) -> list[Run]:
        for recorder in self._recorders:
            probe(recorder.plan)
        with contextlib.ExitStack() as stack:
            bars = [stack.enter_context(self._bar(recorder)) for recorder in self._recorders]
            runs = self._send(bars)
            self._settle(bars)
        return runs

    def _send(self, bars: list[Any]) -> list[Run]:
        with contextlib.ExitStack() as stack:
            for recorder in self._recorders:
                stack.enter_context(recorder.prepare())
            fleet = stack.enter_context(Fleet([part for recorder in self._recorders for part in recorder.parts]))
            stack.enter_context(self._interruptible())
            start = fleet.begin()
            self._follow(fleet, start, bars)
            return [recorder.finish(self._ended) for recorder in self._recorders]

    def _settle(self, bars: list[Any]) -> None:
        """Wait for what the server still works off, so that the next run, or a reload, finds it idle."""
        for bar, recorder in zip(bars, self._recorders, strict=True):
            if not self._ended and (at_most_s := recorder.backlog_s()):
                bar.set_postfix_str("the server works off what nobody waits for any more")
                settle(recorder.plan, at_most_s)

    def _follow(self, fleet: Fleet, start: float, bars: list[Any]) -> None:
        stop_at, shown = float("inf"), start
        for item in fleet.messages(TICK_S):
            now = time.monotonic()
            if item is not None:
                sender, message = item
                if gone := self._of_sender[sender].take(message):
                    self._ended = self._ended or gone
                    fleet.stop()
                continue
            for recorder in self._recorders:
                recorder.tick(now - start)
            if now - shown >= SHOW_EVERY_S:
                self._show(bars, now - start)
                shown = now
            if self._interrupts and stop_at == float("inf"):
                self._ended = self._ended or "interrupted"
                fleet.stop()
                stop_at = now + STOP_TIMEOUT_S
            if now > stop_at:
                return
        self._show(bars, float("inf"))

    def _bar(self, recorder: Recorder) -> Any:
        quiet = not self._progress or os.environ.get("BATCHLAB_PROGRESS") == "0"
        plan = recorder.plan
        return tqdm(total=round(plan.end_s, 1), desc=plan.model, bar_format=BAR, disable=quiet, leave=False)

    def _show(self, bars: list[Any], elapsed_s: float) -> None:
        for bar, recorder in zip(bars, self._recorders, strict=True):
            if bar.disable:
                continue
            bar.n = max(min(elapsed_s, bar.total or 0.0), 0.0)
            if words := recorder.live():
                bar.set_postfix_str(words, refresh=False)
            bar.refresh()

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Turn the first Ctrl-C into a request to stop, so that no sample on its way is lost; a second one raises."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(*_: Any) -> None:
            self._interrupts += 1
            if self._interrupts > 1:
                raise KeyboardInterrupt

        earlier = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, earlier)
