"""Services that are slow for one reason each, to be diagnosed from the split of a request: each a case.

Like the patients of `batchlab.patients`, a learner's cases come from a seed made of the name: their order, their rates
and their sizes. What a case suffers from is known here (`Case.illness`) and not in the notebook.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batchlab import arrivals, breakdown, inputs, text
from batchlab.configuration import TensorSpec
from batchlab.measure import Run
from batchlab.patients import seed_of
from batchlab.probe import probe

if TYPE_CHECKING:
    from batchlab.client import Client
    from batchlab.plan import Body

TEXTS, ENCODER, IMAGES, ONE_BY_ONE = "text_classifier", "text_encoder", "resnet50_a100", "bert_large_t4"
ILLNESSES = {
    "input copy": "large FP32 images, sent as JSON text",
    "threads": "far more threads than cores in the model",
    "queue": "requests wait for an instance that takes one at a time",
    "tokeniser": "whole documents are tokenised, and then cut to a few tokens",
    "client": "the client prepares one request after another, and cannot keep up",
}
# What speaks against each illness where it is not the right one.
SYMPTOMS = {
    "input copy": "then most of the time would be between client and model, in network and HTTP.",
    "threads": "then the called model would compute for most of the time, with far more threads than cores.",
    "queue": "then most of the time would be queue.",
    "tokeniser": "then the compute would be the model's own, and the model that it calls would be done quickly.",
    "client": "then the server would be idle, and the request would wait in the client.",
}
SIDE = 224
CUT_TOKENS = 16
# Crowded threads hold up the calling model too. With one text in a request both would take about as long.
CROWDED_TEXTS = 4


@dataclass(frozen=True)
class Case:
    """One service, slow for one reason.

    Attributes:
        number: from 1, as the ward calls it.
        illness: a key of `ILLNESSES`.
        model: what is asked.
        rate_rps: requests per second.
        size: of what is sent: images or items of a request, messages of a document, rows of an image to prepare, or
            threads per core.
        seed: of what is sent.
    """

    number: int
    illness: str = field(repr=False)
    model: str = field(repr=False)
    rate_rps: float
    size: int = field(repr=False)
    seed: int = field(repr=False)

    def examine(self, server: "Client", seconds: float = 2.0) -> pd.Series:
        """Send the case's traffic and return what client and server say of the mean request; put all back.

        Raises:
            ServerError: a model does not load, or the server is gone.
            ProbeError: no request was answered.
        """
        found = self.split(server, seconds)
        rows: dict[str, float] = {"latency ms": found.latency_ms}
        rows |= {f"{part} ms": ms for part, ms in found.parts_ms.items()}
        rows["of compute: called model ms"] = sum(found.called_ms.values())
        rows["requests"] = found.requests
        return pd.Series(rows, name=f"case {self.number}").round(1)

    def split(self, server: "Client", seconds: float = 2.0) -> breakdown.Breakdown:
        """As `examine`, and return the split itself."""
        called = [ENCODER] if self.model == TEXTS else []
        models = [self.model, *called]
        server.load_missing(models)
        try:
            run = self._measured(server, seconds)
            acts = {name: run.settings["called"][name] for name in called}
        finally:
            for name in reversed(models):
                server.load(name)
        return breakdown.split(run, called=acts)

    def _measured(self, server: "Client", seconds: float) -> Run:
        make = {
            "input copy": self._copied,
            "threads": self._crowded,
            "queue": self._queued,
            "tokeniser": self._tokenised,
            "client": self._prepared,
        }[self.illness]
        prepare, workers = make(server)
        # Warmed up beforehand: the called model's account would hold a warm-up that the probe's leaves out.
        probe(server, self.model, prepare, count=1, warmup=0)
        before = {ENCODER: server.statistics(ENCODER)} if self.model == TEXTS else {}
        times = arrivals.constant(self.rate_rps, seconds)
        run = probe(server, self.model, prepare, arrivals=times, workers=workers, warmup=0)
        run.settings["called"] = {name: server.statistics(name) - old for name, old in before.items()}
        return run

    def _copied(self, server: "Client") -> "tuple[Callable[[int], Body], int]":
        shape = (3, SIDE, SIDE)
        server.load(self.model, server.config(self.model).replace(inputs=(TensorSpec("item", "FP32", shape),)))
        image = np.random.default_rng(self.seed).random((self.size, *shape), np.float32)
        limit = int(server.config(self.model).max_batch_size)
        body = inputs.encode({"item": image}, server.metadata(self.model), max_batch_size=limit, as_json=True)
        return lambda number: body, 4

    def _crowded(self, server: "Client") -> tuple[Callable[[int], Any], int]:
        crowd = str(self.size * (os.cpu_count() or 1))
        server.reconfigure(ENCODER, parameters={"intra_op_thread_count": crowd})
        texts = text.sample(64, self.seed)
        request = [text.as_input(texts[first : first + CROWDED_TEXTS]) for first in range(0, 64, CROWDED_TEXTS)]
        return lambda number: request[number % len(request)], 4

    def _queued(self, server: "Client") -> tuple[Callable[[int], Any], int]:
        server.reconfigure(self.model, max_batch_size=1)
        return lambda number: {"item": np.zeros((self.size, 1), np.int32)}, 64

    def _tokenised(self, server: "Client") -> tuple[Callable[[int], Any], int]:
        server.reconfigure(self.model, parameters={"max_tokens": str(CUT_TOKENS)})
        words = " ".join(text.sample(self.size, self.seed))
        return lambda number: text.as_input([words]), 4

    def _prepared(self, server: "Client") -> tuple[Callable[[int], Any], int]:
        # What a service does with an upload: scale it, normalise it, and look at it again in the test set's order.
        pixels = np.random.default_rng(self.seed).integers(0, 256, (self.size, self.size, 3), np.uint8)

        def prepare(number: int) -> inputs.Tensors:
            image = pixels.astype(np.float32) / 255
            for channel, (mean, deviation) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
                image[..., channel] = (image[..., channel] - mean) / deviation
            return {"item": np.full((1, 1), int(image.mean()), np.int32)}

        return prepare, 1


def ward(name: str) -> list[Case]:
    """Return the five cases of a learner, in order of their numbers."""
    rng = np.random.default_rng([seed_of(name), 7])
    return [_case(number, str(illness), rng) for number, illness in enumerate(rng.permutation(sorted(ILLNESSES)), 1)]


def _case(number: int, illness: str, rng: np.random.Generator) -> Case:
    model, rates, sizes = {
        "input copy": (IMAGES, (3, 5), (1, 3)),
        "threads": (TEXTS, (2, 4), (3, 5)),
        "queue": (ONE_BY_ONE, (95, 106), (1, 2)),
        "tokeniser": (TEXTS, (3, 5), (400, 600)),
        "client": (IMAGES, (25, 31), (1500, 1800)),
    }[illness]
    rate_rps, size, seed = rng.integers(*rates), int(rng.integers(*sizes)), int(rng.integers(1, 10_000))
    return Case(number, illness, model, float(rate_rps), size, seed)
