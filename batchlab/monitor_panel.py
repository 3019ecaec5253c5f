"""A live panel in a notebook: small lines of what each model does, drawn anew each second from Triton's metrics.

    live = monitor.panel(server, ["fraud_check", "ad_scoring"], slo_ms=50)
    live            # shows it
    live.stop()     # ends it; the last picture stays

A thread of its own looks and draws, so the notebook stays free for the next cell. The lines are SVG written by hand:
a figure drawn anew each second would take the very cores that the labs measure.
"""

import html
import math
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import ipywidgets

from batchlab.monitor import Look, Monitor, MonitorError
from batchlab.monitor_chart import Line, chart
from batchlab.plots.caption import source_line
from batchlab.plots.palette import COLOURS, FAINT, INK

WINDOW_S = 60.0
LONGEST_S = 3600.0
# Title, the lines of (colour, quantity of a reading), whether the SLO belongs there.
CHARTS: tuple[tuple[str, tuple[tuple[str, str, str], ...], bool], ...] = (
    ("mean ms", (("queue", COLOURS["queue"], "queue_ms"), ("compute", COLOURS["compute"], "compute_ms")), True),
    ("answered/s", (("", COLOURS["throughput"], "requests_rps"),), False),
    ("mean batch", (("", INK, "mean_batch"),), False),
    ("pending", (("", INK, "pending"),), False),
    ("rejected/s", (("", INK, "rejected_rps"),), False),
)
CHART_WIDTH, CHART_HEIGHT, NAME_HEIGHT = 200, 92, 20
STOP_S = 10.0


class Panel:
    """A live panel of some models of one server.

    It starts at once and ends with `stop`, with its button, after an hour, with its kernel, or when nothing refers to
    it any more. It needs no browser: `picture` is what it shows.

    Args:
        server: a `batchlab.server.Server`.
        models: names of models, one row each.
        slo_ms: the limit to draw, in ms: one for all models, or by model.
        interval_s: time between two looks, in seconds.

    Raises:
        MonitorError: no model, a limit that is not above 0, or of a model that is not shown.
        ModelError: a model that is not loaded.
    """

    def __init__(
        self,
        server: Any,
        models: Iterable[str],
        slo_ms: float | Mapping[str, float] | None = None,
        interval_s: float = 1.0,
    ) -> None:
        self.models = [models] if isinstance(models, str) else list(models)
        if not self.models:
            raise MonitorError('A panel needs at least one model: monitor.panel(server, ["my_model"]).')
        self._slo_ms = _limits(slo_ms, self.models)
        # Where the numbers come from is asked while the server is surely there.
        self._source = source_line(server.provenance(model) for model in self.models)
        self.monitor = Monitor(server.metrics_url, self.models, interval_s, keep=math.ceil(WINDOW_S / interval_s))
        self._stop = threading.Event()
        self._picture = ipywidgets.HTML()
        button = ipywidgets.Button(description="Stop", tooltip="End the live panel; the picture stays")
        button.on_click(_stopper(self._stop))
        self.widget = ipywidgets.VBox([self._picture, button])
        self.refresh()
        # The thread must not keep the panel alive: a cell that is run again drops the panel before.
        self._thread = threading.Thread(
            target=_keep_fresh, args=(weakref.ref(self), self._stop, interval_s), name="batchlab-monitor", daemon=True
        )
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it still looks."""
        return self._thread.is_alive() and not self._stop.is_set()

    def stop(self) -> None:
        """End the looking; the last picture stays. A second call does nothing."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_S)

    def refresh(self) -> Look:
        """Look and draw now; the panel's thread does it each second."""
        look = self.monitor.look()
        self._picture.value = self._draw(look)
        return look

    def picture(self) -> Any:
        """Return what the panel shows now as plain HTML, which a saved notebook keeps."""
        from IPython.display import HTML

        return HTML(self._picture.value)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)

    def _draw(self, look: Look) -> str:
        now = look.time_s
        rows = []
        for index, model in enumerate(self.models):
            top = index * (CHART_HEIGHT + NAME_HEIGHT)
            limit = self._slo_ms.get(model)
            name = html.escape(model) + (f" (SLO {limit:g} ms)" if limit else "")
            rows.append(f'<text x="4" y="{top + 14}" font-weight="bold" fill="{INK}">{name}</text>')
            for column, (title, lines, with_slo) in enumerate(CHARTS):
                drawn = [Line(label, colour, *self._recent(model, what, now)) for label, colour, what in lines]
                inside = chart(title, drawn, CHART_WIDTH, CHART_HEIGHT, WINDOW_S, limit if with_slo else None)
                rows.append(f'<g transform="translate({column * CHART_WIDTH},{top + NAME_HEIGHT})">{inside}</g>')
        width, height = len(CHARTS) * CHART_WIDTH, len(self.models) * (CHART_HEIGHT + NAME_HEIGHT)
        state = look.note or f"Live, the last {WINDOW_S:.0f} s. In the server only: network and client come on top."
        colour = COLOURS["slo"] if look.state == "gone" else INK
        return (
            f'<svg role="img" aria-label="{html.escape(self._spoken(look))}" viewBox="0 0 {width} {height}" '
            f'style="width:100%;max-width:{width}px;background:white" font-family="sans-serif" font-size="11">'
            f'{"".join(rows)}</svg><div style="color:{colour};font-size:90%">{html.escape(state)}</div>'
            f'<div style="color:{FAINT};font-size:85%">{html.escape(self._source)}</div>'
        )

    def _recent(self, model: str, what: str, now: float) -> tuple[list[float], list[float]]:
        times, values = self.monitor.series(model, what)
        return [time - now for time in times], values

    @staticmethod
    def _spoken(look: Look) -> str:
        """Return the newest numbers as a sentence, for those who do not see the lines."""
        told = [
            f"{each.model}: {each.requests_rps:.1f} requests/s, queue {each.queue_ms:.2f} ms, compute "
            f"{each.compute_ms:.2f} ms, {each.pending:.0f} pending, {each.rejected_rps:.1f} rejected/s"
            for each in look.readings.values()
        ]
        return "; ".join(told) or look.note or "no numbers yet"


def _limits(slo_ms: float | Mapping[str, float] | None, models: list[str]) -> dict[str, float]:
    if slo_ms is None:
        return {}
    limits = dict(slo_ms) if isinstance(slo_ms, Mapping) else dict.fromkeys(models, slo_ms)
    for model, limit in limits.items():
        if model not in models:
            raise MonitorError(f"slo_ms names {model!r}, which is not shown; the panel shows {', '.join(models)}.")
        if not limit > 0:
            raise MonitorError(f"slo_ms is a limit in ms, above 0; got {limit} for {model!r}.")
    return limits


def _stopper(stop: threading.Event) -> Any:
    """Return the button's answer; it holds the event, not the panel."""
    return lambda _: stop.set()


def _keep_fresh(panel: "weakref.ref[Panel]", stop: threading.Event, interval_s: float) -> None:
    for _ in range(math.ceil(LONGEST_S / interval_s)):
        if stop.wait(interval_s):
            return
        shown = panel()
        if shown is None:
            return
        shown.refresh()
        del shown  # or this thread would keep it alive while it waits
    stop.set()
