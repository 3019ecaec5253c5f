"""A balancer in the client: requests for one model, shared out over several replicas of its server.

Whoever cannot be reached is left alone for a while, and the request goes to the next one. That is safe because an
inference changes nothing: computing it twice does no harm. A request that a server refused or failed is not sent
again: the other replica would most likely say the same, and a server that is too busy needs no second burden.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batchlab.endpoint import ServerError, ServerGone
from batchlab.measure import Run, pace
from batchlab.recording import SENDER_LATE

if TYPE_CHECKING:
    from batchlab.schedule import Arrivals

MAX_LATENESS_MS = 10.0
MOST_AT_ONCE = 32


class BalancerError(ValueError):
    """A balancer without replicas, or a schedule without requests."""


@dataclass(frozen=True)
class Answer:
    """An answer and where it came from.

    Attributes:
        outputs: the model's outputs by name.
        replica: number of the replica that answered, from 0.
        attempts: replicas that were asked, this one included.
    """

    outputs: Mapping[str, np.ndarray]
    replica: int
    attempts: int


class Balancer:
    """Takes the replicas in turn; may be shared by threads.

    Args:
        replicas: servers (`batchlab.server.Server`) that all serve the model.
        rest_s: how long one that could not be reached is left alone, in seconds.

    Raises:
        BalancerError: no replica.
    """

    def __init__(self, replicas: Sequence[Any], rest_s: float = 1.0) -> None:
        if not replicas:
            raise BalancerError("A balancer needs at least one replica: Balancer([server]).")
        self.replicas = list(replicas)
        self.rest_s = rest_s
        self._back_at = [0.0] * len(self.replicas)
        self._turn = 0
        self._lock = threading.Lock()

    def replace(self, number: int, replica: Any) -> None:
        """Put another server in the place of replica `number`; it is asked from now on."""
        with self._lock:
            self.replicas[number] = replica
            self._back_at[number] = 0.0

    def up(self) -> list[int]:
        """Return the numbers of the replicas that are not resting."""
        now = time.monotonic()
        return [number for number, back_at in enumerate(self._back_at) if back_at <= now]

    def infer(self, model: str, inputs: Mapping[str, np.ndarray], timeout_s: float = 5.0) -> Answer:
        """Ask the next replica, and the ones after it while nobody answers.

        Raises:
            ServerGone: no replica could be reached.
            ServerError: a replica refused or failed the request, or did not answer within `timeout_s`.
        """
        gone: ServerGone | None = None
        for attempt, number in enumerate(self._order(), 1):
            try:
                return Answer(self.replicas[number].infer(model, inputs, timeout_s=timeout_s), number, attempt)
            except ServerGone as error:
                gone = error
                with self._lock:
                    self._back_at[number] = time.monotonic() + self.rest_s
        raise gone or ServerGone("No replica could be reached.")

    def _order(self) -> list[int]:
        """Return whom to ask: those that are up, in turn, then those that rest, for they may be back."""
        with self._lock:
            first, self._turn = self._turn, (self._turn + 1) % len(self.replicas)
        ring = [(first + step) % len(self.replicas) for step in range(len(self.replicas))]
        up = set(self.up())
        return sorted(ring, key=lambda number: number not in up)


def drive(
    balancer: Balancer,
    model: str,
    inputs: Mapping[str, np.ndarray],
    arrivals: "Arrivals",
    *,
    warmup_s: float = 0.0,
    timeout_s: float = 5.0,
) -> Run:
    """Send a schedule through a balancer, each request at its intended time, and record what came back.

    The threads of this very process send, which is fine for some hundred requests per second; `load.open_loop` is
    for more, to one server.

    Returns:
        A run whose samples also name the ``replica`` that answered (-1 for none) and the ``attempts``.

    Raises:
        BalancerError: an empty schedule.
    """
    arrivals = arrivals.clip(0.0, arrivals.seconds * pace()) if pace() < 1 else arrivals
    if not len(arrivals):
        raise BalancerError("The schedule is empty: there is nothing to send. Raise its rate or its length.")
    origin = balancer.replicas[0].provenance(model, seed=arrivals.seed)
    origin.details["replicas"] = str(len(balancer.replicas))
    began = time.monotonic()

    def ask(intended_s: float) -> tuple[Any, ...]:
        sent_s, replica, attempts, ok, words = time.monotonic() - began, -1, len(balancer.replicas), True, ""
        try:
            answer = balancer.infer(model, inputs, timeout_s)
            replica, attempts = answer.replica, answer.attempts
        except ServerError as error:
            ok, words = False, str(error)
        return intended_s, sent_s, time.monotonic() - began, 1, ok, words, replica, attempts

    with ThreadPoolExecutor(MOST_AT_ONCE) as crowd:
        asked = []
        for intended_s in arrivals.times_s:
            time.sleep(max(0.0, began + intended_s - time.monotonic()))
            asked.append(crowd.submit(ask, float(intended_s)))
        rows = [future.result() for future in asked]
    columns = ["intended_s", "sent_s", "done_s", "batch_size", "ok", "error", "replica", "attempts"]
    run = Run(pd.DataFrame(rows, columns=columns), origin, "open_loop", warmup_s=warmup_s * pace())
    late_ms = float(np.percentile(run.lateness_ms, 99)) if len(run.kept) else 0.0
    if late_ms > MAX_LATENESS_MS:
        run.invalid.append(f"{SENDER_LATE}: P99 of its lateness is {late_ms:.1f} ms. Lower the rate.")
    return run
