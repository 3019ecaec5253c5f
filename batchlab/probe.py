"""A probe: a plain client that notes every step of each request, its own work included.

`batchlab.load` encodes everything beforehand, so that the sender is never the limit. An application cannot: it
prepares its inputs when they come. The probe does as applications do, on the clock that Triton's trace uses, and its
record tells what of a latency was the client's own.
"""

import contextlib
import http.client
import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from batchlab.endpoint import BINARY_HEADER, parse_url
from batchlab.inputs import Tensors, encode
from batchlab.measure import Run, pace
from batchlab.plan import Body
from batchlab.spans import Span
from batchlab.statistics import Snapshot

if TYPE_CHECKING:
    from batchlab.arrivals import Arrivals
    from batchlab.client import Client

NS_PER_S = 1e9
TRACK = "client"
SETTLED_WITHIN_S = 2.0
STEPS = (("prepare", "sent_s", "prepared_s"), ("away", "prepared_s", "received_s"), ("read", "received_s", "done_s"))


class ProbeError(ValueError):
    """A probe that makes no sense, or of which nothing was answered."""


def probe(
    server: "Client",
    model: str,
    prepare: Callable[[int], "Tensors | Body"],
    *,
    arrivals: "Arrivals | None" = None,
    count: int = 20,
    workers: int = 1,
    as_json: bool = False,
    warmup: int = 2,
    timeout_s: float = 10.0,
) -> Run:
    """Send requests as an application does, and return the record with every step.

    Args:
        server: where to send.
        model: name of the model.
        prepare: gets the number of the request, from 0, and returns its tensors; the time it takes counts. A `Body`
            is sent as it is: somebody encoded it beforehand.
        arrivals: when requests come; each is taken up by the first worker that is free. None: each comes when the
            one before it is done.
        count: of requests, where there are no arrivals; at a pace below 1 that much fewer, and not below 5.
        workers: threads that work off the requests.
        as_json: send tensors as JSON text instead of binary.
        warmup: requests before the record begins.
        timeout_s: a request unanswered for so long has failed.

    Returns:
        The run. Its samples have, beside the usual columns, ``prepared_s`` (all bytes ready to be sent),
        ``received_s`` (all bytes of the answer there) and ``request_id``; ``sent_s`` is when a worker took the request
        up. ``settings["zero_ns"]`` is the monotonic time of second 0.

    Raises:
        ProbeError: an argument out of range, or no request was answered; with the server's words.
    """
    if min(workers, count) < 1 or warmup < 0 or timeout_s <= 0:
        raise ProbeError("workers and count must be 1 or more, warmup 0 or more, timeout_s positive.")
    if arrivals is not None and pace() < 1:
        arrivals = arrivals.clip(0.0, arrivals.seconds * pace())
    times = None if arrivals is None else arrivals.times_s
    total = max(round(count * min(pace(), 1.0)), min(count, 5)) if times is None else len(times)
    if total == 0:
        raise ProbeError("The schedule is empty: there is nothing to send.")
    sending = _Sending(server, model, prepare, as_json, timeout_s)
    first = server.statistics(model)
    sending.work(range(warmup), None, 0)
    details = {"client": f"probe, {workers} thread(s), {'JSON' if as_json else 'binary'}"}
    provenance = server.provenance(model, seed=arrivals.seed if arrivals else None, **details)
    before = _settled(server, model, first.requests + sum(bool(row["ok"]) for row in sending.rows))
    zero_ns = time.monotonic_ns()
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(total):
        numbers.put(number)
    threads = [
        threading.Thread(target=sending.work_off, args=(numbers, times, zero_ns), daemon=True) for _ in range(workers)
    ]
    sending.rows.clear()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sending.broken is not None:
        raise sending.broken
    samples = pd.DataFrame(sending.rows).sort_values("intended_s", ignore_index=True)
    if not samples["ok"].any():
        raise ProbeError(f"No request to {model!r} was answered: {samples['error'].iloc[0]}")
    after = _settled(server, model, before.requests + int(samples["ok"].sum()))
    return Run(
        samples,
        provenance,
        kind="sequential" if times is None else "open_loop",
        server=after - before,
        settings={"workers": workers, "as_json": as_json, "zero_ns": zero_ns},
    )


