"""Training, export and the proof of the built network."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from batchlab import minilm, text, text_model


@pytest.fixture(scope="module")
def made() -> text_model.Built:
    return text_model.build()


@pytest.fixture(scope="module")
def session(made: text_model.Built) -> onnxruntime.InferenceSession:
    return text_model.open_session()


@pytest.fixture
def copied(made: text_model.Built, tmp_path: Path) -> Path:
    """A repository with the built files in it."""
    for path in (text.model_path, text_model.sidecar_path, text.tokenizer_path):
        path(tmp_path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path(), path(tmp_path))
    return tmp_path


def test_held_out_accuracy_of_the_built_file_is_what_its_record_says(
    made: text_model.Built, session: onnxruntime.InferenceSession
) -> None:
    assert text_model.held_out(session) == (made.held_out_right, made.held_out)
    assert made.held_out == len(text.messages("test"))
    assert made.accuracy > 0.8


def test_padding_does_not_change_an_answer(session: onnxruntime.InferenceSession) -> None:
    texts = text.messages("test")[:8]
    alone = np.concatenate([text_model.scores(session, [one]) for one in texts])
    for length in (None, 64, text.MAX_TOKENS):
        assert np.abs(text_model.scores(session, texts, length) - alone).max() < text_model.TOLERANCE


def test_scores_are_probabilities_at_every_batch_and_length(session: onnxruntime.InferenceSession) -> None:
    for texts in (["hi"], text.messages()[:5], ["word " * 1000, "hi"]):
        scores = text_model.scores(session, texts)
        assert scores.shape == (len(texts), len(text.LABELS))
        assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)
        assert (scores >= 0).all()


def test_the_file_is_one_that_triton_of_2024_reads(made: text_model.Built) -> None:
    model = onnx.load(text.model_path())
    assert model.ir_version <= text_model.IR_VERSION
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", text_model.OPSET)]
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes["input_ids"] == shapes["attention_mask"]
    assert all(isinstance(axis, str) for axis in shapes["input_ids"])
    assert shapes["scores"] == [shapes["input_ids"][0], len(text.LABELS)]
    # The same bytes wherever the project lies.
    assert b"minilm.py" not in text.model_path().read_bytes()


def test_a_complete_repository_is_left_alone(copied: Path, made: text_model.Built, monkeypatch: Any) -> None:
    monkeypatch.setattr(text_model, "train", pytest.fail)
    assert text_model.build(copied) == made


@pytest.mark.parametrize("damage", ["model cut short", "model gone", "record gone", "record cut short", "old recipe"])
def test_damage_is_seen(copied: Path, damage: str) -> None:
    assert text_model.built(copied) is not None
    model, record = text.model_path(copied), text_model.sidecar_path(copied)
    if damage == "model cut short":
        with model.open("r+b") as stream:
            stream.truncate(1000)
    elif damage == "record cut short":
        record.write_text(record.read_text()[:40])
    elif damage == "old recipe":
        record.write_text(json.dumps({**json.loads(record.read_text()), "recipe": "another"}))
    else:
        (model if damage == "model gone" else record).unlink()
    assert text_model.built(copied) is None


def test_a_damaged_network_is_built_anew_to_the_same_bytes(copied: Path, made: text_model.Built) -> None:
    text.model_path(copied).write_bytes(b"cut short")
    assert text_model.build(copied) == made
    assert text_model.built(copied) == made


def test_a_damaged_tokeniser_is_replaced(copied: Path) -> None:
    text.tokenizer_path(copied).write_text("{")
    text_model.build(copied)
    assert text.tokenizer_path(copied).read_bytes() == text.tokenizer_path().read_bytes()


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), text_model.BuildError("differ")])
def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: Any, failure: Exception) -> None:
    def fail(network: Any, path: Path) -> None:
        path.write_bytes(b"half a network")
        raise failure

    monkeypatch.setattr(text_model, "train", lambda encoder: None)
    monkeypatch.setattr(text_model, "_export", fail)
    with pytest.raises(text_model.BuildError, match=r"No space left.*200 MB|differ"):
        text_model.build(tmp_path)
    assert list(text.model_path(tmp_path).parent.iterdir()) == []


def test_a_network_that_computes_something_else_is_refused(session: onnxruntime.InferenceSession) -> None:
    import torch

    other = minilm.Classifier(minilm.load_encoder(), torch.zeros(len(text.LABELS), minilm.WIDTH), torch.zeros(6))
    with pytest.raises(text_model.BuildError, match="exported network and torch differ"):
        text_model.check(session, other.eval())


def test_the_command_prints_the_held_out_accuracy(made: text_model.Built, capsys: pytest.CaptureFixture[str]) -> None:
    assert text_model.main([]) == 0
    assert f"held-out accuracy {made.accuracy:.3f} ({made.held_out_right} of {made.held_out}" in capsys.readouterr().out
