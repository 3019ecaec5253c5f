"""The explorer: sliders on the digital twin, and a picture that follows them. Needs no server.

    explorer.explore(profile="rn50-amp-t4-eager", slo_ms=100)

Everything that a slider does can be done from code too: `Explorer.set`, `Explorer.settings`, `Explorer.run`.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np

from batchlab import arrivals, simulate, twin
from batchlab.measure import Run
from batchlab.pbtxt import nearest
from batchlab.plots.live import LoadPanel
from batchlab.profiles import Profile, load_profiles
from batchlab.service import Calibration, Overheads
from batchlab.twin import Twin

REQUESTS = 20_000
"""So many requests lie behind each picture: 200 of them beyond the P99."""
WARM_UP = 0.05
BURSTINESS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
WAITS_MS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
MOST_INSTANCES = 4
BEYOND = 1.25
"""The rate slider goes so far beyond what the model can carry."""
LIMIT_NEVER_REACHED = 1_000_000


class ExplorerError(ValueError):
    """A setting that the explorer does not have, or a value that a slider cannot take."""


@dataclass(frozen=True)
class Settings:
    """Where the sliders stand.

    Attributes:
        profile: name of a published profile, or of the calibrated model.
        rate_rps: requests per second.
        burstiness: squared coefficient of variation of the gaps; 1 is Poisson.
        max_batch, max_wait_ms, instances: Triton's knobs; the instances share one device.
        prefetch: whether Triton forms batches ahead of a busy instance. Off means a queue limit that is never reached.
    """

    profile: str
    rate_rps: float
    burstiness: float = 1.0
    max_batch: int = 32
    max_wait_ms: float = 0.0
    instances: int = 1
    prefetch: bool = True


class Explorer(widgets.VBox):
    """The sliders and the picture; shown as the last value of a cell.

    Attributes:
        run: the simulated run behind the picture.
        settings: where the sliders stand.
        redraws: how often the picture has been drawn.
    """

    def __init__(
        self, source: str | Profile | Calibration, slo_ms: float, overheads: Overheads | None, seed: int, **start: Any
    ) -> None:
        self.slo_ms, self.seed, self.redraws = slo_ms, seed, 0
        self._overheads, self._held = overheads, True
        self._models = _models(source)
        first = next(iter(self._models)) if not isinstance(source, str) else source
        self._controls = _controls(list(self._models), first)
        self._fit_sliders()
        self._assign(start)
        self.run = self._simulate()
        # One picture for all models: making another takes longer than a hand wants to wait.
        self._panel = LoadPanel(self.run, slo_ms, max(map(_largest_batch, self._models.values())))
        self._image = widgets.Image(format="png")
        self._held = False
        self._redraw()
        for name, control in self._controls.items():
            control.observe(self._profile_changed if name == "profile" else self._changed, names="value")
        rows = [list(self._controls.values())[i : i + 4] for i in (0, 4)]
        super().__init__([*(widgets.HBox(row) for row in rows), self._image])

    @property
    def settings(self) -> Settings:
        """Where the sliders stand."""
        return Settings(**{name: control.value for name, control in self._controls.items()})

    @property
    def model(self) -> Twin:
        """The twin of these settings."""
        chosen = self.settings
        return twin.model(
            self._models[chosen.profile],
            max_batch_size=chosen.max_batch,
            max_delay_ms=chosen.max_wait_ms,
            instances=chosen.instances,
            max_queue_size=0 if chosen.prefetch else LIMIT_NEVER_REACHED,
            overheads=self._overheads,
        )

    @property
    def headline(self) -> str:
        """What is written over the picture."""
        return self._panel.headline

    @property
    def png(self) -> bytes:
        """The picture."""
        return bytes(self._image.value)

    @property
    def utilisation(self) -> float:
        """Share of the time that the device was busy, 0 to 1."""
        activity = self.run.server
        assert activity is not None
        # Batches of the warm-up count in the activity, so its requests count in the time.
        seconds = float(self.run.samples["done_s"].max() - self.run.samples["intended_s"].min())
        return min(activity.busy_ms / 1000 / seconds, 1.0)

    def set(self, **values: Any) -> Run:
        """Move several sliders at once, draw once, and return the run.

        Raises:
            ExplorerError: no such setting, or a value that its slider cannot take.
        """
        with self._one_redraw():
            self._assign(values)
        return self.run

    def _assign(self, values: dict[str, Any]) -> None:
        known = [field.name for field in dataclasses.fields(Settings)]
        for name in sorted(values, key=lambda name: name != "profile"):  # the profile first: it moves the limits
            if name not in known:
                raise ExplorerError(f"The explorer has no {name!r}. {nearest(name, known)}")
            control, value = self._controls[name], values[name]
            options = getattr(control, "options", None)
            if options is not None and value not in _values(options):
                raise ExplorerError(f"{name} is one of {', '.join(map(str, _values(options)))}; got {value!r}.")
            low, high = getattr(control, "min", None), getattr(control, "max", None)
            if low is not None and not low <= value <= high:
                raise ExplorerError(f"{name} lies between {low:g} and {high:g} here; got {value!r}.")
            control.value = value
            if name == "profile":
                self._fit_sliders()

    @contextlib.contextmanager
    def _one_redraw(self) -> Iterator[None]:
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._redraw()

    def _fit_sliders(self) -> None:
        """Give batch and rate the reach of the chosen model."""
        service = twin.model(self._models[self._controls["profile"].value]).service
        largest = service.max_batch
        sizes = [2**k for k in range(largest.bit_length()) if 2**k <= largest]
        batch, rate = self._controls["max_batch"], self._controls["rate_rps"]
        wanted = min(batch.value, sizes[-1])
        batch.options = sizes
        batch.value = wanted
        capacity = twin.model(service, max_batch_size=min(32, largest)).capacity_rps()
        rate.max = max(round(BEYOND * capacity), 2)
        rate.value = max(round(capacity / 2), 1)

    def _profile_changed(self, change: Any) -> None:
        if self._held:
            return
        with self._one_redraw():
            self._fit_sliders()

    def _changed(self, change: Any) -> None:
        if not self._held:
            self._redraw()

    def _simulate(self) -> Run:
        chosen = self.settings
        seconds = REQUESTS / chosen.rate_rps
        traffic = arrivals.gamma(chosen.rate_rps, seconds, chosen.burstiness, self.seed)
        return simulate.simulate(self.model, traffic, seed=self.seed, warmup_s=WARM_UP * seconds)

    def _redraw(self) -> None:
        self.run = self._simulate()
        self._image.value = self._panel.show(self.run, self.slo_ms, self.utilisation)
        self.redraws += 1


def explore(
    profile: str | Profile | Calibration = "rn50-amp-t4-eager",
    slo_ms: float = 100.0,
    *,
    overheads: Overheads | None = None,
    seed: int = 0,
    **start: Any,
) -> Explorer:
    """Return the explorer of the digital twin: sliders for traffic and knobs, and what they make of the latency.

    Args:
        profile: a published profile's name (its menu offers all of them), a profile, or a calibration of a real server.
        slo_ms: the limit that the P99 is held against.
        overheads: the fixed times around a batch; a calibration has its own, a profile none.
        seed: of the traffic.
        start: fields of `Settings` to begin with.

    Raises:
        ExplorerError: no such profile or setting.
    """
    if not (np.isfinite(slo_ms) and slo_ms > 0):
        raise ExplorerError(f"slo_ms is a time above 0 ms, got {slo_ms}.")
    return Explorer(profile, slo_ms, overheads, seed, **start)


def _models(source: str | Profile | Calibration) -> dict[str, Profile | Calibration]:
    if isinstance(source, Calibration):
        return {source.model: source}
    if isinstance(source, Profile):
        return {source.name: source}
    published: dict[str, Profile | Calibration] = dict(load_profiles())
    if source not in published:
        raise ExplorerError(f"No profile is called {source!r}. {nearest(source, list(published))}")
    return published


def _largest_batch(source: Profile | Calibration) -> int:
    return twin.model(source).service.max_batch


def _controls(names: Sequence[str], first: str) -> dict[str, Any]:
    """Return the controls by the name of their setting, in the order of the page."""
    look: dict[str, Any] = {"style": {"description_width": "80px"}, "layout": {"width": "245px"}}
    return {
        "profile": widgets.Dropdown(options=names, value=first, description="profile", **look),
        "rate_rps": widgets.IntSlider(100, 1, 10**9, description="rate (1/s)", **look),
        "burstiness": widgets.SelectionSlider(options=BURSTINESS, value=1.0, description="burstiness", **look),
        "instances": widgets.IntSlider(1, 1, MOST_INSTANCES, description="instances", **look),
        "max_batch": widgets.SelectionSlider(options=[1, 32], value=32, description="max batch", **look),
        "max_wait_ms": widgets.SelectionSlider(options=WAITS_MS, value=0.0, description="max wait (ms)", **look),
        "prefetch": widgets.Checkbox(True, description="prefetch", indent=True, **look),
    }


def _values(options: Sequence[Any]) -> list[Any]:
    return [option[1] if isinstance(option, tuple) else option for option in options]
