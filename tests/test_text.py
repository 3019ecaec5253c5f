"""The messages, their tokens, and the committed configurations of the text models."""

import ast
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from batchlab import repository, text, workspace


def test_every_class_has_the_same_number_of_messages_and_a_fixed_quarter_is_held_out() -> None:
    counts = Counter((message.label, message.split) for message in text.read_messages())
    assert {label for label, _ in counts} == set(text.LABELS)
    assert len({counts[label, "train"] for label in text.LABELS}) == 1
    assert all(3 * counts[label, "test"] == counts[label, "train"] for label in text.LABELS)
    assert counts.total() >= 300


def test_no_message_is_said_twice() -> None:
    plain = ["".join(filter(str.isalnum, one.lower())) for one in text.messages()]
    assert not [one for one, times in Counter(plain).items() if times > 1]


def test_lengths_vary_within_both_splits() -> None:
    for split in text.SPLITS:
        words = np.array([len(one.split()) for one in text.messages(split)])
        assert words.min() <= 3
        assert words.max() >= 40
        assert np.mean(words >= 30) > 0.1


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(text.TextError, match=r"'dev'.*train, test"):
        text.messages("dev")


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("label,text\n", "line 1: expected the header"),
        ("split,label,text\ntrain,billing,I paid, twice\n", "line 2: expected 3 columns, found 4"),
        ("split,label,text\ntrain,billing,fine\ntrain,weather,rain\n", "line 3: split must be"),
        ("split,label,text\ntrain,billing,  \n", "line 2: .*text not empty"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, lines: str, complaint: str) -> None:
    path = tmp_path / "messages.csv"
    path.write_text(lines)
    with pytest.raises(text.TextError, match=complaint):
        text.read_messages(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(text.TextError, match=r"none\.csv: No such file"):
        text.read_messages(tmp_path / "none.csv")


def test_a_sample_depends_on_its_seed_alone() -> None:
    assert text.sample(50, seed=7) == text.sample(50, seed=7)
    assert text.sample(50, seed=7) != text.sample(50, seed=8)
    assert set(text.sample(50, seed=7)) <= set(text.messages())
    assert text.sample(0, seed=7) == []
    with pytest.raises(text.TextError, match="-1"):
        text.sample(-1, seed=7)


def test_input_of_the_classifier_is_bytes_one_a_row() -> None:
    batch = text.as_input(["Grüße", "hi"])["text"]
    assert batch.shape == (2, 1)
    assert batch[0, 0].decode() == "Grüße"
    assert text.as_input([])["text"].shape == (0, 1)


def test_tokens_are_counted_without_padding_and_cut_at_the_limit() -> None:
    counts = text.token_counts(["hi", "hi there", "word " * 1000])
    assert counts.tolist() == [3, 4, text.MAX_TOKENS]
    every = text.token_counts()
    assert len(every) == len(text.messages())
    assert every.max() > 2 * np.median(every)
    assert every.max() < text.MAX_TOKENS


def test_padding_goes_behind_the_text_and_is_masked() -> None:
    batch = text.padded(["hi", "hi there friend"])
    assert batch["input_ids"].shape == (2, 5)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch["input_ids"][0, 3:].tolist() == [0, 0]
    wide = text.padded(["hi"], length=16)
    assert wide["input_ids"].shape == (1, 16)
    assert wide["attention_mask"].sum() == 3


def test_an_empty_batch_and_a_text_too_long_for_its_bucket_are_refused() -> None:
    with pytest.raises(text.TextError, match="empty batch"):
        text.padded([])
    with pytest.raises(text.TextError, match="5 tokens does not fit into 4"):
        text.padded(["hi", "hi there friend"], length=4)


def test_committed_configurations_are_those_the_code_renders() -> None:
    assert [config.name for config in text.configs()] == list(text.MODELS)
    for config in text.configs():
        assert (workspace.repository_dir() / config.name / "config.pbtxt").read_text() == config.to_pbtxt()
        assert repository.difference(repository.read(config.name), config) == []


def test_the_classifier_starts_where_the_lab_starts() -> None:
    classifier = text.configs()[1]
    assert classifier.max_batch_size == 32
    assert classifier.dynamic_batching is not None
    assert classifier.dynamic_batching.max_queue_delay_microseconds == 5000
    assert classifier.parameters["labels"].split(",") == list(text.LABELS)


def test_the_served_model_needs_nothing_that_a_triton_image_lacks() -> None:
    tree = ast.parse((workspace.repository_dir() / "text_classifier" / "1" / "model.py").read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert named == {"json", "pathlib", "numpy", "triton_python_backend_utils", "tokenizers"}
