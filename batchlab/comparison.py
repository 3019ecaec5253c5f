"""Servers compared on one device: a staircase of rates up to the device's limit, and how far each server climbs.

All get one schedule, made before the first request: Poisson traffic whose rate rises step by step. A server's share of
the limit is the highest step up to which every step kept the SLO. The device is emulated, so its limit is known
exactly, and what a server does not deliver of it is its own overhead.
"""

import http.client
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batchlab import arrivals
from batchlab.arrivals import Arrivals
from batchlab.inputs import request_bodies
from batchlab.load import open_loop
from batchlab.measure import MS_PER_S, Run, pace
from batchlab.profiles import Profile

if TYPE_CHECKING:
    from batchlab.http_server import HttpServer
    from batchlab.server import Server
    from batchlab.slo import Slo

SEEDS_APART = 1000
MAX_LATENESS_MS = 10.0
LONGEST_PAUSE_S = 0.02
FEWEST = 10
TIMEOUT_S = 10.0


class ComparisonError(ValueError):
    """A staircase that leads nowhere."""


def limit_rps(profile: Profile, max_batch_size: int) -> float:
    """Return the most items per second that a device can ever compute in batches of up to so many.

    It is ``max over b of b / t(b)``: full batches, one after another, and no time between them.
    """
    return float(np.max(profile.throughput_ips(np.arange(1, max_batch_size + 1))))


@dataclass(frozen=True)
class Stairs:
    """A staircase of rates, the same for every server.

    Attributes:
        limit_rps: the device's limit.
        shares: the rates as shares of the limit, rising.
        step_s: length of a step.
        lead_s: before the first step, at its rate, left out of every statistic.
        rest_s: after the last step, so that the next climb finds no queue.

    Raises:
        ComparisonError: shares that do not rise, or a length that is not above 0.
    """

    limit_rps: float
    shares: Sequence[float]
    step_s: float = 1.2
    lead_s: float = 1.0
    rest_s: float = 0.8

    def __post_init__(self) -> None:
        if not self.shares or min(self.shares) <= 0 or any(np.diff(self.shares) <= 0):
            raise ComparisonError(f"The shares {list(self.shares)} must be above 0 and rise.")
        if min(self.limit_rps, self.step_s, self.lead_s, self.rest_s) <= 0:
            raise ComparisonError("A staircase needs a limit, a step, a lead and a rest above 0.")

    @property
    def length_s(self) -> float:
        """How long one climb takes, lead and rest included, at this pace."""
        return (self.lead_s + len(self.shares) * self.step_s + self.rest_s) * pace()

    def arrivals(self, *seeds: int) -> Arrivals:
        """Return the schedule of one climb for each seed; a faster pace makes its steps shorter, not fewer."""
        times_s = np.concatenate([self._climb_s(seed) + place * self.length_s for place, seed in enumerate(seeds)])
        # The load cuts every schedule to the pace. This one is short already: it is given the length that is cut off.
        seconds = len(seeds) * self.length_s / min(pace(), 1.0)
        return Arrivals(times_s, seconds, name="staircase", seed=seeds[0], params={"seeds": list(seeds)})

    def _climb_s(self, seed: int) -> np.ndarray:
        seeds = iter(range(seed * SEEDS_APART, (seed + 1) * SEEDS_APART))
        lead = arrivals.poisson(self.shares[0] * self.limit_rps, self.lead_s * pace(), next(seeds))
        steps = [arrivals.poisson(share * self.limit_rps, self.step_s * pace(), next(seeds)) for share in self.shares]
        return arrivals.concat(lead, *steps).times_s

    def climb(self, server: "Server | HttpServer", model: str, seeds: Sequence[int]) -> list[Run]:
        """Send all climbs to a server in one load, and return a run for each; no step that breaks ends it.

        What speaks against the load speaks against each of its climbs.
        """
        whole = open_loop(
            server,
            model,
            self.arrivals(*seeds),
            warmup_s=self.lead_s,
            max_lateness_ms=MAX_LATENESS_MS,
            progress=False,
        )
        return [self._part(whole, place, seed) for place, seed in enumerate(seeds)]

    def _part(self, whole: Run, place: int, seed: int) -> Run:
        start_s = place * self.length_s
        intended_s = whole.samples["intended_s"].to_numpy(float)
        rows = whole.samples[(intended_s >= start_s) & (intended_s < start_s + self.length_s)].copy()
        rows[["intended_s", "sent_s", "done_s"]] -= start_s
        return replace(
            whole,
            samples=rows,
            provenance=replace(whole.provenance, seed=seed),
            warmup_s=self.lead_s * pace(),
            settings={**whole.settings, "climb": place},
        )

    def steps(self, run: Run, slo: "Slo") -> pd.DataFrame:
        """Return what happened on each step of a run.

        Returns:
            Columns ``share``, ``rate_rps`` (meant), ``requests``, ``failures``, ``p99_ms`` (the SLO's percentile of the
            answered ones) and ``held``: whether enough of all requests were answered within the limit.
        """
        rows, intended_s = run.samples, run.samples["intended_s"].to_numpy(float)
        table = []
        for index, share in enumerate(self.shares):
            start_s = (self.lead_s + index * self.step_s) * pace()
            inside = rows[(intended_s >= start_s) & (intended_s < start_s + self.step_s * pace())]
            ok = inside["ok"].to_numpy(bool)
            took_ms = ((inside["done_s"] - inside["intended_s"]) * MS_PER_S).to_numpy(float)
            good = int((ok & (took_ms <= slo.limit_ms)).sum())
            tail = np.percentile(took_ms[ok], slo.percentile, method="inverted_cdf") if ok.any() else float("nan")
            held = len(inside) > 0 and good >= slo.percentile / 100 * len(inside)
            table.append((share, share * self.limit_rps, len(inside), int((~ok).sum()), float(tail), held))
        return pd.DataFrame(table, columns=["share", "rate_rps", "requests", "failures", "p99_ms", "held"])

    def share(self, run: Run, slo: "Slo") -> float:
        """Return the highest share of the limit up to which every step held; 0 where the first one did not."""
        return highest(self.steps(run, slo)[["share", "held"]].itertuples(index=False, name=None))


