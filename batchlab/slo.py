"""Service level objectives, and verdicts that say how sure they are.

A miss is a request over the limit, and also one that failed, timed out or was turned away (HTTP 503): whoever waited
got no answer in time. Misses are counted over the run after its warm-up, and judged by the rule of
`batchlab.stopping` (MLPerf LoadGen's early stopping), which says what it assumes:

* ``PASS``: a server that just breaks the objective would hardly ever do so well.
* ``FAIL``: a server that just keeps it would hardly ever do so badly.
* ``NEED MORE DATA``: neither; the verdict says how many more requests.
* ``NOT VALID``: the run must not be judged at all, for the reasons given.
"""

import html
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from batchlab import stopping
from batchlab.measure import Run
from batchlab.stopping import SloError, false_pass_rate, min_requests

__all__ = [
    "Slo",
    "SloError",
    "Verdict",
    "false_pass_rate",
    "min_requests",
    "verdict",
    "verdicts_by_window",
]

Outcome = Literal["PASS", "FAIL", "NEED MORE DATA", "NOT VALID"]
# Told apart by word, sign and border line; never by colour.
SIGNS: dict[str, tuple[str, str]] = {
    "PASS": ("&#10003;", "solid"),
    "FAIL": ("&#10007;", "double"),
    "NEED MORE DATA": ("&hellip;", "dashed"),
    "NOT VALID": ("!", "dotted"),
}


@dataclass(frozen=True, init=False)
class Slo:
    """At least `percentile` per cent of the requests are answered within `limit_ms`.

    ``Slo(p99_ms=100)`` and ``Slo(p99_9_ms=100)`` are short for ``Slo(percentile=99, limit_ms=100)`` and so on.
    """

    percentile: float
    limit_ms: float

    def __init__(self, percentile: float | None = None, limit_ms: float | None = None, **short: float) -> None:
        if short:
            name, value = next(iter(short.items()))
            digits = name.removeprefix("p").removesuffix("_ms").replace("_", ".", 1)
            named = name.startswith("p") and name.endswith("_ms") and digits.replace(".", "", 1).isdigit()
            if len(short) > 1 or not named or percentile is not None or limit_ms is not None:
                raise SloError("Write Slo(p99_ms=100) or Slo(percentile=99, limit_ms=100), one objective at a time.")
            percentile, limit_ms = float(digits), value
        if percentile is None or not 0 < percentile < 100:
            raise SloError(f"An SLO's percentile lies between 0 and 100, got {percentile}.")
        if limit_ms is None or not (np.isfinite(limit_ms) and limit_ms > 0):
            raise SloError(f"An SLO's limit is a number of milliseconds above 0, got {limit_ms}.")
        object.__setattr__(self, "percentile", float(percentile))
        object.__setattr__(self, "limit_ms", float(limit_ms))

    def __str__(self) -> str:
        return f"P{self.percentile:g} <= {self.limit_ms:g} ms"

    @property
    def allowed_miss_rate(self) -> float:
        """The share of requests that may miss the limit, such as 0.01 for a P99."""
        # Rounded, so that a P99 allows 0.01 and not 0.010000000000000009.
        return round(1 - self.percentile / 100, 12)

    def misses(self, run: Run) -> np.ndarray:
        """Return which requests after the warm-up missed, failures included; bool, shape ``(n,)``."""
        rows = run.kept
        latencies_ms = (rows["done_s"] - rows["intended_s"]).to_numpy(dtype=float) * 1000
        return ~(rows["ok"].to_numpy(dtype=bool) & (latencies_ms <= self.limit_ms))


