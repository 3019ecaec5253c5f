"""The networks of lab 06: what they are fed with, and that exam and lessons never meet."""

from pathlib import Path

import numpy as np
import pytest

from batchlab import networks, text, text_model
from batchlab.networks import NetworkError


def test_the_exam_is_the_held_out_messages() -> None:
    feed, right = networks.exam()
    asked = [message for message in text.read_messages() if message.split == "test"]
    assert feed["input_ids"].shape[0] == len(right) == len(asked)
    assert [text.LABELS[i] for i in right] == [message.label for message in asked]


def test_lessons_are_training_messages_of_every_class() -> None:
    lessons = networks.text_encoder().lessons()
    known = {message.text: message for message in text.read_messages() if message.split == "train"}
    by_ids = {tuple(text.padded([one])["input_ids"][0]): message.label for one, message in known.items()}
    labels = [by_ids[tuple(lesson["input_ids"][0])] for lesson in lessons]
    assert len(lessons) >= networks.LESSONS
    assert set(labels) == set(text.LABELS)


@pytest.mark.parametrize("batch", [1, 8, 100])
def test_timed_texts_all_have_one_length(batch: int) -> None:
    feed = networks.text_feed(batch)
    assert feed["input_ids"].shape == feed["attention_mask"].shape == (batch, networks.TOKENS)
    assert feed["attention_mask"].sum(axis=1).min() > 2


def test_views_differ_and_are_the_same_for_the_same_seed() -> None:
    views = networks.views(6, seed=1)
    assert views.shape == (6, 224, 224, 3)
    assert views.dtype == np.uint8
    assert np.array_equal(views, networks.views(6, seed=1))
    assert not np.array_equal(views, networks.views(6, seed=2))
    assert len({view.tobytes() for view in views}) == 6


def test_torch_and_file_hold_the_same_network() -> None:
    import torch

    text_model.build()
    network = networks.text_encoder()
    feed = network.feed(4)
    with torch.inference_mode():
        in_torch = network.module()(*map(torch.from_numpy, feed.values())).numpy()
    in_file = text_model.open_session(network.path).run([network.output], dict(feed))[0]
    assert np.allclose(in_torch, in_file, atol=text_model.TOLERANCE)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="make lab"):
        networks.resnet50(tmp_path).found()
    with pytest.raises(NetworkError, match="at least one text"):
        networks.text_feed(0)