def highest(steps: Iterable[tuple[float, bool]]) -> float:
    """Return the last share before the first step that did not hold; 0 where there is none."""
    reached = 0.0
    for share, held in steps:
        if not held:
            break
        reached = float(share)
    return reached


def batches(server: Any, model: str) -> Mapping[int, int]:
    """Return how many batches of each size a server has formed since its start, by its own or its model's count."""
    found: Mapping[int, int] = server.batches() if hasattr(server, "batches") else server.statistics(model).batches
    return dict(found)


def lone_ms(server: "Server | HttpServer", model: str, requests: int = 40, seed: int = 0) -> np.ndarray:
    """Return the latencies, in ms, of requests that meet nobody, shape ``(requests,)``.

    One kept connection sends them one after another. A pause of random length lies between, so that none follows the
    server's own rhythm.

    Raises:
        ComparisonError: a request that was not answered well.
    """
    body = request_bodies(server, model, None)[0][0]
    path, headers = body.target(model)
    pauses_s = np.random.default_rng(seed).uniform(0, LONGEST_PAUSE_S, max(round(requests * pace()), FEWEST) + 1)
    took_ms = []
    connection = http.client.HTTPConnection(server.url, timeout=TIMEOUT_S)
    try:
        for pause_s in pauses_s:
            time.sleep(pause_s)
            began = time.monotonic()
            connection.request("POST", path, body.data, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 300:
                raise ComparisonError(f"{server!r} answered {answer.status} to a lone request: look at its log.")
            took_ms.append((time.monotonic() - began) * MS_PER_S)
    except (OSError, http.client.HTTPException) as error:
        raise ComparisonError(f"{server!r} did not answer a lone request: {error or type(error).__name__}.") from error
    finally:
        connection.close()
    # The first one paid for the connection.
    return np.array(took_ms[1:])


def summary(runs: Mapping[str, Sequence[Run]], stairs: Stairs, slo: "Slo") -> pd.DataFrame:
    """Return one row per server: the mean share over its runs, its spread, and the client's lateness.

    Args:
        runs: by server, one run for each seed; a server without runs keeps its row, empty.

    Returns:
        Columns ``share`` (mean), ``lowest``, ``highest``, ``rate_rps``, ``seeds``, ``lateness_p99_ms`` (the worst
        run) and ``trusted``: whether no run was refused for its client's sake.
    """
    table = {}
    for name, some in runs.items():
        shares = [stairs.share(run, slo) for run in some]
        late = [float(np.percentile(run.lateness_ms, 99)) for run in some if len(run.lateness_ms)]
        table[name] = {
            "share": float(np.mean(shares)) if shares else float("nan"),
            "lowest": min(shares, default=float("nan")),
            "highest": max(shares, default=float("nan")),
            "rate_rps": float(np.mean(shares)) * stairs.limit_rps if shares else float("nan"),
            "seeds": len(shares),
            "lateness_p99_ms": max(late, default=float("nan")),
            "trusted": bool(some) and not any("sender" in reason for run in some for reason in run.invalid),
        }
    return pd.DataFrame(table).T.rename_axis("server").infer_objects()
