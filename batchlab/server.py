"""A running Triton, embedded or by URL.

    with start(["resnet50"]) as server:
        server.infer("resnet50", {"image": image[None]})

`start` gives this process's embedded server, or the one that ``BATCHLAB_URL`` names; `connect` any running Triton.
What a `Server` can do is in `batchlab.client`.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from batchlab import embedded, launch, triton_log, workspace
from batchlab.client import Client
from batchlab.embedded import Embedded
from batchlab.endpoint import ModelError, RequestError, ServerError, ServerGone, parse_url
from batchlab.launch import StartError

__all__ = ["ModelError", "RequestError", "Server", "ServerError", "ServerGone", "StartError", "connect", "start"]


def start(
    models: Iterable[str] = (),
    *,
    repository: Path | str | None = None,
    reuse: bool = True,
    rate_limit: Sequence[str] | None = None,
    extra_args: Sequence[str] = (),
    timeout_s: float = 60.0,
    ports: tuple[int, int, int] = (0, 0, 0),
    host: str = launch.HOST,
    cores: Iterable[int] | None = None,
) -> "Server":
    """Return a ready server with `models` loaded.

    Where ``BATCHLAB_URL`` is set, that server is used and nothing is started.

    Args:
        models: names of models; those already loaded stay as they are.
        repository: folder of models, the project's ``triton_repo`` by default.
        reuse: whether the server that this process already runs with the same options will do.
        rate_limit: turns Triton's rate limiter on, with resources such as ``["R:1"]``.
        extra_args: more arguments for tritonserver.
        timeout_s: how long the server may take to become ready; models take what they take.
        ports: wanted HTTP, gRPC and metrics ports, 0 for any free one.
        host: address to listen on; inside a container ``"0.0.0.0"`` lets its neighbours in.
        cores: numbers of the cores that the server is held on, such as ``{0}``; all by default.

    Raises:
        StartError: the server did not start; nothing of it is left.
        ModelError: a model did not load; a server started by this call is ended again.
    """
    models = [models] if isinstance(models, str) else list(models)
    if os.environ.get("BATCHLAB_URL"):
        environment = os.environ.get
        server = connect(
            os.environ["BATCHLAB_URL"], environment("BATCHLAB_GRPC_URL"), environment("BATCHLAB_METRICS_URL")
        )
        server.load_missing(models)
        return server
    folder = Path(repository).expanduser().resolve() if repository else workspace.repository_dir()
    limits = None if rate_limit is None else tuple(rate_limit)
    held = None if cores is None else tuple(sorted(set(cores)))
    options = launch.Options(str(folder), limits, tuple(extra_args), ports, host, held)
    known = {found.folder for found in embedded.mine()}
    process = launch.start(options, reuse, timeout_s)
    http, grpc, metrics = (f"{launch.HOST}:{port}" for port in process.ports)
    server = Server(http, grpc, metrics, process)
    try:
        server.load_missing(models)
    except BaseException:
        if process.folder not in known:
            server.stop()
        raise
    return server


def connect(url: str, grpc_url: str | None = None, metrics_url: str | None = None) -> "Server":
    """Return the Triton that runs at `url`, ``host:port`` of its HTTP service.

    gRPC and metrics are looked for on the next two ports, as Triton's own defaults are.

    Raises:
        ServerGone: nobody answers there.
    """
    host, port = parse_url(url)
    server = Server(f"{host}:{port}", grpc_url or f"{host}:{port + 1}", metrics_url or f"{host}:{port + 2}")
    server._endpoint.get("/v2/health/live", timeout_s=10.0)
    return server


class Server(Client):
    """A Triton together with its process, where that is this process's own.

    As a context manager it stops the server at the end.
    """

    def __init__(self, url: str, grpc_url: str, metrics_url: str, process: Embedded | None = None) -> None:
        self._process = process
        super().__init__(url, grpc_url, metrics_url)

    def __repr__(self) -> str:
        return f"<Triton {'embedded' if self.embedded else 'connected'} at {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def embedded(self) -> bool:
        """Whether this process's own server answers here."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Process id of an embedded tritonserver, else None."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether an embedded server's process lives; it may be too busy loading to answer, and so not `alive`."""
        return self._process.running if self._process else self.alive

    def stop(self) -> None:
        """End an embedded server and everything of it; a connected one is left alone."""
        self._endpoint.close()
        self._metrics.close()
        if self._process:
            self._process.stop()

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of an embedded server's log, harmless noise left out; "" for others."""
        if not self._process:
            return ""
        return "\n".join(triton_log.clean(triton_log.read(self._process.log))[-lines:])

    @property
    def _log(self) -> Path | None:
        return self._process.log if self._process else None

    @property
    def _repository(self) -> Path | None:
        return Path(self._process.options["repository"]) if self._process else None

    def _obituary(self) -> str:
        return self._process.obituary() if self._process else ""
