"""Starting an embedded Triton: ports, command line, supervisor, readiness; or a clear reason why not."""

import contextlib
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batchlab import container, embedded, supervisor, triton_log, wheel, workspace
from batchlab.embedded import Embedded
from batchlab.endpoint import Endpoint, ServerError

HOST = "127.0.0.1"
PORT_TRIES = 3
PORT_NAMES = ("http", "grpc", "metrics")


class StartError(ServerError):
    """The server did not start."""


class _PortLostError(StartError):
    """A port that was free a moment ago was taken by somebody else."""


@dataclass(frozen=True)
class Options:
    """What tells one embedded server from another; equal options share a server.

    Attributes:
        repository: absolute path of the model repository.
        rate_limit: resources of the rate limiter such as ``("R:1",)``; None leaves the limiter off.
        extra_args: more arguments for tritonserver.
        ports: wanted HTTP, gRPC and metrics ports, 0 for any free one.
        host: address to listen on; another than 127.0.0.1 is for containers only.
        cores: numbers of the cores that the server is held on; None leaves it all that this process may use.
    """

    repository: str
    rate_limit: tuple[str, ...] | None = None
    extra_args: tuple[str, ...] = ()
    ports: tuple[int, int, int] = (0, 0, 0)
    host: str = HOST
    cores: tuple[int, ...] | None = None


def start(options: Options, reuse: bool, timeout_s: float) -> Embedded:
    """Return a ready server without models: this process's running one where `reuse` allows, or a new one.

    Raises:
        StartError: the machine cannot run it, a wanted port is taken, it ended or hung while starting, or it would
            listen to others than this machine. Nothing is left behind.
    """
    if options.host != HOST and not container.inside():
        raise StartError(
            f"Triton has no lock on its door, so it listens on {HOST} only; {options.host} is for a container, whose "
            "network keeps others out. Leave the address out, or serve from docker/compose.yaml."
        )
    try:
        parts = wheel.find()
    except wheel.WheelError as error:
        raise StartError(str(error)) from error
    if not Path(options.repository).is_dir():
        raise StartError(f"There is no model repository at {options.repository}.")
    if options.cores is not None:
        _check_cores(options.cores)
    with _start_lock():
        embedded.sweep()
        for found in embedded.mine():
            if not found.running:
                found.stop()
            elif reuse and found.options == _plain(options):
                return found
        for _ in range(PORT_TRIES - 1):
            with contextlib.suppress(_PortLostError):
                return _start_once(parts, options, timeout_s)
        return _start_once(parts, options, timeout_s)


def pick_ports(wanted: Sequence[int]) -> tuple[int, int, int]:
    """Return three ports that are free on 127.0.0.1, each as wanted where not 0.

    Raises:
        StartError: a wanted port is taken.
    """
    http, grpc, metrics = free_ports(wanted, PORT_NAMES)
    return http, grpc, metrics


def free_ports(wanted: Sequence[int], names: Sequence[str] = ()) -> list[int]:
    """Return ports that are free on 127.0.0.1, each as wanted where not 0.

    Args:
        wanted: one for each port.
        names: what each is for, for the error.

    Raises:
        StartError: a wanted port is taken.
    """
    with contextlib.ExitStack() as held:
        ports = []
        for port, name in zip(wanted, names or [""] * len(wanted), strict=True):
            holder = held.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                holder.bind((HOST, port))
            except (OSError, OverflowError) as error:
                purpose = f", wanted for {name}," if name else ""
                raise StartError(
                    f"Port {port}{purpose} cannot be had: {getattr(error, 'strerror', None) or error}. "
                    "Choose another one, leave it out to get a free one, or end the program that holds it "
                    f"(`ss -ltnp 'sport = :{port}'` names it)."
                ) from error
            ports.append(holder.getsockname()[1])
    return ports


def _check_cores(cores: Collection[int]) -> None:
    mine = os.sched_getaffinity(0)
    if not cores or not mine.issuperset(cores):
        raise StartError(
            f"A server cannot be held on the cores {sorted(cores)}: this process may use {sorted(mine)}. "
            "Name one or more of those."
        )