def spans(run: Run, track: str = TRACK) -> list[Span]:
    """Return the steps of a probe's requests as spans: prepare, away, read, within the whole request.

    Raises:
        ProbeError: the run is none of a probe.
    """
    if "prepared_s" not in run.samples.columns:
        raise ProbeError("Only a probe notes every step; this run was made by a load generator.")
    zero_ns = run.settings["zero_ns"]
    found = []
    for row in run.answered.to_dict("records"):
        moment = {name: zero_ns + round(row[name] * NS_PER_S) for name in row if str(name).endswith("_s")}
        lane = f"request {row['request_id']}"
        found.append(Span(str(row["request_id"]), moment["intended_s"], moment["done_s"], track, lane))
        if moment["sent_s"] > moment["intended_s"]:
            found.append(Span("wait", moment["intended_s"], moment["sent_s"], track, lane))
        found += [Span(name, moment[start], moment[end], track, lane) for name, start, end in STEPS]
    return found


class _Sending:
    """What the workers of one probe share."""

    def __init__(
        self, server: "Client", model: str, prepare: Callable[[int], "Tensors | Body"], as_json: bool, timeout_s: float
    ) -> None:
        self.host, self.port = parse_url(server.url)
        self.path = f"/v2/models/{quote(model)}/infer"
        self.prepare, self.as_json, self.timeout_s = prepare, as_json, timeout_s
        self.metadata = server.metadata(model)
        self.limit = int(server.config(model).max_batch_size)
        self.rows: list[dict[str, Any]] = []
        self.broken: Exception | None = None

    def work_off(self, numbers: "queue.SimpleQueue[int]", times: np.ndarray | None, zero_ns: int) -> None:
        """Be one of several threads; what `prepare` raises ends the probe, and is raised in the caller's thread."""
        try:
            self.work(_taken(numbers), times, zero_ns)
        except Exception as error:
            self.broken = error

    def work(self, numbers: Iterable[int], times: np.ndarray | None, zero_ns: int) -> None:
        """Send these requests one after another over one connection."""
        with contextlib.closing(http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)) as connection:
            for number in numbers:
                if self.broken is not None:
                    return
                intended = time.monotonic_ns() if times is None else zero_ns + round(float(times[number]) * NS_PER_S)
                if (left_ns := intended - time.monotonic_ns()) > 0:
                    time.sleep(left_ns / NS_PER_S)
                self.rows.append(self._request(number, intended, zero_ns, connection))

    def _request(
        self, number: int, intended: int, zero_ns: int, connection: http.client.HTTPConnection
    ) -> dict[str, Any]:
        taken = time.monotonic_ns()
        body = self._encoded(number)
        prepared = time.monotonic_ns()
        error, payload, headers = self._exchange(body, connection)
        received = time.monotonic_ns()
        if not error:
            _decoded(payload, headers)
        done = time.monotonic_ns()
        moments = {"intended_s": intended, "sent_s": taken, "done_s": done, "prepared_s": prepared}
        return {
            **{name: (moment - zero_ns) / NS_PER_S for name, moment in moments.items()},
            "received_s": (received - zero_ns) / NS_PER_S,
            "batch_size": body.batch_size,
            "ok": not error,
            "error": error,
            "request_id": f"probe-{number}",
        }

    def _encoded(self, number: int) -> Body:
        made = self.prepare(number)
        if isinstance(made, Body):
            return made
        request_id = f"probe-{number}"
        return encode(made, self.metadata, max_batch_size=self.limit, as_json=self.as_json, request_id=request_id)

    def _exchange(self, body: Body, connection: http.client.HTTPConnection) -> tuple[str, bytes, Any]:
        headers = {} if body.json_bytes is None else {BINARY_HEADER: str(body.json_bytes)}
        try:
            connection.request("POST", self.path, body.data, headers)
            answer = connection.getresponse()
            payload = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return str(error) or type(error).__name__, b"", {}
        if answer.status != 200:
            return f"{answer.status} {payload.decode(errors='replace')[:160]}", payload, answer.headers
        return "", payload, answer.headers


def _taken(numbers: "queue.SimpleQueue[int]") -> Iterator[int]:
    while True:
        try:
            yield numbers.get_nowait()
        except queue.Empty:
            return


def _settled(server: "Client", model: str, requests: int) -> Snapshot:
    """Return the server's account as soon as it holds so many requests: it is written after the answer has left."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while (found := server.statistics(model)).requests < requests and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _decoded(payload: bytes, headers: Any) -> Any:
    """Read the answer as an application would; only its cost matters here."""
    size = headers.get(BINARY_HEADER)
    return json.loads(payload[: int(size)] if size else payload)
