"""A running server that is no Triton, reached by URL: what `batchlab.load` needs of it.

It stands where a `batchlab.server.Server` stands. What only Triton tells, such as its own account of a run, is missing
in the record, and nothing takes its place.
"""

import http.client
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlab.endpoint import ServerError, ServerGone, parse_url
from batchlab.inputs import InputsError
from batchlab.plan import Body
from batchlab.protocol import Protocol
from batchlab.provenance import Provenance, Tier

if TYPE_CHECKING:
    from batchlab.inputs import Inputs
    from batchlab.statistics import Snapshot


class HttpServer:
    """A server by URL and protocol.

    Attributes:
        protocol: how it wants to be asked.
        url: ``host:port``, without a scheme.
        tier: where the time of its answers comes from; no such protocol tells, so whoever connects says it.
        name: what it is, for the record, such as ``"mosec 0.9.8"``.
        profile: the profile that its model plays, where one is played.
    """

    embedded = False

    def __init__(self, protocol: Protocol, url: str, *, tier: Tier, name: str = "", profile: str = "") -> None:
        host, port = parse_url(url)
        self.protocol, self.tier, self.profile = protocol, tier, profile
        self.url = f"{host}:{port}"
        self.name = name or f"{protocol.name} server"

    def __repr__(self) -> str:
        return f"<{self.name} at {self.url}>"

    def bodies(
        self, model: str, inputs: "Inputs", sizes: np.ndarray | None = None
    ) -> tuple[tuple[Body, ...], np.ndarray | None]:
        """Encode the distinct requests of a run, as `batchlab.inputs.request_bodies` does for Triton.

        Args:
            model: its name, where the protocol's path or body speaks of it.
            inputs: a file to post as it is; values to post as JSON; or None for the protocol's own body.
            sizes: one size per request, shape ``(n,)``, put in for ``$size`` in the protocol's body.

        Raises:
            InputsError: no such file, or values that are no JSON.
        """
        if inputs is None:
            distinct, choice = np.unique([1] if sizes is None else np.asarray(sizes, dtype=int), return_inverse=True)
            made = tuple(self._body(model, self.protocol.body_of(model, int(size))) for size in distinct)
            return made, None if sizes is None else choice.astype(np.int64)
        if sizes is not None:
            raise InputsError("Arrivals with sizes need a body with $size in it: leave the inputs out.")
        if isinstance(inputs, str | Path):
            return (self._body(model, _read(Path(inputs))),), None
        try:
            return (self._body(model, json.dumps(inputs).encode()),), None
        except TypeError as error:
            raise InputsError(
                f"Inputs of a {self.protocol.name} server are a file, or values that JSON can hold: {error}."
            ) from error

    def statistics(self, model: str) -> "Snapshot | None":
        """Return nothing: only Triton gives an account of itself."""
        return None

    def gauge(self) -> None:
        """Return nothing: readings of a GPU that another server uses are not ours to take."""

    def provenance(self, model: str, seed: int | None = None, **details: Any) -> Provenance:
        """Return the provenance of numbers measured here now."""
        kept = {key: str(value) for key, value in details.items()}
        return Provenance(
            tier=self.tier,
            model=model,
            server=f"{self.name} ({self.url})",
            profile=self.profile,
            seed=seed,
            details={**kept, "protocol": self.protocol.name},
        )

    def ask(self, model: str, timeout_s: float = 10.0) -> bytes:
        """Send one request and return its answer.

        Raises:
            ServerGone: nobody takes the request.
            ServerError: it was refused, or what came back is garbage; the message says what.
        """
        body = self.bodies(model, None)[0][0]
        connection = http.client.HTTPConnection(self.url, timeout=timeout_s)
        try:
            connection.request("POST", body.path, body.data, dict(body.headers))
            answer = connection.getresponse()
            payload = answer.read()
        except TimeoutError as error:
            raise ServerError(f"{self.name} at {self.url} gave no answer within {timeout_s:g} s.") from error
        except OSError as error:
            raise ServerGone(f"No {self.name} at {self.url}: {error.strerror or error}. Is it running?") from error
        except http.client.HTTPException as error:
            raise ServerError(f"{self.url} does not speak HTTP ({type(error).__name__}). Is that its port?") from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            words = payload.decode(errors="replace").strip()[:160]
            raise ServerError(f"{self.name} at {self.url} refuses POST {body.path} ({answer.status}): {words}")
        if problem := self.protocol.problem(payload):
            raise ServerError(f"{self.url} is no {self.protocol.name} server: {problem}. Check --url and --protocol.")
        return payload

    def _body(self, model: str, data: bytes) -> Body:
        return Body(data, path=self.protocol.path_of(model), headers=self.protocol.headers)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputsError(f"{path} cannot be posted: {error.strerror or error}.") from error
