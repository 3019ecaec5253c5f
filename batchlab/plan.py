"""The plan of a load run: everything the sending process needs, decided before it starts.

A plan is one ``.npz`` file. The owner (a notebook, the command line) writes it; the sender only reads it, so that
nothing is drawn, encoded or decided while requests are on their way. The idea is MLPerf LoadGen's: schedules are made
before the run.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

PLAN_VARIABLE = "BATCHLAB_PLAN"
TIMED_OUT = "timeout after"
"""How the error of a sample begins whose client gave up waiting."""


class PlanError(ValueError):
    """A plan that cannot be read or makes no sense."""


@dataclass(frozen=True)
class Body:
    """One encoded request body, in the KServe v2 protocol unless it names a path of its own.

    Attributes:
        data: the bytes of the HTTP body.
        json_bytes: length of the JSON head inside `data`, None when the body is JSON altogether.
        batch_size: inferences the request asks for.
        path: where it is posted; empty for KServe's path of the model.
        headers: with a path, the headers beside those of every request, ``(name, value)`` pairs.
    """

    data: bytes
    json_bytes: int | None = None
    batch_size: int = 1
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def target(self, model: str) -> tuple[str, dict[str, str]]:
        """Return where this is posted for a model, and its headers beside those of every request."""
        if self.path:
            return self.path, dict(self.headers)
        path = f"/v2/models/{quote(model, safe='')}/infer"
        if self.json_bytes is None:
            return path, {"Content-Type": "application/json"}
        head = {"Inference-Header-Content-Length": str(self.json_bytes)}
        return path, {"Content-Type": "application/octet-stream", **head}

    def with_parameters(self, parameters: Mapping[str, Any]) -> "Body":
        """Return the same request with more request parameters, such as Triton's ``priority`` and ``timeout``.

        Source of the names: "Parameters extension" and "Schedule policy extension" of Triton's HTTP protocol.

        Raises:
            PlanError: the head of the body is no JSON object, or the body is not of the KServe protocol.
        """
        if self.path:
            raise PlanError(
                f"Priorities and timeouts are Triton's own: a request to {self.path} cannot carry them. Leave them out."
            )
        length = len(self.data) if self.json_bytes is None else self.json_bytes
        try:
            head = json.loads(self.data[:length])
            head["parameters"] = {**head.get("parameters", {}), **parameters}
        except (ValueError, TypeError, AttributeError) as error:
            raise PlanError(f"A request body whose head is no JSON object takes no parameters: {error}.") from error
        text = json.dumps(head).encode()
        json_bytes = None if self.json_bytes is None else len(text)
        return dataclasses.replace(self, data=text + self.data[length:], json_bytes=json_bytes)


@dataclass(frozen=True)
class Plan:
    """What to send where, and when.

    Attributes:
        kind: ``"open_loop"`` (a schedule) or ``"closed_loop"`` (clients that wait for their answers).
        url: ``host:port`` of the server's HTTP endpoint.
        model: name of the model on the server.
        bodies: the distinct request bodies.
        times_s: intended send times from the start of the run, sorted, shape ``(n,)``; empty in a closed loop.
        choice: index into `bodies` of every request, shape ``(n,)``; a closed loop takes the bodies in turn.
        waits_s: how long to wait before each further attempt of a refused (503) request, drawn beforehand like
            everything else, shape ``(n, retries)``; by default refused is refused.
        clients: number of clients of a closed loop.
        seconds: length of a closed loop.
        think_s: pause of a client between an answer and its next request.
        timeout_s: a request unanswered for so long is a failed sample.
        max_connections: most requests in flight at once from one sender.
    """

    kind: Literal["open_loop", "closed_loop"]
    url: str
    model: str
    bodies: tuple[Body, ...]
    times_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    choice: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    waits_s: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    clients: int = 1
    seconds: float = 0.0
    think_s: float = 0.0
    timeout_s: float = 10.0
    max_connections: int = 2000

    def __post_init__(self) -> None:
        if not self.bodies:
            raise PlanError("A plan needs at least one request body.")
        if len(self.times_s) != len(self.choice):
            raise PlanError(f"{len(self.times_s)} send times but {len(self.choice)} chosen bodies.")
        if not self.waits_s.size:
            object.__setattr__(self, "waits_s", np.zeros((len(self.times_s), 0)))
        if len(self.waits_s) != len(self.times_s):
            raise PlanError(f"{len(self.times_s)} send times but waits for {len(self.waits_s)} requests.")

    @property
    def end_s(self) -> float:
        """When the last request is meant to be sent."""
        if self.kind == "closed_loop":
            return self.seconds
        return float(self.times_s[-1]) if len(self.times_s) else 0.0

    def part(self, index: int, parts: int) -> "Plan":
        """Return what sender `index` of `parts` does; all parts together do exactly what this plan says.

        Requests (and clients) are dealt out in turn, like cards. Each keeps its time and its body, so the merged run
        has the statistics of the undivided one.
        """
        if not 0 <= index < parts:
            raise PlanError(f"Part {index} of {parts} does not exist.")
        clients = len(range(index, self.clients, parts))
        return dataclasses.replace(
            self,
            times_s=self.times_s[index::parts],
            choice=self.choice[index::parts],
            waits_s=self.waits_s[index::parts],
            clients=clients,
        )

    def save(self, path: Path) -> None:
        """Write the plan to `path`, one ``.npz`` file."""
        head = {
            "kind": self.kind,
            "url": self.url,
            "model": self.model,
            "clients": self.clients,
            "seconds": self.seconds,
            "think_s": self.think_s,
            "timeout_s": self.timeout_s,
            "max_connections": self.max_connections,
            "bodies": [
                [len(body.data), body.json_bytes, body.batch_size, body.path, body.headers] for body in self.bodies
            ],
        }
        blob = np.frombuffer(b"".join(body.data for body in self.bodies), dtype=np.uint8)
        arrays = {"times_s": self.times_s, "choice": self.choice, "waits_s": self.waits_s}
        with path.open("wb") as file:
            np.savez(file, head=np.array(json.dumps(head)), blob=blob, **arrays)

    @classmethod
    def load(cls, path: Path | str) -> "Plan":
        """Read a plan back.

        Raises:
            PlanError: no such file, or not a plan.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                head = json.loads(str(stored["head"]))
                blob = stored["blob"].tobytes()
                arrays = {name: stored[name] for name in ("times_s", "choice", "waits_s")}
        except (OSError, KeyError, ValueError) as error:
            raise PlanError(f"{path} is not a load plan: {error}. Write one with batchlab.load.write_plan.") from error
        bodies, start = [], 0
        for length, json_bytes, batch_size, posted_to, headers in head.pop("bodies"):
            pairs = tuple((name, value) for name, value in headers)
            bodies.append(Body(blob[start : start + length], json_bytes, batch_size, posted_to, pairs))
            start += length
        return cls(bodies=tuple(bodies), **arrays, **head)