def _start_once(parts: wheel.Wheel, options: Options, timeout_s: float) -> Embedded:
    folder = workspace.servers_dir() / f"batchlab-{secrets.token_hex(4)}"
    try:
        ports = pick_ports(options.ports)
        folder.mkdir(mode=0o700)
        environment = wheel.assemble(parts, folder)
        spec = {
            "command": _command(parts.binary, folder, options, ports),
            "environment": environment,
            "prefix": embedded.prefix_of(folder),
            "cores": options.cores,
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        server = supervised(folder, _plain(options), ports)
    except wheel.WheelError as error:
        embedded.clear(folder)
        raise StartError(str(error)) from error
    except OSError as error:
        embedded.clear(folder)
        raise StartError(f"The server cannot be prepared in {folder}: {error.strerror or error}.") from error
    try:
        _wait_ready(server, timeout_s)
    except BaseException:
        server.stop()
        raise
    return server


def supervised(folder: Path, options: dict[str, Any], ports: tuple[int, int, int]) -> Embedded:
    """Start what ``spec.json`` in `folder` says, under a supervisor that ends it with this process.

    Raises:
        OSError: no process or no file could be made; nothing is left running.
    """
    reader, writer = os.pipe()
    null, notes = os.devnull, str(folder / "supervisor.log")
    try:
        # Spawned raw, without a Popen object: a re-used handle must be able to wait for it, and nothing may end it
        # when a Python object is collected. In a session of its own, because Jupyter interrupts and kills by group.
        keeper = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", supervisor.__file__, str(folder), "3", str(os.getpid())],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, reader, 3),
                (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    except OSError:
        os.close(writer)
        raise
    finally:
        os.close(reader)
    server = Embedded(
        folder=folder,
        options=options,
        ports=ports,
        prefix=embedded.prefix_of(folder),
        owner=os.getpid(),
        owner_ticks=embedded.start_ticks(os.getpid()),
        supervisor=keeper,
        supervisor_ticks=embedded.start_ticks(keeper),
        pipe=writer,
    )
    try:
        server.save()
    except OSError:
        # A full disk: what is already running must not stay without a record.
        os.close(writer)
        embedded.reap(keeper)
        raise
    return server


def _command(binary: Path, folder: Path, options: Options, ports: Sequence[int]) -> list[str]:
    command = [str(binary), "--backend-directory", str(folder / "backends"), "--model-repository", options.repository]
    command += ["--model-control-mode", "explicit"]
    command += ["--backend-config", f"python,shm-region-prefix-name={embedded.prefix_of(folder)}"]
    # The committed configurations are complete. Without completion a model loads in 0.2 s instead of 1.4 s.
    command += ["--disable-auto-complete-config"]
    # Only where traces go: tracing stays off until somebody asks for it over HTTP (`batchlab.trace`).
    command += ["--trace-config", f"triton,file={folder / 'trace.json'}"]
    for name, port in zip(PORT_NAMES, ports, strict=True):
        command += [f"--{name}-address", options.host, f"--{name}-port", str(port)]
    if options.rate_limit is not None:
        command += ["--rate-limit", "execution_count"]
        command += [f"--rate-limit-resource={resource}" for resource in options.rate_limit]
    return command + list(options.extra_args)


def _wait_ready(server: Embedded, timeout_s: float) -> None:
    endpoint = Endpoint(f"{HOST}:{server.ports[0]}")
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        words = server.last_words()
        if words is not None or not server.kept:
            text = words["log"] if words else triton_log.read(server.log)
            kind = _PortLostError if triton_log.port_taken(text) else StartError
            how = embedded.ending(words["returncode"]) if words else "ended with its supervisor"
            tail = "\n".join(triton_log.clean(text)[-8:])
            raise kind(f"Triton {how} while starting. Its last lines:\n{tail}")
        with contextlib.suppress(ServerError):
            endpoint.get("/v2/health/ready", timeout_s=2.0)
            endpoint.close()
            return
        time.sleep(0.05)
    tail = "\n".join(triton_log.clean(triton_log.read(server.log))[-8:])
    raise StartError(f"Triton was not ready within {timeout_s:g} s and was ended. Its last lines:\n{tail}")


@contextlib.contextmanager
def _start_lock() -> Iterator[None]:
    # Not on Windows, where this module is imported all the same: a server elsewhere can be used from there.
    import fcntl

    # One start at a time per home: threads and kernels then neither sweep nor miss each other's half-made folders.
    with (workspace.servers_dir() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _plain(options: Options) -> dict[str, Any]:
    # As it comes back from JSON, where a tuple is a list.
    plain: dict[str, Any] = json.loads(json.dumps(asdict(options)))
    return plain
