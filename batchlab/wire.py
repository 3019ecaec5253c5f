"""Requests on the wire: connections that are never waited for, bytes encoded beforehand. Runs in the sender only.

geventhttpclient parses the answers; its own connection pool is not used, because a pool of fixed size makes an
arrival wait for a connection (the tail that an open loop is there to show), and because it looks at sockets with
``select``, which ends at file descriptor 1023.
"""

import json
import resource
import time
from dataclasses import dataclass

import gevent
from gevent import socket
from geventhttpclient.response import HTTPParseError, HTTPResponse

from batchlab.plan import TIMED_OUT, Body

RECEIVE_BYTES = 65536
SPARE_FILES = 64
ERROR_LENGTH = 160
# Triton's and TorchServe's status for a full queue; mosec's is 429.
REFUSALS = (503, 429)


class ServerUnreachableError(ConnectionError):
    """The server took no connection, or cut it before answering."""


class CapReachedError(RuntimeError):
    """As many requests are in flight as the plan allows."""


@dataclass(frozen=True)
class Answer:
    """What came back: times on the monotonic clock, in seconds, and an empty `error` when all went well.

    `refused`: the server is there but takes no more for now (`REFUSALS`).
    """

    sent: float
    done: float
    error: str = ""
    length: int = 0
    unreachable: bool = False
    capped: bool = False
    refused: bool = False


def encode_request(host: str, model: str, body: Body) -> bytes:
    """Return the whole HTTP request for a body: head and body in one piece, sent in one call."""
    path, headers = body.target(model)
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: keep-alive",
        f"Content-Length: {len(body.data)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body.data


class Wire:
    """Idle connections to one server, opened as needed up to `max_connections` in use at once."""

    def __init__(self, url: str, *, timeout_s: float, max_connections: int) -> None:
        host, _, port = url.rpartition(":")
        found = socket.getaddrinfo(host.strip("[]"), int(port), 0, socket.SOCK_STREAM)
        self._addresses = [(family, address) for family, _, _, _, address in found]
        self._timeout_s = timeout_s
        self.max_connections = min(max_connections, _raised_file_limit() - SPARE_FILES)
        self._idle: list[socket.socket] = []
        self.in_flight = 0
        self.peak = 0

    def warm(self, count: int) -> None:
        """Open `count` connections beforehand; a server that refuses shows itself in the first request."""
        try:
            while len(self._idle) < min(count, self.max_connections):
                self._idle.append(self._connect())
        except OSError:
            return

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def send(self, request: bytes) -> Answer:
        """Send one encoded request and wait for its answer; never raises for what the server or network does."""
        if self.in_flight >= self.max_connections:
            now = time.monotonic()
            return Answer(now, now, f"not sent: {self.max_connections} requests in flight", capped=True)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        stamps = [time.monotonic()]
        timer = gevent.Timeout.start_new(self._timeout_s)
        try:
            response = self._exchange(request, stamps)
            done = time.monotonic()
            body = bytes(response._body_buffer)
            error = "" if 200 <= response.status_code < 300 else _error_text(response.status_code, body)
            return Answer(stamps[-1], done, error, len(body), refused=response.status_code in REFUSALS)
        except gevent.Timeout as raised:
            if raised is not timer:
                raise
            return Answer(stamps[-1], time.monotonic(), f"{TIMED_OUT} {self._timeout_s:g} s")
        except (OSError, HTTPParseError) as error:
            text = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return Answer(stamps[-1], time.monotonic(), text[:ERROR_LENGTH], unreachable=True)
        finally:
            timer.close()
            self.in_flight -= 1

    def _exchange(self, request: bytes, stamps: list[float]) -> HTTPResponse:
        while self._idle:
            try:
                return self._once(self._idle.pop(), request, stamps)
            except ServerUnreachableError:
                # The server had closed this idle connection. Nothing was answered on it: take the next one.
                continue
        return self._once(self._connect(), request, stamps)

    def _once(self, connection: socket.socket, request: bytes, stamps: list[float]) -> HTTPResponse:
        response = HTTPResponse("POST")
        keep = False
        try:
            stamps.append(time.monotonic())
            try:
                connection.sendall(request)
                data = connection.recv(RECEIVE_BYTES)
            except OSError as error:
                raise ServerUnreachableError(error.strerror or str(error)) from error
            if not data:
                raise ServerUnreachableError("connection closed by the server")
            response.feed(data)
            while not response.message_complete:
                data = connection.recv(RECEIVE_BYTES)
                response.feed(data)
                if not data and not response.message_complete:
                    raise ConnectionError("connection closed in the middle of an answer")
            keep = bool(response.should_keep_alive())
            return response
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.close()

    def _connect(self) -> socket.socket:
        # A name may stand for several addresses, such as ::1 and 127.0.0.1, of which the server has one.
        for number, (family, address) in enumerate(self._addresses):
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.connect(address)
            except BaseException as error:
                connection.close()
                if number + 1 < len(self._addresses) and isinstance(error, OSError):
                    continue
                raise
            if number:
                self._addresses.insert(0, self._addresses.pop(number))
            return connection
        raise ServerUnreachableError("the server's name has no address")


def _error_text(status: int, body: bytes) -> str:
    text = body.decode("utf-8", errors="replace").strip()
    try:
        told = json.loads(text)
        # Triton says "error", TorchServe "message", whatever is built on FastAPI "detail".
        text = next(str(told[key]) for key in ("error", "message", "detail") if key in told)
    except (ValueError, KeyError, TypeError, StopIteration):
        text = text.partition("\n")[0]
    return f"{status} {text}"[:ERROR_LENGTH].strip()


def _raised_file_limit() -> int:
    """Raise the soft limit of open files to the hard one and return it: a connection is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, 65536)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