@dataclass(frozen=True)
class Verdict:
    """What a run says about an SLO.

    Attributes:
        outcome: ``"PASS"``, ``"FAIL"``, ``"NEED MORE DATA"``, or ``"NOT VALID"`` where the run must not be judged.
        slo: the objective.
        requests: requests judged, failures included.
        misses: how many of them missed.
        allowed: the most misses with which so many requests pass; -1 where even none would not do.
        confidence: of a PASS or a FAIL, over all planned looks.
        more_requests: further requests until a PASS at the present miss rate; 0 once it passes, None for never.
        more_to_fail: further requests until a FAIL at the present miss rate; 0 once it fails, None for never.
        clumping: how many neighbouring requests are worth one independent request; NaN below 100 requests.
        notes: why the run is not valid, or what to bear in mind.
        span_s: the stretch of the run that was judged, None for the whole run.
    """

    outcome: Outcome
    slo: Slo
    requests: int
    misses: int
    allowed: int
    confidence: float
    more_requests: int | None = None
    more_to_fail: int | None = None
    clumping: float = float("nan")
    notes: tuple[str, ...] = ()
    span_s: tuple[float, float] | None = None

    @property
    def passed(self) -> bool:
        """Whether the outcome is PASS."""
        return self.outcome == "PASS"

    @property
    def miss_rate(self) -> float:
        """Share of requests that missed; NaN without requests."""
        return self.misses / self.requests if self.requests else float("nan")

    def sentence(self) -> str:
        """One sentence: outcome, misses, requests, what is allowed, how sure, how many more."""
        if self.outcome == "NOT VALID":
            return f"NOT VALID: no verdict on {self.slo}. " + " ".join(self.notes)
        sure = f"at {100 * self.confidence:g} % confidence"
        counted = f"{self.misses} of {self.requests} requests missed {self.slo.limit_ms:g} ms"
        if self.outcome == "PASS":
            text = f"PASS: {self.slo} holds {sure}; {counted}, up to {self.allowed} may."
        elif self.outcome == "FAIL":
            rates = f"({100 * self.miss_rate:.2g} %, {100 * self.slo.allowed_miss_rate:g} % may)"
            text = f"FAIL: {self.slo} is broken {sure}; {counted} {rates}."
        else:
            text = f"NEED MORE DATA: {self.slo} is open {sure}; {counted}. {self._how_many_more()}"
        return " ".join([text, *self.notes])

    def _how_many_more(self) -> str:
        if self.more_requests is not None:
            rate = "at this miss rate" if self.misses else "without a miss"
            return f"About {self.more_requests} more {rate} would pass."
        if self.more_to_fail is not None:
            return f"At this miss rate it never passes: about {self.more_to_fail} more would fail."
        return "At this miss rate it never passes."

    def __str__(self) -> str:
        return self.sentence()

    def _repr_html_(self) -> str:
        sign, line = SIGNS[self.outcome]
        rest = html.escape(self.sentence().removeprefix(self.outcome))
        style = f"border: 2px {line} currentColor; padding: 0.4em 0.8em; max-width: 60em"
        return f'<div style="{style}">{sign} <strong>{self.outcome}</strong>{rest}</div>'

    def to_dict(self) -> dict[str, Any]:
        """Return one row of a table: names with units, plain values."""
        start_s, end_s = self.span_s or (float("nan"), float("nan"))
        return {
            "start_s": start_s,
            "end_s": end_s,
            "outcome": self.outcome,
            "slo": str(self.slo),
            "requests": self.requests,
            "misses": self.misses,
            "allowed": self.allowed,
            "miss_rate": self.miss_rate,
            "confidence": self.confidence,
            "more_requests": self.more_requests,
            "clumping": self.clumping,
        }


