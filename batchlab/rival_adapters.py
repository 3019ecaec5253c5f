"""How each other server is started here: its configuration written into a folder, and the command that serves it.

Whatever a server would otherwise spread over the machine (logs, process ids, sockets, archives) goes into that folder,
which its supervisor removes.
"""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchlab import java

HOST = "127.0.0.1"
INSTALL = "Run 'make setup', which installs what requirements.txt names."
# TorchServe logs each request at INFO, to files and to the console.
LOG_CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders><Console name="console"><PatternLayout pattern="%p %c{1} - %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


class AdapterError(RuntimeError):
    """A server whose files could not be prepared."""


@dataclass(frozen=True)
class Adapter:
    """One server.

    Attributes:
        name: its name, which is also that of its protocol.
        title: as its makers write it.
        package: its distribution on PyPI.
        module: what to import to know that it is there.
        ports: how many it listens on; the first takes requests.
        command: writes its files and returns the command, given the folder, its settings and the environment, which
            it may change.
    """

    name: str
    title: str
    package: str
    module: str
    ports: int
    command: Callable[[Path, dict[str, Any], dict[str, str]], list[str]]

    @property
    def version(self) -> str:
        """Its installed version; "" where it is not installed."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return ""

    def missing(self) -> str:
        """Return what this machine lacks to run it, with the remedy; "" where nothing is missing."""
        if importlib.util.find_spec(self.module) is None:
            return f"{self.title} is not installed. {INSTALL}"
        if self.name == "torchserve" and not java.command():
            return f"{self.title} runs on Java, and there is none on this machine. {java.remedy()}"
        return ""


def named(name: str) -> Adapter:
    """Return an adapter.

    Raises:
        AdapterError: there is none of that name.
    """
    for adapter in ADAPTERS:
        if adapter.name == name:
            return adapter
    raise AdapterError(f"No server is called {name!r} here; there are {', '.join(each.name for each in ADAPTERS)}.")


def _torchserve(folder: Path, settings: dict[str, Any], environment: dict[str, str]) -> list[str]:
    store = folder / "store"
    store.mkdir()
    model = settings["model"]
    handler = Path(__file__).parent / "handlers" / "torchserve_handler.py"
    archive = ["-m", "model_archiver.model_packaging", "--model-name", model, "--version", "1.0"]
    archive += ["--handler", str(handler), "--export-path", str(store)]
    done = subprocess.run([sys.executable, *archive], capture_output=True, text=True, env=environment)
    if done.returncode or not (store / f"{model}.mar").is_file():
        raise AdapterError(f"torch-model-archiver failed: {(done.stderr or done.stdout).strip()[-300:]}")
    (folder / "log4j2.xml").write_text(LOG_CONFIG)
    (folder / "config.properties").write_text(torchserve_properties(settings))
    home = Path(str(importlib.util.find_spec("ts").origin)).parent.parent  # type: ignore[union-attr]
    environment |= {name: str(folder) for name in ("LOG_LOCATION", "METRICS_LOCATION")}
    # What the script `torchserve` would run; that one notes its process id in a file common to the whole machine.
    command = [java.command(), f"-Dmodel_server_home={home}", f"-Djava.io.tmpdir={folder}", "-Xmx512m"]
    command += [f"-Dlog4j.configurationFile=file://{folder / 'log4j2.xml'}", "-cp", f"{home / 'ts' / 'frontend'}/*"]
    command += ["org.pytorch.serve.ModelServer", "--python", sys.executable, "-f", str(folder / "config.properties")]
    return [*command, "-s", str(store), "-w", str(store), "-ncs"]


def torchserve_properties(settings: dict[str, Any]) -> str:
    """Return TorchServe's ``config.properties`` for a model.

    Source: "Advanced configuration" in TorchServe's documentation.
    """
    inference, management, metrics, *grpc = settings["ports"]
    workers = settings["workers"]
    model = {
        "defaultVersion": True,
        "marName": f"{settings['model']}.mar",
        "minWorkers": workers,
        "maxWorkers": workers,
        "batchSize": settings["max_batch_size"],
        "maxBatchDelay": round(settings["max_wait_ms"]),
        "responseTimeout": 120,
    }
    lines = {
        "inference_address": f"http://{HOST}:{inference}",
        "management_address": f"http://{HOST}:{management}",
        "metrics_address": f"http://{HOST}:{metrics}",
        "grpc_inference_port": grpc[0],
        "grpc_management_port": grpc[1],
        "job_queue_size": settings["queue"],
        "default_workers_per_model": workers,
        "disable_token_authorization": "true",
        "disable_system_metrics": "true",
        "load_models": "all",
        "models": json.dumps({settings["model"]: {"1.0": model}}),
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _litserve(folder: Path, settings: dict[str, Any], environment: dict[str, str]) -> list[str]:
    return [sys.executable, "-m", "batchlab.handlers.litserve_app"]


def _mosec(folder: Path, settings: dict[str, Any], environment: dict[str, str]) -> list[str]:
    command = [sys.executable, "-m", "batchlab.handlers.mosec_app", "--address", HOST]
    command += ["--port", str(settings["ports"][0]), "--path", str(folder / "ipc"), "--log-level", "warning"]
    return [*command, "--capacity", str(settings["queue"]), "--timeout", "30000"]


ADAPTERS = (
    Adapter("torchserve", "TorchServe", "torchserve", "ts", 5, _torchserve),
    Adapter("litserve", "LitServe", "litserve", "litserve", 1, _litserve),
    Adapter("mosec", "mosec", "mosec", "mosec", 1, _mosec),
)
