"""Two ends of a socket: calls in both directions, and every kind of silence or nonsense is one error."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from batchlab.exchange import ExchangeError, Peer, Remote, RemoteError, RemoteFunction


class Thing:
    size = 3

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: int) -> int:
        return key * 2


@pytest.fixture
def ends() -> Iterator[tuple[Peer, socket.socket]]:
    """An asking end, and the raw socket of the other."""
    here, there = socket.socketpair()
    peer = Peer(here, limit_bytes=10_000)
    peer.deadline = time.monotonic() + 10
    with here, there:
        yield peer, there


@pytest.fixture
def asking(ends: tuple[Peer, socket.socket]) -> Peer:
    """An end whose other side serves a few things."""
    peer, there = ends
    other = Peer(there)
    other.handlers |= {
        "get": lambda number, name: getattr(other.kept(number), name),
        "item": lambda number, key: other.kept(number)[key],
        "length": lambda number: len(other.kept(number)),
        "thing": Thing,
        "halve": lambda: lambda value: value / 2,
        "twice": lambda: lambda function, value: function(function(value)),
        "much": lambda: "x" * 20_000,
    }

    def serve() -> None:
        with pytest.raises(ExchangeError):
            other.serve()

    threading.Thread(target=serve, daemon=True).start()
    return peer


def test_a_function_is_called_where_it_is(asking: Peer) -> None:
    halve = asking.ask("halve")
    assert isinstance(halve, RemoteFunction)
    assert halve(5) == 2.5
    with pytest.raises(RemoteError, match="TypeError"):
        halve("text")


def test_a_function_that_was_passed_is_called_back(asking: Peer) -> None:
    assert asking.ask("twice")(lambda value: value + 1, 5) == 7


def test_parts_of_a_thing_can_be_asked_for(asking: Peer) -> None:
    thing = asking.ask("thing")
    assert isinstance(thing, Remote)
    assert (thing.size, len(thing), thing[21]) == (3, 3, 42)
    assert thing != 3
    with pytest.raises(RemoteError):
        _ = thing.absent


def test_too_large_an_answer_ends_the_talk(asking: Peer) -> None:
    with pytest.raises(ExchangeError, match="more than"):
        asking.ask("much")


@pytest.mark.parametrize("line", [b"no json\n", b"[1]\n", b"[" * 9000 + b"\n", b"x" * 11_000])
def test_nonsense_is_an_error(ends: tuple[Peer, socket.socket], line: bytes) -> None:
    peer, there = ends
    there.sendall(line)
    with pytest.raises(ExchangeError):
        peer.ask("anything")


def test_an_end_is_an_error(ends: tuple[Peer, socket.socket]) -> None:
    peer, there = ends
    there.shutdown(socket.SHUT_WR)
    with pytest.raises(ExchangeError, match="ended"):
        peer.ask("anything")


def test_silence_is_an_error_at_the_deadline(ends: tuple[Peer, socket.socket]) -> None:
    peer, _ = ends
    peer.deadline = time.monotonic() + 0.2
    with pytest.raises(ExchangeError, match="silent"):
        peer.ask("anything")


def test_nothing_is_called_that_was_not_handed_out(ends: tuple[Peer, socket.socket]) -> None:
    peer, there = ends
    there.sendall(
        b'{"ask": "call", "with": [0, [], {"$": "dict", "v": []}]}\n{"ask": "run", "with": ["1"]}\n{"answer": 5}\n'
    )
    with pytest.raises(ExchangeError, match="handed out"):
        peer.ask("anything")
