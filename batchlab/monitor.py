"""A running Triton, watched: what each model does between two looks at its metrics.

    watch = Monitor(server.metrics_url)
    for look in watch.looks():
        print(look.readings)

Triton's counters only grow. Two looks, their difference, divided by the time between them: that is all. No request is
sent, and a look is one small HTTP answer.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from batchlab import prometheus
from batchlab.endpoint import Endpoint, RequestError, ServerError
from batchlab.reading import Counters, Reading, counters

if TYPE_CHECKING:
    from batchlab.monitor_panel import Panel

TIMEOUT_S = 5.0
LEAST_INTERVAL_S = 0.1
DRAIN_INTERVAL_S = 0.2

State = Literal["first", "ok", "restarted", "gone"]


class MonitorError(ValueError):
    """A watch that makes no sense."""


@dataclass(frozen=True)
class Look:
    """One look at the server.

    Attributes:
        time_s: when, in seconds on the clock of the `Monitor`.
        state: ``first`` (nothing to compare with yet), ``ok``, ``restarted`` (counters began anew) or ``gone``.
        note: what a reader must know, in words; often empty.
        readings: by model, in alphabetical order.
    """

    time_s: float
    state: State
    note: str = ""
    readings: Mapping[str, Reading] = field(default_factory=dict)


class Monitor:
    """Looks at one Triton's metrics again and again, and remembers the last looks.

    A server that restarts, or that is gone, does not end the watch: the look says so, and the next one tries again.

    Args:
        metrics_url: ``host:port`` of the metrics service (8002 where nobody chose another).
        models: names of the models to tell of; none: all that there are.
        interval_s: time between two looks, in seconds.
        keep: how many looks are remembered.
        clock: seconds that only grow.

    Raises:
        MonitorError: an interval below 0.1 s, or nothing to keep.
        ServerError: not an address.
    """

    def __init__(
        self,
        metrics_url: str,
        models: Iterable[str] = (),
        interval_s: float = 1.0,
        keep: int = 600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not interval_s >= LEAST_INTERVAL_S:
            raise MonitorError(f"interval_s is a time of at least {LEAST_INTERVAL_S} s, got {interval_s}.")
        if keep < 1:
            raise MonitorError(f"keep is a number of looks, at least 1, got {keep}.")
        self.models = [models] if isinstance(models, str) else list(models)
        self.interval_s = interval_s
        self._endpoint, self._clock = Endpoint(metrics_url), clock
        self._history: deque[Look] = deque(maxlen=keep)
        self._before: dict[str, Counters] = {}
        self._before_s: float | None = None
        self._gone_since: float | None = None

    @property
    def url(self) -> str:
        """``host:port`` that is watched."""
        return self._endpoint.url

    @property
    def history(self) -> tuple[Look, ...]:
        """The remembered looks, oldest first."""
        return tuple(self._history)

    def series(self, model: str, name: str) -> tuple[list[float], list[float]]:
        """Return times (s) and values of one quantity of a model, NaN where a look did not tell it."""
        looks = self.history
        values = [getattr(look.readings[model], name) if model in look.readings else math.nan for look in looks]
        return [look.time_s for look in looks], values

    def look(self) -> Look:
        """Look now, and compare with the look before."""
        try:
            samples = prometheus.parse(self._endpoint.call("GET", "/metrics", timeout_s=TIMEOUT_S)[1].decode())
        except ServerError as error:
            look = self._gone(error)
        except ValueError:  # some other service, with a text of its own
            look = self._gone(RequestError("no metrics"))
        else:
            look = self._told(counters(samples))
        self._history.append(look)
        return look

    def looks(self, stop: threading.Event | None = None) -> Iterator[Look]:
        """Look each `interval_s`, without drift, until `stop` is set."""
        stop = stop or threading.Event()
        due = self._clock()
        while not stop.is_set():
            yield self.look()
            now = self._clock()
            # A look that took long is not made up for by looks in a hurry.
            due = max(due + self.interval_s, now)
            stop.wait(due - now)

    def _gone(self, error: ServerError) -> Look:
        now = self._clock()
        if self._gone_since is None:
            self._gone_since = now
        self._before, self._before_s = {}, None
        if isinstance(error, RequestError):
            reason = f"{self.url} serves no metrics; Triton's metrics service is a port of its own, by default 8002."
        else:
            reason = str(error).partition(" Start one")[0]
        return Look(now, "gone", f"{reason} Gone for {now - self._gone_since:.0f} s; trying again.")

    def _told(self, after: dict[str, Counters]) -> Look:
        now = self._clock()
        before, before_s = self._before, self._before_s
        self._before, self._before_s, self._gone_since = after, now, None
        wanted = self.models or sorted(after)
        missing = [model for model in self.models if model not in after]
        there = ", ".join(sorted(after)) or "none"
        note = f"No metrics of {', '.join(missing)}; there are: {there}." if missing else ""
        if before_s is None:
            return Look(now, "first", note)
        if any(after[model].went_backwards(before[model]) for model in after.keys() & before.keys()):
            return Look(now, "restarted", f"The counters began anew: the server or a model restarted. {note}".strip())
        elapsed_s = max(now - before_s, 1e-9)
        known = sorted(set(wanted) & after.keys() & before.keys())
        readings = {model: Reading.between(model, before[model], after[model], elapsed_s) for model in known}
        return Look(now, "ok", note, readings)


def drain(server: Any, models: Iterable[str], within_s: float = 60.0) -> float:
    """Wait until no request waits in the queues of these models any more.

    Clients that gave up do not empty a queue: Triton works for them all the same.

    Returns:
        How long that took, in s.

    Raises:
        MonitorError: some still wait after `within_s`, a model is not there, or the server is gone.
    """
    watch = Monitor(server.metrics_url, models, interval_s=DRAIN_INTERVAL_S)
    began = time.monotonic()
    for look in watch.looks():
        missing = look.state == "ok" and not look.readings.keys() >= set(watch.models)
        if look.state == "gone" or missing:
            raise MonitorError(look.note)
        waiting = {model: round(reading.pending) for model, reading in look.readings.items() if reading.pending > 0}
        seconds = time.monotonic() - began
        if look.state == "ok" and not waiting:
            return seconds
        if seconds > within_s:
            raise MonitorError(f"After {within_s:g} s requests still wait: {waiting}. Stop what sends them.")
    raise AssertionError("looks() ends only when it is told to")


def panel(server: Any, models: Iterable[str], slo_ms: float | Mapping[str, float] | None = None) -> "Panel":
    """Return a live panel of a server for a notebook; see `batchlab.monitor_panel.Panel`."""
    from batchlab.monitor_panel import Panel

    return Panel(server, models, slo_ms)
