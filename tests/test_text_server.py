"""The text classifier on a real Triton: text in, label and score out, in batches."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchlab import server, text, text_model
from batchlab.server import Server, ServerError

pytestmark = [pytest.mark.server, pytest.mark.alone]


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text_model.build()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHLAB_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("BATCHLAB_URL", raising=False)
        with server.start(["text_classifier"], reuse=False) as started:
            yield started


def ask(triton: Server, texts: list[str]) -> dict[str, Any]:
    return triton.infer("text_classifier", text.as_input(texts), timeout_s=60)


def test_the_first_request_loads_the_encoder_where_nobody_has(triton: Server) -> None:
    if "text_encoder" in triton.loaded():
        triton.unload("text_encoder")
    assert ask(triton, ["Where is my parcel?"])["label"].tolist() == [[b"delivery"]]
    assert triton.loaded() == ["text_classifier", "text_encoder"]


def test_answers_are_those_of_the_built_network(triton: Server) -> None:
    texts = text.messages("test")[::3]
    answer = ask(triton, texts)
    expected = text_model.scores(text_model.open_session(), texts)
    assert [label.decode() for label in answer["label"][:, 0]] == [text.LABELS[i] for i in expected.argmax(axis=1)]
    assert np.allclose(answer["score"][:, 0], expected.max(axis=1), atol=text_model.TOLERANCE)


def test_each_answer_tells_its_own_length_and_that_of_its_batch(triton: Server) -> None:
    texts = ["hi", "Where is my parcel?", "word " * 1000]
    answer = ask(triton, texts)
    assert answer["tokens"][:, 0].tolist() == text.token_counts(texts).tolist()
    assert answer["padded_to"][:, 0].tolist() == [text.MAX_TOKENS] * 3


def test_the_encoder_serves_token_ids_of_any_length(triton: Server) -> None:
    texts = text.messages()[:3]
    for length in (64, 128):
        scores = triton.infer("text_encoder", text.padded(texts, length))["scores"]
        assert np.allclose(scores, text_model.scores(text_model.open_session(), texts), atol=text_model.TOLERANCE)


def test_texts_of_any_length_share_a_batch_and_a_bad_one_fails_alone(triton: Server) -> None:
    texts = ["hi", "Where is my parcel?", " ", "I was charged twice for the same pair of boots."]
    # So long a wait, and a batch that is full at four: all that are sent together must meet.
    triton.reconfigure("text_classifier", max_batch_size=4, max_queue_delay_microseconds=5_000_000)
    before = triton.statistics("text_classifier")

    def attempt(one: str) -> dict[str, Any] | str:
        try:
            return ask(triton, [one])
        except ServerError as error:
            return str(error)

    with ThreadPoolExecutor(len(texts)) as pool:
        answers = list(pool.map(attempt, texts))
    activity = triton.statistics("text_classifier") - before
    triton.reconfigure("text_classifier", max_batch_size=32, max_queue_delay_microseconds=5000)
    refused = answers.pop(2)
    assert isinstance(refused, str)
    assert "'text' is blank" in refused
    good = [answer for answer in answers if isinstance(answer, dict)]
    assert len(good) == 3
    longest = int(text.token_counts(texts).max())
    assert [int(answer["padded_to"].item()) for answer in good] == [longest] * 3
    assert list(activity.batches) == [4]


def test_bytes_that_are_not_utf8_are_refused(triton: Server) -> None:
    with pytest.raises(ServerError, match="'text' is not UTF-8"):
        triton.infer("text_classifier", {"text": np.array([[b"\xff\xfe"]], dtype=object)})


def test_an_encoder_that_was_never_built_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BATCHLAB_URL", raising=False)
    repository = tmp_path / "repository"
    for model in text.MODELS:
        (repository / model / "1").mkdir(parents=True)
        (repository / model / "config.pbtxt").write_bytes(
            (text.model_path().parents[2] / model / "config.pbtxt").read_bytes()
        )
    for name in ("model.py", "tokenizer.json"):
        source = text.tokenizer_path().with_name(name)
        (repository / "text_classifier" / "1" / name).write_bytes(source.read_bytes())
    with (
        server.start(["text_classifier"], repository=repository, reuse=False) as started,
        pytest.raises(ServerError, match=r"needs text_encoder.*model\.onnx is missing"),
    ):
        ask(started, ["hi"])
