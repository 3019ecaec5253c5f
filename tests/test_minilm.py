"""The encoder in plain torch, held against the reference implementation."""

from pathlib import Path

import pytest
import torch

from batchlab import minilm, text


@pytest.fixture(scope="module")
def encoder() -> minilm.Encoder:
    return minilm.load_encoder()


def tensors(texts: list[str], length: int | None = None) -> list[torch.Tensor]:
    return [torch.from_numpy(values) for values in text.padded(texts, length).values()]


def test_it_computes_what_the_reference_computes(encoder: minilm.Encoder) -> None:
    from transformers import BertModel

    reference = BertModel.from_pretrained(text.weights_dir()).eval()
    ids, mask = tensors(text.messages()[::40])
    with torch.inference_mode():
        hidden = reference(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        expected = torch.nn.functional.normalize(mean, dim=1)
        assert torch.allclose(encoder(ids, mask), expected, atol=1e-5)


def test_vectors_have_length_one_and_like_texts_lie_together(encoder: minilm.Encoder) -> None:
    with torch.inference_mode():
        vectors = encoder(*tensors(["Where is my parcel?", "My package has not arrived.", "I love this song."]))
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_the_mask_hides_padding_and_its_absence_shows(encoder: minilm.Encoder) -> None:
    with torch.inference_mode():
        short = encoder(*tensors(["Where is my parcel?"]))
        ids, mask = tensors(["Where is my parcel?"], length=64)
        assert torch.allclose(encoder(ids, mask), short, atol=1e-5)
        assert not torch.allclose(encoder(ids, torch.ones_like(mask)), short, atol=1e-2)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    with pytest.raises(minilm.WeightsError, match=r"not the published model: SHA-256 .*expected 53aa51172d14"):
        minilm.load_encoder(tmp_path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(minilm.WeightsError, match=r"model\.safetensors: No such file"):
        minilm.load_encoder(tmp_path)
