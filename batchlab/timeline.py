"""The replay of a simulated run: a short window of it, event by event, and why each batch left.

found = simulate.replay([Stream(model, arrivals)])["my_model"]
timeline.step(timeline.window(found, start_s=1.0, seconds=0.1))
"""

from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from batchlab.plots.replay import ReplayPicture
from batchlab.provenance import Provenance
from batchlab.simulate import Replay

MS_PER_S = 1000.0
MOST_REQUESTS = 80
INTERVAL_MS = 400
WHY = {
    "full": "it is full",
    "wait over": "its oldest request has waited long enough",
    "no wait": "nobody is made to wait for company",
    "preferred size": "it has a preferred size",
    "other shape": "the next request has another shape",
}


class TimelineError(ValueError):
    """A window that holds no request, or more than a picture can show."""


@dataclass(frozen=True, eq=False)
class Window:
    """A short part of a simulated run. Times are in ms from its start.

    Attributes:
        requests: one row per request that arrives in it, in order of service: ``arrival_ms``, ``start_ms`` (on the
            device), ``done_ms``, ``batch``.
        batches: one row per batch of these requests, in order of start: ``batch``, ``closed_ms`` (the batcher handed
            it over), ``start_ms``, ``end_ms``, ``items``, ``instance``, ``reason``.
        events: what happens, in order: ``at_ms`` and ``text``.
        length_ms: until the last of these batches has ended.
        provenance: where the run comes from.
    """

    requests: pd.DataFrame
    batches: pd.DataFrame
    events: pd.DataFrame
    length_ms: float
    provenance: Provenance


def window(replay: Replay, start_s: float = 0.0, seconds: float = 0.1) -> Window:
    """Cut a window out of a replayed run.

    Raises:
        TimelineError: no request was answered in it, or too many for a picture.
    """
    samples = replay.run.samples
    within = (samples["intended_s"] >= start_s) & (samples["intended_s"] < start_s + seconds) & (samples["batch"] >= 0)
    rows = samples[within]
    if rows.empty:
        raise TimelineError(f"No request arrives from {start_s:g} s for {seconds:g} s: choose a longer window.")
    if len(rows) > MOST_REQUESTS:
        raise TimelineError(f"{len(rows)} requests in {seconds:g} s; a picture shows {MOST_REQUESTS}: shorten it.")
    found = replay.batches[replay.batches["batch"].isin(rows["batch"])]
    batches = pd.DataFrame(
        {
            "batch": found["batch"].to_numpy(),
            **{
                f"{name}_ms": (found[f"{name}_s"].to_numpy() - start_s) * MS_PER_S
                for name in ("closed", "start", "end")
            },
            "items": found["items"].to_numpy(),
            "instance": found["instance"].to_numpy(),
            "reason": found["reason"].astype(str).to_numpy(),
        }
    )
    device = batches.set_index("batch").loc[rows["batch"]]
    requests = pd.DataFrame(
        {
            "arrival_ms": _ms(rows["intended_s"], start_s),
            "start_ms": device["start_ms"].to_numpy(),
            "done_ms": device["end_ms"].to_numpy(),
            "batch": rows["batch"].to_numpy(),
        }
    ).sort_values(["start_ms", "arrival_ms"], ignore_index=True)
    length_ms = float(batches["end_ms"].max())
    return Window(requests, batches, _events(requests, batches), length_ms, replay.run.provenance)


def _ms(at_s: pd.Series, start_s: float) -> np.ndarray:
    # The twin counts whole nanoseconds: rounded to them, what happened at once is at once.
    return ((at_s.to_numpy(dtype=float) - start_s) * MS_PER_S).round(6)


def _events(requests: pd.DataFrame, batches: pd.DataFrame) -> pd.DataFrame:
    found = [(at, 1, f"Request {i} arrives.") for i, at in enumerate(requests["arrival_ms"], start=1)]
    for number, batch in enumerate(batches.itertuples(), start=1):
        # A batch that was handed over early goes on taking requests in, so its size is told when it starts.
        late = batch.start_ms - batch.closed_ms
        busy = f", and waits {late:.1f} ms for the device" if late > 1 else ""
        found += [
            (batch.closed_ms, 2, f"Batch {number} leaves the batcher: {WHY[batch.reason]}{busy}."),
            (batch.start_ms, 3, f"The device starts batch {number}, {batch.items} together."),
            (batch.end_ms, 0, f"Batch {number} is done."),
        ]
    found = sorted(event for event in found if event[0] >= 0)
    return pd.DataFrame([(at, text) for at, _, text in found], columns=["at_ms", "text"])


class Stepper(widgets.VBox):
    """A window, played event by event: press play, or drag the slider.

    Attributes:
        window: what is played.
        event: the number of the last event shown; setting it draws.
    """

    def __init__(self, played: Window) -> None:
        self.window = played
        self._picture = ReplayPicture(played)
        last = len(played.events) - 1
        play = widgets.Play(value=0, min=0, max=last, interval=INTERVAL_MS)
        self._slider = widgets.IntSlider(value=0, min=0, max=last, description="event", layout={"width": "480px"})
        widgets.jslink((play, "value"), (self._slider, "value"))
        self._text, self._image = widgets.HTML(), widgets.Image(format="png")
        self._slider.observe(lambda change: self._draw(), names="value")
        self._draw()
        super().__init__([widgets.HBox([play, self._slider]), self._text, self._image])

    @property
    def event(self) -> int:
        """The number of the last event shown."""
        return int(self._slider.value)

    @event.setter
    def event(self, number: int) -> None:
        if not 0 <= number <= self._slider.max:
            raise TimelineError(f"Events are numbered 0 to {self._slider.max}, got {number}.")
        self._slider.value = number

    @property
    def text(self) -> str:
        """What happened last."""
        return str(self.window.events["text"].iloc[self.event])

    @property
    def png(self) -> bytes:
        """The picture."""
        return bytes(self._image.value)

    def _draw(self) -> None:
        now: Any = self.window.events["at_ms"].iloc[self.event]
        self._text.value = f"<b>{now:.1f} ms</b>&ensp;{self.text}"
        self._image.value = self._picture.show(float(now))


def step(played: Window) -> Stepper:
    """Return the window as a player for a notebook."""
    return Stepper(played)
