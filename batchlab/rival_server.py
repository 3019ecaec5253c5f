"""Another server of this process, with a played model in it: started, asked, and ended with its owner.

    with start("mosec", "rn50-amp-t4-eager", batching=Batching(max_batch_size=8)) as server:
        run = load.open_loop(server, server.model, arrivals.poisson(100, 5, seed=1))

It runs under the same supervisor as an embedded Triton, on 127.0.0.1 and free ports.
"""

import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from batchlab import embedded, launch, played_device, profiles, protocol, rival_adapters
from batchlab.embedded import Embedded
from batchlab.endpoint import ServerError
from batchlab.http_server import HttpServer
from batchlab.launch import StartError
from batchlab.profiles import Profile

PREFIX = "batchlab-rival-"
LOG_LINES = 8


@dataclass(frozen=True)
class Batching:
    """The four knobs that every server has, whatever it calls them.

    Attributes:
        max_batch_size: most items in a batch.
        max_wait_ms: how long the first request of a batch waits for company; whole milliseconds, since two servers
            take no finer ones.
        queue: most requests that may wait. LitServe has no such limit.
        workers: processes that run batches; all of one server share the device.

    Raises:
        StartError: a value out of range.
    """

    max_batch_size: int = 8
    max_wait_ms: int = 5
    queue: int = 1000
    workers: int = 1

    def __post_init__(self) -> None:
        for name, least in (("max_batch_size", 1), ("max_wait_ms", 1), ("queue", 1), ("workers", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise StartError(f"{name} must be a whole number of {least} or more, got {value!r}.")


class Rival(HttpServer):
    """Another server together with its process; as a context manager it is ended at the end.

    Attributes:
        model: name of the model it serves.
    """

    def __init__(self, adapter: rival_adapters.Adapter, process: Embedded, model: str, profile: str) -> None:
        self.model, self._process = model, process
        url = f"{launch.HOST}:{process.ports[0]}"
        name = f"{adapter.title} {adapter.version}"
        super().__init__(protocol.named(adapter.name), url, tier="emulated", name=name, profile=profile)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Process id of its main process."""
        return self._process.pid

    def batches(self) -> Mapping[int, int]:
        """Return how many batches of each size it has run since its start; the warm-up's are among them."""
        return played_device.counted(self._process.folder)

    def log_tail(self, lines: int = LOG_LINES) -> str:
        """Return the last lines that it printed."""
        try:
            text = self._process.log.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    def stop(self) -> None:
        """End it and everything it started."""
        self._process.stop()


def start(
    name: str,
    profile: Profile | str,
    *,
    batching: Batching | None = None,
    device: str | None = None,
    model: str | None = None,
    port: int = 0,
    timeout_s: float = 60.0,
) -> Rival:
    """Return a ready server whose model plays a profile.

    Args:
        name: ``"torchserve"``, ``"litserve"`` or ``"mosec"``.
        profile: a profile, or the name of a published one.
        batching: the knobs.
        device: the emulated device, by default the first of the profile's GPU, as for Triton.
        model: its name, by default the profile's, with underscores.
        port: wanted port on 127.0.0.1, 0 for any free one.
        timeout_s: how long it may take to give its first answer.

    Raises:
        StartError: the machine lacks something, the port is taken, or it ended or hung while starting. Nothing is left.
    """
    batching = batching or Batching()
    try:
        adapter = rival_adapters.named(name)
    except rival_adapters.AdapterError as error:
        raise StartError(str(error)) from error
    if missing := adapter.missing():
        raise StartError(missing)
    config = profiles.emulated_config(profile, device=device, name=model, max_batch_size=batching.max_batch_size)
    ports = launch.free_ports([port] + [0] * (adapter.ports - 1))
    _sweep()
    settings = {**config.parameters, **asdict(batching), "model": config.name, "ports": ports}
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        (folder / "settings.json").write_text(json.dumps(settings))
        environment = _environment(folder)
        command = adapter.command(folder, settings, environment)
        spec = {"command": command, "environment": environment, "prefix": embedded.prefix_of(folder)}
        (folder / "spec.json").write_text(json.dumps(spec))
        process = launch.supervised(folder, {"rival": name}, (ports[0], 0, 0))
    except (OSError, rival_adapters.AdapterError) as error:
        embedded.clear(folder)
        raise StartError(f"{adapter.title} cannot be prepared: {error}.") from error
    rival = Rival(adapter, process, config.name, config.parameters["profile"])
    try:
        _wait_ready(rival, process, timeout_s)
    except BaseException:
        rival.stop()
        raise
    return rival


def _environment(folder: Path) -> dict[str, str]:
    package = str(Path(__file__).resolve().parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    added = {
        "PYTHONPATH": os.pathsep.join(paths),
        played_device.SETTINGS_VARIABLE: str(folder / "settings.json"),
        # Sockets and process ids go into the folder, too.
        **dict.fromkeys(("TMPDIR", "TEMP"), str(folder)),
    }
    return {**os.environ, **added}


def _wait_ready(rival: Rival, process: Embedded, timeout_s: float) -> None:
    deadline, last = time.monotonic() + timeout_s, ""
    while time.monotonic() < deadline:
        if words := process.last_words():
            tail = "\n".join(words["log"].strip().splitlines()[-LOG_LINES:])
            how = embedded.ending(words["returncode"])
            raise StartError(f"{rival.name} {how} while starting. Its last lines:\n{tail}")
        try:
            # One patient question: a server may hold it until its worker is there, and many would pile up.
            rival.ask(rival.model, timeout_s=max(deadline - time.monotonic(), 0.5))
            return
        except ServerError as error:
            last = str(error)
        time.sleep(0.1)
    raise StartError(
        f"{rival.name} was not ready within {timeout_s:g} s and was ended. {last} Its last lines:\n{rival.log_tail()}"
    )


def _sweep() -> None:
    """Clear away what died together with its supervisor, as in a kill of both."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        found = Embedded.load(folder)
        if found is not None and not found.kept and folder.stat().st_uid == os.getuid():
            embedded.clear(folder)
