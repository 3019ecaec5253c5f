"""What other servers are: what each calls the four knobs of batching, how it is run, and whether anybody maintains it.

This is data, each row with its source and the date on which it was read. `batchlab.rival_server` starts those that
can be had from PyPI.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

READ = "2026-11-24"


@dataclass(frozen=True)
class Knob:
    """One knob of one server: its name there, its unit, and how many of that unit are a millisecond (of waits only)."""

    name: str
    unit: str = ""
    per_ms: float = 0.0

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def of(self, ms: float) -> float:
        """Return a wait of so many milliseconds in the knob's own unit."""
        return ms * self.per_ms


NONE = Knob("none")


@dataclass(frozen=True)
class Maintenance:
    """Whether a project is alive, as its own pages say."""

    state: str
    since: str
    source: str
    read: str = READ

    def __str__(self) -> str:
        return f"{self.state} ({self.since})"


@dataclass(frozen=True)
class Server:
    """One server.

    Attributes:
        max_wait, max_batch, queue, workers: what it calls the four knobs.
        full: what it answers when its queue is full.
        reconfigure: how a knob is turned on a running server.
        built_of: what takes requests, and what runs the model.
        models: what it serves.
        maintenance: its state.
        source: where the knobs are documented.
    """

    title: str
    max_wait: Knob
    max_batch: Knob
    queue: Knob
    workers: Knob
    full: str
    reconfigure: str
    built_of: str
    models: str
    maintenance: Maintenance
    source: str = ""
    protocol: str = ""


def servers() -> Mapping[str, Server]:
    """Return every server of the comparison by its short name."""
    return {
        "triton": Server(
            "Triton",
            Knob("max_queue_delay_microseconds", "us", 1000),
            Knob("max_batch_size"),
            Knob("max_queue_size", "requests"),
            Knob("instance_group count"),
            full="503",
            reconfigure="load the model again with another configuration",
            built_of="C++; models in backends, Python ones in processes of their own",
            models="ONNX, TensorRT, PyTorch, TensorFlow, Python and more",
            maintenance=Maintenance("maintained", "client released 2026-09", "https://pypi.org/project/tritonclient"),
            source="https://docs.nvidia.com/deeplearning/triton-inference-server, Model Configuration",
            protocol="kserve",
        ),
        "torchserve": Server(
            "TorchServe",
            Knob("maxBatchDelay", "ms", 1),
            Knob("batchSize"),
            Knob("job_queue_size", "requests"),
            Knob("minWorkers, maxWorkers"),
            full="503",
            reconfigure="register the model again; workers by the management API",
            built_of="Java (Netty); models in Python processes",
            models="PyTorch, and whatever a Python handler runs",
            maintenance=Maintenance(
                "archived: no updates, no security patches",
                "read-only since 2025-08-07",
                "https://github.com/pytorch/serve",
            ),
            source="https://pytorch.org/serve/batch_inference_with_ts.html",
            protocol="torchserve",
        ),
        "litserve": Server(
            "LitServe",
            Knob("batch_timeout", "s", 0.001),
            Knob("max_batch_size"),
            NONE,
            Knob("workers_per_device"),
            full="nothing: it queues without limit",
            reconfigure="restart",
            built_of="Python (FastAPI, uvicorn); models in Python processes",
            models="whatever Python runs",
            maintenance=Maintenance("maintained", "released 2026-09", "https://pypi.org/project/litserve"),
            source="https://lightning.ai/docs/litserve/features/batching",
            protocol="litserve",
        ),
        "mosec": Server(
            "mosec",
            Knob("max_wait_time", "ms", 1),
            Knob("max_batch_size"),
            Knob("--capacity", "requests"),
            Knob("num"),
            full="429",
            reconfigure="restart",
            built_of="Rust; models in Python processes",
            models="whatever Python runs",
            maintenance=Maintenance("maintained", "released 2026-10", "https://pypi.org/project/mosec"),
            source="https://mosecorg.github.io/mosec/reference/interface.html",
            protocol="mosec",
        ),
        "tfserving": Server(
            "TensorFlow Serving",
            Knob("batch_timeout_micros", "us", 1000),
            Knob("max_batch_size"),
            Knob("max_enqueued_batches", "batches"),
            Knob("num_batch_threads"),
            full="UNAVAILABLE",
            reconfigure="restart",
            built_of="C++; models in the same process",
            models="TensorFlow's saved models",
            maintenance=Maintenance(
                "maintained", "API released 2026-09", "https://pypi.org/project/tensorflow-serving-api"
            ),
            source="https://github.com/tensorflow/serving, tensorflow_serving/batching/README.md",
            protocol="tfserving",
        ),
    }


def glossary() -> pd.DataFrame:
    """Return what each server calls the four knobs, one row a server."""
    rows = {
        each.title: {
            "max wait": str(each.max_wait),
            "max batch": str(each.max_batch),
            "queue": str(each.queue),
            "workers": str(each.workers),
        }
        for each in servers().values()
    }
    return pd.DataFrame(rows).T.rename_axis("server")


def operations() -> pd.DataFrame:
    """Return what differs in running each server, maintenance state, source and date included, one row a server."""
    rows = {
        each.title: {
            "built of": each.built_of,
            "models": each.models,
            "full queue": each.full,
            "to turn a knob": each.reconfigure,
            "maintenance": str(each.maintenance),
            "source": each.maintenance.source,
            "read": each.maintenance.read,
        }
        for each in servers().values()
    }
    return pd.DataFrame(rows).T.rename_axis("server")
