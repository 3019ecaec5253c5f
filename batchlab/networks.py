"""The networks that are made faster: each an ONNX file, the same in torch, and what to feed it with.

`text_encoder` sorts customers' messages and comes with labelled ones. `resnet50` comes with views of three photographs:
enough to calibrate with and to compare answers on, and not labelled, so its accuracy is not asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from batchlab import text, vision

TOKENS = 32
"""Length that timed texts are padded to, so that rows of all batches cost the same."""
VIEWS = 24
LESSONS = 48
ZOOM = 3 / 4  # of the picture's side that a view shows
SEED = 6

Feed = Mapping[str, np.ndarray]


class NetworkError(RuntimeError):
    """A network that is not built, or a batch that cannot be made."""


@dataclass(frozen=True, eq=False)
class Network:
    """One network, whatever runs it.

    Attributes:
        name: of its model in the repository.
        path: its ONNX file.
        inputs: names of the inputs, in the order in which the module takes them.
        output: name of the output, scores of shape ``(batch, classes)``.
        module: returns the same network in torch; seconds, so called only where torch is to run it.
        feed: batch size -> inputs to time.
        lessons: inputs to calibrate INT8 with, no labels needed; never those that judge it.
        operators: what is worth computing in INT8.
        half: what must stay in FP32 in the FP16 edition.
        regions: parts of the module to compile one by one. Equal ones share one compiled kernel, which takes a
            fraction of the time that compiling all at once takes. Source: PyTorch's recipe *Regional compilation*.
        heads, width: of its attention; 0 where it has none.
    """

    name: str
    path: Path
    inputs: tuple[str, ...]
    output: str
    module: Callable[[], Any]
    feed: Callable[[int], Feed]
    lessons: Callable[[], list[Feed]]
    operators: tuple[str, ...]
    half: tuple[str, ...] = ()
    regions: Callable[[Any], Sequence[Any]] = lambda module: [module]
    heads: int = 0
    width: int = 0

    def found(self) -> Path:
        """Return the ONNX file.

        Raises:
            NetworkError: it has not been built.
        """
        if not self.path.is_file():
            raise NetworkError(f"{self.path} is missing. It is built, not committed: run `make lab`.")
        return self.path


def text_encoder(repository: Path | None = None) -> Network:
    """Return the text classifier's network: token ids in, probabilities of six classes out."""
    return Network(
        name="text_encoder",
        path=text.model_path(repository),
        inputs=("input_ids", "attention_mask"),
        output="scores",
        module=lambda: _text_module(text.model_path(repository)),
        feed=text_feed,
        lessons=_text_lessons,
        operators=("MatMul", "Gemm"),
        regions=lambda module: module.encoder.layers,
        heads=12,
        width=384,
    )


def resnet50(repository: Path | None = None) -> Network:
    """Return ResNet-50: photographs in, scores of 1000 classes out."""
    return Network(
        name="resnet50",
        path=vision.model_path(repository),
        inputs=("image",),
        output="scores",
        module=vision.torch_model,
        feed=lambda batch: {"image": vision.images(batch)},
        lessons=lambda: [{"image": view[None]} for view in views(VIEWS // 2, seed=SEED)],
        operators=("Conv", "Gemm"),
        # Pixels up to 255 and their deviations are whole numbers that FP16 holds, but their quotients lose digits.
        half=("Cast", "Sub", "Div", "Transpose"),
    )


def exam() -> tuple[Feed, np.ndarray]:
    """Return the labelled messages that no training saw, as one batch, and the index of each right class."""
    asked = [message for message in text.read_messages() if message.split == "test"]
    right = np.array([text.LABELS.index(message.label) for message in asked])
    return text.padded([message.text for message in asked]), right


def text_feed(batch: int) -> Feed:
    """Return a batch of messages of at most `TOKENS` tokens, padded to that length.

    Raises:
        NetworkError: a batch below 1.
    """
    if batch < 1:
        raise NetworkError(f"A batch holds at least one text, not {batch}.")
    fitting = _of_length(text.messages("test"))
    return text.padded([fitting[i % len(fitting)] for i in range(batch)], TOKENS)


def views(count: int = VIEWS, seed: int = SEED + 1) -> np.ndarray:
    """Return views of the photographs: uint8, shape ``(count, 224, 224, 3)``; crops, some mirrored."""
    from PIL import Image

    draw = np.random.default_rng(seed)
    made = []
    for picture in vision.images(count):
        side = round(vision.SIDE * draw.uniform(ZOOM, 1.0))
        top, left = draw.integers(0, vision.SIDE - side + 1, 2)
        crop = picture[top : top + side, left : left + side]
        crop = crop[:, ::-1] if draw.random() < 0.5 else crop
        dark = (crop * draw.uniform(0.6, 1.0)).astype(np.uint8)
        made.append(np.asarray(Image.fromarray(dark).resize((vision.SIDE, vision.SIDE), Image.Resampling.BILINEAR)))
    return np.stack(made)


def _of_length(texts: Sequence[str]) -> list[str]:
    counts = text.token_counts(texts)
    return [one for one, count in zip(texts, counts, strict=True) if count <= TOKENS]


def _text_module(path: Path) -> Any:
    """Return the network in torch, its head as in the file: to train it again would take longer."""
    import onnx
    import torch
    from onnx import numpy_helper

    from batchlab import minilm

    found = {one.name: one for one in onnx.load(path).graph.initializer}
    try:
        head = [torch.from_numpy(numpy_helper.to_array(found[name]).copy()) for name in ("head.weight", "head.bias")]
    except KeyError as error:
        raise NetworkError(f"{path} has no {error}. Build it anew: python -m batchlab.text_model --force.") from error
    return minilm.Classifier(minilm.load_encoder(), *head).eval()


def _text_lessons() -> list[Feed]:
    # Every few messages, so that each class takes part: the file is in the order of its classes.
    known = text.messages("train")
    return [dict(text.padded([one])) for one in known[:: max(len(known) // LESSONS, 1)]]
