"""Traffic: functions that make schedules of intended send times, and ways to join them.

Each is a pure function of its arguments and seed (NumPy's `Generator` over PCG64): the same seed gives the same bytes
under the same NumPy. Rates are requests per second, lengths are seconds. A rate that changes with time is drawn by
thinning: P. A. W. Lewis and G. S. Shedler, Simulation of nonhomogeneous Poisson processes by thinning, 1979.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from batchlab import traces
from batchlab.schedule import Arrivals, ArrivalsError, positive
from batchlab.sizes import Sizes

__all__ = [
    "Arrivals",
    "ArrivalsError",
    "Sizes",
    "concat",
    "constant",
    "diurnal",
    "gamma",
    "on_off",
    "poisson",
    "ramp",
    "remake",
    "replay",
    "spike",
    "superpose",
]

MOST_REQUESTS = 50_000_000


def constant(rate_rps: float, seconds: float) -> Arrivals:
    """A metronome: request ``i`` at ``i / rate_rps``. Burstiness 0; hardly any real traffic looks like this."""
    positive(rate_rps=rate_rps, seconds=seconds)
    _affordable(rate_rps * seconds)
    times = np.arange(int(np.ceil(rate_rps * seconds - 1e-9))) / rate_rps
    return Arrivals(times, seconds, "constant", None, {"rate_rps": float(rate_rps), "seconds": float(seconds)})


def poisson(rate_rps: float, seconds: float, seed: int) -> Arrivals:
    """Independent requests of many users: exponential gaps, burstiness 1, index of dispersion 1."""
    positive(rate_rps=rate_rps, seconds=seconds)
    times = _renewal(1.0, rate_rps, seconds, np.random.default_rng(seed))
    return Arrivals(times, seconds, "poisson", seed, {"rate_rps": float(rate_rps), "seconds": float(seconds)})


def gamma(rate_rps: float, seconds: float, burstiness: float, seed: int) -> Arrivals:
    """Gamma-distributed gaps of a chosen burstiness, the squared coefficient of variation of the gaps.

    The gaps have shape ``1 / burstiness`` and mean ``1 / rate_rps``: 1 is Poisson, 4 comes in clumps, 0.25 is nearly
    regular. The schedule starts in the middle of ordinary traffic, so its expected count is ``rate_rps * seconds``.
    """
    positive(rate_rps=rate_rps, seconds=seconds, burstiness=burstiness)
    times = _renewal(1 / burstiness, rate_rps, seconds, np.random.default_rng(seed))
    params = {"rate_rps": float(rate_rps), "seconds": float(seconds), "burstiness": float(burstiness)}
    return Arrivals(times, seconds, "gamma", seed, params)


def on_off(on_rps: float, off_rps: float, mean_on_s: float, mean_off_s: float, seconds: float, seed: int) -> Arrivals:
    """Bursts and lulls: a Poisson process whose rate switches between two values (MMPP-2).

    Stays are exponential with the given means; the first state is drawn from its long-run share, so the expected rate
    is ``(on_rps * mean_on_s + off_rps * mean_off_s) / (mean_on_s + mean_off_s)`` from the start. The index of
    dispersion grows with the window: H. Heffes and D. M. Lucantoni, A Markov modulated characterization of packetized
    voice and data traffic, IEEE JSAC 1986.
    """
    positive(on_rps=on_rps, mean_on_s=mean_on_s, mean_off_s=mean_off_s, seconds=seconds)
    if not 0 <= off_rps <= on_rps:
        raise ArrivalsError(f"off_rps lies between 0 and on_rps ({on_rps}), got {off_rps}.")
    rng = np.random.default_rng(seed)
    on = bool(rng.random() < mean_on_s / (mean_on_s + mean_off_s))
    first_on, ends = on, [0.0]
    while ends[-1] < seconds:
        ends.append(ends[-1] + rng.exponential(mean_on_s if on else mean_off_s))
        on = not on

    def rate_at(times: np.ndarray) -> np.ndarray:
        stay = np.searchsorted(ends, times, side="right") - 1
        return np.where((stay % 2 == 0) == first_on, on_rps, off_rps)

    times = _modulated(rate_at, on_rps, seconds, rng)
    params = {"on_rps": on_rps, "off_rps": off_rps, "mean_on_s": mean_on_s, "mean_off_s": mean_off_s}
    return _made(times, seconds, "on_off", seed, params)


def spike(rate_rps: float, seconds: float, factor: float, start_s: float, length_s: float, seed: int) -> Arrivals:
    """Poisson at `rate_rps`, but `factor` times as much within ``[start_s, start_s + length_s)``."""
    positive(rate_rps=rate_rps, seconds=seconds, factor=factor, length_s=length_s)
    if not 0 <= start_s < seconds:
        raise ArrivalsError(f"The spike starts within 0 and {seconds:g} s, got {start_s}.")

    def rate_at(times: np.ndarray) -> np.ndarray:
        inside = (times >= start_s) & (times < start_s + length_s)
        return np.where(inside, rate_rps * factor, rate_rps)

    times = _modulated(rate_at, rate_rps * max(factor, 1.0), seconds, np.random.default_rng(seed))
    params = {"rate_rps": rate_rps, "factor": factor, "start_s": start_s, "length_s": length_s}
    return _made(times, seconds, "spike", seed, params)


def ramp(from_rps: float, to_rps: float, seconds: float, seed: int) -> Arrivals:
    """Poisson whose rate changes in a straight line: the way to find where a server bends."""
    positive(seconds=seconds, highest_rps=max(from_rps, to_rps))
    if not min(from_rps, to_rps) >= 0:
        raise ArrivalsError(f"Rates are 0 or more, got {from_rps} and {to_rps}.")
    peak = max(from_rps, to_rps)
    times = _modulated(
        lambda at: from_rps + (to_rps - from_rps) * at / seconds, peak, seconds, np.random.default_rng(seed)
    )
    return _made(times, seconds, "ramp", seed, {"from_rps": from_rps, "to_rps": to_rps})


def diurnal(trough_rps: float, peak_rps: float, seconds: float, seed: int, days: float = 1.0) -> Arrivals:
    """A day in time lapse: Poisson, lowest at midnight (the start), highest at noon.

    The rate is ``trough + (peak - trough) * (1 - cos(2 pi days t / seconds)) / 2``; `seconds` hold `days` days.
    """
    positive(peak_rps=peak_rps, seconds=seconds, days=days)
    if not 0 <= trough_rps <= peak_rps:
        raise ArrivalsError(f"trough_rps lies between 0 and peak_rps ({peak_rps}), got {trough_rps}.")

    def rate_at(times: np.ndarray) -> np.ndarray:
        return trough_rps + (peak_rps - trough_rps) * (1 - np.cos(2 * np.pi * days * times / seconds)) / 2

    times = _modulated(rate_at, peak_rps, seconds, np.random.default_rng(seed))
    return _made(times, seconds, "diurnal", seed, {"trough_rps": trough_rps, "peak_rps": peak_rps, "days": days})


def replay(path: Path | str, seconds: float | None = None, rebase: bool = False) -> Arrivals:
    """Read a recorded trace (.csv, .json, .jsonl; `batchlab.traces` says what they hold).

    Args:
        path: the file.
        seconds: length of the stretch; left out, the last time plus one mean gap.
        rebase: subtract the first time, for traces that carry a date.

    Raises:
        TraceError: no such file, an empty or unsorted trace, a bad line; the message names the line.
    """
    times, sizes, size_name = traces.read(path)
    if rebase:
        times = times - times[0]
    if seconds is None:
        span = float(times[-1] - times[0])
        if span <= 0:
            raise ArrivalsError(f"{path} spans no time, so it has no rate: pass seconds=.")
        seconds = float(times[-1]) + span / (len(times) - 1)
    params = {"file": Path(path).name, "rebase": rebase}
    return Arrivals(times, seconds, "replay", None, params, sizes, size_name)


def concat(*parts: Arrivals) -> Arrivals:
    """One stretch after another: a calm hour, then a burst, then calm."""
    starts = np.cumsum([0.0, *(part.seconds for part in parts)])
    return _joined("concat", parts, [part.times_s + at for part, at in zip(parts, starts, strict=False)], starts[-1])


def superpose(*parts: Arrivals) -> Arrivals:
    """Several streams at once; where times are equal the earlier argument goes first."""
    length = max((part.seconds for part in parts), default=0.0)
    return _joined("superpose", parts, [part.times_s for part in parts], length)


def remake(record: Mapping[str, Any]) -> Arrivals:
    """Run a recipe of `Arrivals.to_dict` again; `Arrivals.from_dict` also compares the result."""
    name, params, seed = record["name"], dict(record["params"]), record["seed"]
    if "times_s" in record:
        given = (record["times_s"], record["seconds"], name, seed, params, record["sizes"], record["size_name"])
        return Arrivals(*given)
    seeded = {} if seed is None else {"seed": seed}
    if name in ("concat", "superpose"):
        join = concat if name == "concat" else superpose
        return join(*(Arrivals.from_dict(part) for part in params["parts"]))
    if "of" in params:
        whole = Arrivals.from_dict(params.pop("of"))
        if name == "split":
            return whole.split(params["n"])[params["index"]]
        if name == "with_sizes":
            return whole.with_sizes(Sizes.from_dict(params["sizes"]), **seeded)
        changes: dict[str, Callable[..., Arrivals]] = {
            "thin": whole.thin,
            "scale_rate": whole.scale_rate,
            "clip": whole.clip,
        }
        if name in changes:
            return changes[name](**params, **seeded)
    makers: dict[str, Callable[..., Arrivals]] = {
        maker.__name__: maker for maker in (constant, poisson, gamma, on_off, spike, ramp, diurnal)
    }
    if name not in makers:
        raise ArrivalsError(f"No recipe {name!r}: this record was written by another version.")
    return makers[name](**params, **seeded)


def _made(times: np.ndarray, seconds: float, name: str, seed: int, params: dict[str, Any]) -> Arrivals:
    plain = {key: float(value) for key, value in params.items()}
    return Arrivals(times, seconds, name, seed, {**plain, "seconds": float(seconds)})


def _affordable(requests: float) -> None:
    if requests > MOST_REQUESTS:
        raise ArrivalsError(
            f"{requests:.3g} requests do not fit a schedule (at most {MOST_REQUESTS:.0e}): check the rate."
        )


def _renewal(shape: float, rate_rps: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Return the times of a renewal process with gamma gaps that began long before 0, shape ``(n,)``."""
    _affordable(rate_rps * seconds)
    scale = 1 / (rate_rps * shape)
    # Whoever looks in at a random moment sees a longer gap more often (shape + 1), and from somewhere inside it.
    chunks, last = [np.array([rng.random() * rng.gamma(shape + 1, scale)])], 0.0
    expected = int(rate_rps * seconds) + 16
    while (last := float(chunks[-1][-1])) < seconds:
        chunks.append(last + np.cumsum(rng.gamma(shape, scale, size=expected)))
    times = np.concatenate(chunks)
    return times[times < seconds]


def _modulated(
    rate_at: Callable[[np.ndarray], np.ndarray], peak_rps: float, seconds: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the times of a Poisson process of rate ``rate_at(t) <= peak_rps``, by thinning, shape ``(n,)``."""
    candidates = _renewal(1.0, peak_rps, seconds, rng)
    return candidates[rng.random(len(candidates)) * peak_rps < rate_at(candidates)]


def _joined(name: str, parts: tuple[Arrivals, ...], times: list[np.ndarray], seconds: float) -> Arrivals:
    if not parts:
        raise ArrivalsError(f"{name} joins at least one schedule.")
    names = {(part.sizes is None, part.size_name) for part in parts}
    if len(names) > 1:
        raise ArrivalsError(f"{name} joins schedules that all count the same sizes, or none; got {sorted(names)}.")
    merged = np.concatenate(times)
    order = np.argsort(merged, kind="stable")
    sizes = None if parts[0].sizes is None else np.concatenate([part.sizes for part in parts])[order]
    params = {"parts": [part.to_dict() for part in parts]}
    return Arrivals(merged[order], float(seconds), name, None, params, sizes, parts[0].size_name)
