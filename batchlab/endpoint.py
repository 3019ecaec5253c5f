"""One Triton over HTTP: the KServe calls, and their failures told in words.

Standard library sockets carry the calls (one kept-alive connection per calling thread, so an `Endpoint` may be shared
by threads and works inside a Jupyter kernel); `tritonclient` encodes and decodes tensors.

Source of the protocol: Triton's ``server/docs/protocol``, an extension of the KServe v2 protocol.
"""

import http.client
import json
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tritonclient.http as triton_http

BINARY_HEADER = "Inference-Header-Content-Length"


class ServerError(RuntimeError):
    """Anything that went wrong between this process and a Triton."""


class ModelError(ServerError):
    """A model that is unknown, not loaded, or failed to load."""


class RequestError(ServerError):
    """A request that the model cannot take; the message says how to mend it."""


class ServerGone(ServerError):  # noqa: N818  # a name of the field: it reads well where it is raised
    """No server answers: it ended, or was never there."""


def parse_url(url: str, default_port: int = 8000) -> tuple[str, int]:
    """Split ``host``, ``host:port`` or ``http://host:port`` into host and port.

    Raises:
        ServerError: not such an address.
    """
    parts = urllib.parse.urlsplit(url if "//" in url else f"//{url}")
    try:
        host, port = parts.hostname, parts.port or default_port
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme not in ("", "http") or parts.path.strip("/"):
        raise ServerError(f"{url!r} is not a server's address; write it as host:port, for example 127.0.0.1:8000.")
    return host, port


class Endpoint:
    """The HTTP address of one Triton.

    Args:
        url: ``host:port``.
        obituary: called when nobody answers; returns what is known of the server's end, or "".
    """

    def __init__(self, url: str, obituary: Callable[[], str] = lambda: "") -> None:
        self.host, self.port = parse_url(url)
        self.url = f"{self.host}:{self.port}"
        self._obituary = obituary
        self._local = threading.local()

    def get(self, path: str, timeout_s: float = 30.0) -> Any:
        """Return the JSON answer of a GET; see `call`."""
        return json.loads(self.call("GET", path, timeout_s=timeout_s)[1] or b"null")

    def post(self, path: str, body: Any = None, timeout_s: float = 30.0) -> Any:
        """Return the JSON answer of a POST of JSON; see `call`."""
        answer = self.call("POST", path, json.dumps(body or {}).encode(), timeout_s=timeout_s)[1]
        return json.loads(answer or b"null")

    def infer(
        self, model: str, inputs: Mapping[str, tuple[np.ndarray, str]], outputs: list[str] | None, timeout_s: float
    ) -> dict[str, np.ndarray]:
        """Send one request and return its outputs.

        Args:
            inputs: name -> (array, Triton datatype such as ``"FP32"``).
            outputs: wanted output names, None for all.
        """
        tensors = []
        for name, (array, datatype) in inputs.items():
            tensor = triton_http.InferInput(name, list(array.shape), datatype)
            tensor.set_data_from_numpy(array, binary_data=True)
            tensors.append(tensor)
        wanted = [triton_http.InferRequestedOutput(name, binary_data=True) for name in outputs] if outputs else None
        body, json_size = triton_http.InferenceServerClient.generate_request_body(tensors, outputs=wanted)
        headers = {BINARY_HEADER: str(json_size)} if json_size is not None else {}
        path = f"/v2/models/{urllib.parse.quote(model)}/infer"
        answered, payload = self.call("POST", path, body, headers, timeout_s)
        size = answered.get(BINARY_HEADER)
        result = triton_http.InferResult.from_response_body(payload, header_length=int(size) if size else None)
        return {entry["name"]: result.as_numpy(entry["name"]) for entry in result.get_response()["outputs"]}

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> tuple[http.client.HTTPMessage, bytes]:
        """Make one HTTP call and return the answer's headers and body.

        Raises:
            ServerGone: nobody listens, or the connection broke.
            RequestError: the server refused the request (status 4xx), in the server's words.
            ServerError: any other failure, in the server's words; no answer within `timeout_s`.
        """
        try:
            status, answered, payload = self._exchange(method, path, body, dict(headers or {}), timeout_s)
        except TimeoutError as error:
            self.close()
            raise ServerError(f"{self.url} gave no answer within {timeout_s:g} s to {method} {path}.") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            story = self._obituary() or "Start one with batchlab.server.start(), or check the address."
            raise ServerGone(f"No Triton answers at {self.url} ({_reason(error)}). {story}") from error
        if status < 400:
            return answered, payload
        message = _server_words(payload) or f"HTTP status {status}"
        raise RequestError(message) if status < 500 else ServerError(message)

    def close(self) -> None:
        """Close this thread's connection."""
        connection = self._local.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()

    def _exchange(
        self, method: str, path: str, body: bytes, headers: dict[str, str], timeout_s: float
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        reused = "connection" in self._local.__dict__
        if not reused:
            self._local.connection = http.client.HTTPConnection(self.host, self.port)
        connection: http.client.HTTPConnection = self._local.connection
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        except (ConnectionError, http.client.HTTPException):
            self.close()
            if not reused:
                raise
        # A kept connection may have been dropped while idle: a fresh one tells whether the server is there.
        return self._exchange(method, path, body, headers, timeout_s)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _server_words(payload: bytes) -> str:
    try:
        return str(json.loads(payload)["error"])
    except (ValueError, KeyError, TypeError):
        return payload.decode(errors="replace").strip()[:500]