def verdict(run: Run, slo: Slo, confidence: float = 0.99, *, looks: int = 1, correlated: bool = False) -> Verdict:
    """Judge a run by the rule of `batchlab.stopping`.

    By default this is MLPerf's rule, which assumes that requests are independent. In a busy queue they are not, and a
    PASS is then a good sign rather than a proof at the stated confidence; `correlated` makes it one.

    A run that is not valid, or was cut short (what was still in flight is missing, and it was the slow part), gets
    ``NOT VALID`` with the reason and no other outcome.

    Args:
        run: measured or simulated.
        slo: the objective.
        confidence: of a PASS and, separately, of a FAIL.
        looks: how often you plan to ask about this growing run, over all; each look then takes an equal share of the
            allowed error (Bonferroni).
        correlated: count the requests as fewer by `clumping`, because neighbours in a queue share their fate. A PASS
            then takes `clumping` times the requests: ten to twenty thousand at 80 % load.

    Raises:
        SloError: a confidence or a number of looks out of range.
    """
    if not 0 < confidence < 1 or looks < 1:
        raise SloError(f"Need 0 < confidence < 1 and looks >= 1, got {confidence} and {looks}.")
    reasons = list(run.invalid)
    if run.partial:
        reasons.append("The run was cut short: requests in flight are missing. Measure again to the end.")
    notes: tuple[str, ...] = ()
    if run.kind == "closed_loop":
        notes = ("A closed loop sends less while the server is slow: its misses are too few.",)
    rows = run.kept
    latencies = (rows["done_s"] - rows["intended_s"]).to_numpy(dtype=float)[
        np.argsort(rows["intended_s"], kind="stable")
    ]
    judged = _judged(slo, slo.misses(run), latencies, 1 - (1 - confidence) / looks, correlated)
    judged = replace(judged, confidence=confidence, notes=judged.notes + notes)
    return replace(judged, outcome="NOT VALID", notes=tuple(reasons)) if reasons else judged


def verdicts_by_window(run: Run, slo: Slo, window_s: float, confidence: float = 0.99) -> list[Verdict]:
    """Judge a run in neighbouring windows of intended send time, from the warm-up on; the last may be shorter.

    Each window is judged alone at `confidence`: of many windows of a server that just misses, about one in a hundred
    passes by luck.
    """
    if not (np.isfinite(window_s) and window_s > 0):
        raise SloError(f"A window has a length above 0 s, got {window_s}.")
    intended = run.kept["intended_s"].to_numpy(dtype=float)
    last = float(intended.max()) if len(intended) else run.warmup_s
    verdicts = []
    for number in range(int((last - run.warmup_s) // window_s) + 1):
        start, end = run.warmup_s + number * window_s, run.warmup_s + (number + 1) * window_s
        chosen = run.samples[(run.samples["intended_s"] >= start) & (run.samples["intended_s"] < end)]
        part = replace(run, samples=chosen, warmup_s=start)
        verdicts.append(replace(verdict(part, slo, confidence), span_s=(start, end)))
    return verdicts


def _judged(slo: Slo, missed: np.ndarray, latencies: np.ndarray, confidence: float, correlated: bool) -> Verdict:
    requests, misses, share = len(missed), int(missed.sum()), slo.allowed_miss_rate
    clumping = stopping.clumping(latencies)
    # Requests that share their fate count once. A fraction of a miss speaks neither for a PASS nor for a FAIL.
    weight = max(clumping, 1.0) if correlated and np.isfinite(clumping) else 1.0
    counted, rate = int(requests / weight), misses / requests if requests else 0.0
    allowed = stopping.allowed_misses(counted, share, confidence)
    outcome: Outcome = "NEED MORE DATA"
    more = stopping.more_until_pass(counted, rate, share, confidence)
    to_fail = stopping.more_until_fail(counted, rate, share, confidence)
    if np.ceil(misses / weight) <= allowed:
        outcome, more, to_fail = "PASS", 0, None
    elif stopping.fails(counted, int(misses / weight), share, confidence):
        outcome, more, to_fail = "FAIL", None, 0
    notes = (f"Neighbours share their fate, {clumping:.0f} at a time: {requests} requests counted as {counted}.",)
    return Verdict(
        outcome,
        slo,
        requests,
        misses,
        int(allowed * weight) if allowed >= 0 else -1,
        confidence,
        None if more is None else int(np.ceil(more * weight)),
        None if to_fail is None else int(np.ceil(to_fail * weight)),
        clumping,
        notes if weight > 1 else (),
    )
