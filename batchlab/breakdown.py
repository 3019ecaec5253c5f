"""A request, split: how much of its latency was the client's, the network's, HTTP's, the queue's, the model's.

Only means add up, so this is about the mean request. The client's samples say how long it took in all; the difference
of Triton's statistics says how long it was in the queue and in the model; what neither accounts for lies between them
and has a name too. With a trace, HTTP in the server is told from the network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from batchlab import trace
from batchlab.measure import MS_PER_S, Run
from batchlab.provenance import Provenance
from batchlab.statistics import Activity

BETWEEN, NETWORK, HTTP = "network and HTTP", "network", "HTTP"
ADVICE: Mapping[str, str] = {
    "client wait": "The client was not free when the request was due: give it more workers, or a faster machine.",
    "client work": "The client spends it on preparing and reading: encode faster, send less, prepare in parallel.",
    BETWEEN: "Send tensors binary instead of as JSON, smaller ones (UINT8, not FP32), or through shared memory; keep "
    "connections open; measure from nearer.",
    NETWORK: "Send smaller tensors, keep connections open, measure from nearer; or the machine had no core free.",
    HTTP: "The server reads and parses: send tensors binary instead of as JSON, smaller ones, or by shared memory.",
    "queue": "Requests wait for an instance: larger batches, a shorter delay, more instances, or a lower rate.",
    "input": "Inputs are copied for the model: smaller tensors, UINT8 instead of FP32, fewer of them.",
    "compute": "The model computes: profile it; fewer threads than cores, larger batches, a faster or smaller network.",
    "output": "Outputs are copied: return what is needed, such as the five best classes instead of all.",
    "unexplained": "Client and server counted different requests: measure longer, and nothing else beside it.",
}


class BreakdownError(ValueError):
    """A run that cannot be split."""


@dataclass(frozen=True)
class Breakdown:
    """The mean request of a run, in parts that add up.

    Attributes:
        parts_ms: by name, in the order in which a request passes them.
        called_ms: of ``compute``, the mean time that other models took on behalf of this one, by their names.
        requests: how many the client's means are made of.
        provenance: where the numbers come from.
    """

    parts_ms: dict[str, float]
    requests: int
    provenance: Provenance
    called_ms: dict[str, float] = field(default_factory=dict)

    @property
    def latency_ms(self) -> float:
        """The mean latency: the sum of the parts."""
        return sum(self.parts_ms.values())

    @property
    def largest(self) -> str:
        """Name of the largest part."""
        return max(self.parts_ms, key=lambda name: self.parts_ms[name])

    @property
    def own_ms(self) -> float:
        """Compute that this model did itself, the models that it calls taken off."""
        # Two models are not counted at the same instant: a difference below nothing is nothing.
        return max(self.parts_ms["compute"] - sum(self.called_ms.values()), 0.0)

    @property
    def advice(self) -> str:
        """What to try against the largest part."""
        called = max(self.called_ms, key=lambda name: self.called_ms[name], default="")
        if self.largest == "compute" and called:
            if self.own_ms > self.called_ms[called]:
                return f"Most of it is this model's own work, not {called}'s: tokenising, padding, copying in Python."
            return f"Most of it is spent in {called}: split its requests next."
        return ADVICE[self.largest]

    def table(self) -> pd.DataFrame:
        """Return the parts with their time in ms and their share of the whole, 0 to 1."""
        ms = pd.Series(self.parts_ms, name="ms")
        return pd.DataFrame({"ms": ms, "share": ms / self.latency_ms}).rename_axis("part")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return {
            "model": self.provenance.model,
            "requests": self.requests,
            "latency_ms": self.latency_ms,
            "parts_ms": self.parts_ms,
            "called_ms": self.called_ms,
            "largest": self.largest,
            "advice": self.advice,
            "provenance": self.provenance.to_dict(),
        }


def split(run: Run, *, traced: Sequence[trace.Traced] = (), called: Mapping[str, Activity] | None = None) -> Breakdown:
    """Split the mean request of a run.

    Columns ``prepared_s`` and ``received_s`` of the samples, as `batchlab.probe` writes them, tell the client's own
    work apart: between ``sent_s`` and ``prepared_s`` it encodes, between ``received_s`` and ``done_s`` it decodes.

    Args:
        run: with the server's statistics.
        traced: requests of this run that Triton traced; they split ``network and HTTP``.
        called: by name, what models that this one calls did meanwhile.

    Raises:
        BreakdownError: nothing was answered, or the run holds no statistics.
    """
    rows, server = run.answered, run.server
    if rows.empty:
        raise BreakdownError(f"No request to {run.provenance.model!r} was answered: there is nothing to split.")
    if server is None or not server.requests:
        raise BreakdownError(f"The run of {run.provenance.model!r} holds no statistics of the server to split it by.")

    def mean_ms(later: str, earlier: str) -> float:
        return float((rows[later] - rows[earlier]).mean()) * MS_PER_S

    away = mean_ms("done_s", "sent_s")
    parts = {"client wait": mean_ms("sent_s", "intended_s")}
    if "prepared_s" in rows.columns:
        parts["client work"] = mean_ms("prepared_s", "sent_s") + mean_ms("done_s", "received_s")
        away = mean_ms("received_s", "prepared_s")
    between = away - server.server_ms
    parts |= _between(between, traced)
    parts |= {
        "queue": server.queue_ms,
        "input": server.compute_input_ms,
        "compute": server.compute_infer_ms,
        "output": server.compute_output_ms,
    }
    if between < 0:
        parts["unexplained"] = between
    # A call may serve several requests at once: each of them waited for the whole of it.
    calls = {
        name: activity.server_ms * activity.requests / server.executions
        for name, activity in (called or {}).items()
        if server.executions
    }
    return Breakdown(parts, len(rows), run.provenance, calls)


def _between(between_ms: float, traced: Sequence[trace.Traced]) -> dict[str, float]:
    if not traced:
        return {BETWEEN: max(between_ms, 0.0)}
    means = trace.summed_ms(list(traced))
    # Not more than there is: the traced requests may be slower than the mean one.
    http = min(sum(means[name] for name in trace.HTTP), max(between_ms, 0.0))
    return {NETWORK: max(between_ms, 0.0) - http, HTTP: http}
