"""Talk between two processes that do not trust each other: lines of JSON over a socket, and calls by number.

One side is a learner's kernel, the other one judges. Values travel as `batchlab.packing` makes them. A function stays
where it is: the other side gets a `RemoteFunction` that asks for a call, and either side may call back meanwhile.
"""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

from batchlab import packing


class ExchangeError(RuntimeError):
    """The other side went silent, ended, or sent what is no message."""


class RemoteError(RuntimeError):
    """What was asked for failed on the other side; the message is its own."""


class Remote:
    """Something that stays on the other side; its parts can be asked for, and it equals nothing but itself."""

    def __init__(self, peer: "Peer", number: int, name: str) -> None:
        self._peer, self._number, self._name = peer, number, name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._peer.ask("get", self._number, name)

    def __getitem__(self, key: Any) -> Any:
        return self._peer.ask("item", self._number, key)

    def __len__(self) -> int:
        return int(self._peer.ask("length", self._number))

    def __repr__(self) -> str:
        return f"<{self._name}>"


class RemoteFunction(Remote):
    """A function on the other side: arguments go there, the result comes back."""

    def __init__(self, peer: "Peer", number: int, name: str) -> None:
        super().__init__(peer, number, name)
        self.__name__ = name

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._peer.ask("call", self._number, list(args), named)

    def __deepcopy__(self, memo: dict[int, Any]) -> "RemoteFunction":
        return self


class Peer:
    """One end of the socket: asks, and answers what the other side asks meanwhile.

    Attributes:
        deadline: moment of `time.monotonic` after which silence is an error; None waits for ever.
    """

    def __init__(
        self, channel: socket.socket, handlers: dict[str, Callable[..., Any]] | None = None, limit_bytes: int = 2**25
    ) -> None:
        self.deadline: float | None = None
        self._channel, self._limit, self._buffer = channel, limit_bytes, bytearray()
        self._kept: list[Any] = []
        self.handlers: dict[str, Callable[..., Any]] = {"call": self._call, **(handlers or {})}

    def ask(self, operation: str, *args: Any) -> Any:
        """Return what the other side answers.

        Raises:
            RemoteError: it failed there.
            ExchangeError: no answer, or none that can be read.
        """
        self._send({"ask": operation, "with": self._packed(list(args))})
        while True:
            message = self._receive()
            if "ask" in message:
                self._answer(message)
            elif "failed" in message:
                raise RemoteError(str(message["failed"])[:2000])
            else:
                return self.unpack(message.get("answer"))

    def serve(self) -> None:
        """Answer until the other side closes.

        Raises:
            ExchangeError: it closed, or sent what is no message.
        """
        while True:
            self._answer(self._receive())

    def kept(self, number: Any) -> Any:
        """Return the object that was handed out under a number.

        Raises:
            ExchangeError: nothing was.
        """
        if type(number) is not int or not 0 <= number < len(self._kept):
            raise ExchangeError(f"nothing was handed out under {number!r}")
        return self._kept[number]

    def _call(self, number: int, args: list[Any], named: dict[str, Any]) -> Any:
        function = self.kept(number)
        if not callable(function):
            raise ExchangeError("not a function")
        return function(*args, **named)

    def _answer(self, message: dict[str, Any]) -> None:
        try:
            handler = self.handlers[str(message.get("ask"))]
            reply = {"answer": self._packed(handler(*self.unpack(message.get("with"))))}
        except ExchangeError:
            raise
        except Exception as error:
            reply = {"failed": f"{type(error).__name__}: {error}"[:2000]}
        self._send(reply)

    def _packed(self, value: Any) -> Any:
        return packing.pack(value, self._keep)

    def _keep(self, value: Any) -> int:
        self._kept.append(value)
        return len(self._kept) - 1

    def unpack(self, value: Any) -> Any:
        """Return a received value built anew from plain parts.

        Raises:
            RemoteError: it is none of the kinds that travel.
        """
        try:
            return packing.unpack(value, self._stand_in)
        except Exception as error:
            raise RemoteError(f"a value that cannot be read ({type(error).__name__}: {error})") from error

    def _stand_in(self, kind: str, number: int, name: str) -> Remote:
        return (RemoteFunction if kind == "function" else Remote)(self, number, name)

    def _send(self, message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        if len(line) > self._limit:
            line = json.dumps({"failed": f"a value of more than {self._limit // 2**20} MiB"}).encode() + b"\n"
        try:
            self._patience()
            self._channel.sendall(line)
        except OSError as error:
            raise ExchangeError(f"the other side takes nothing ({error})") from error

    def _receive(self) -> dict[str, Any]:
        scanned = 0
        while (end := self._buffer.find(b"\n", scanned)) < 0:
            scanned = len(self._buffer)
            if scanned > self._limit:
                raise ExchangeError(f"a message of more than {self._limit // 2**20} MiB")
            try:
                self._patience()
                part = self._channel.recv(2**18)
            except OSError as error:
                raise ExchangeError(f"the other side is silent ({error})") from error
            if not part:
                raise ExchangeError("the other side has ended")
            self._buffer += part
        if end > self._limit:
            raise ExchangeError(f"a message of more than {self._limit // 2**20} MiB")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ExchangeError("a message that is no JSON") from error
        if not isinstance(message, dict):
            raise ExchangeError("a message that is no object")
        return message

    def _patience(self) -> None:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("time is up")
            self._channel.settimeout(left)
