"""How other servers want to be asked: presets, templates, and what is refused."""

import pytest

from batchlab import protocol
from batchlab.protocol import Protocol, ProtocolError


def test_every_preset_posts_to_its_own_path():
    paths = {preset.name: preset.path for preset in protocol.PRESETS if preset.path}
    assert paths == {
        "torchserve": "/predictions/$model",
        "litserve": "/predict",
        "mosec": "/inference",
        "tfserving": "/v1/models/$model:predict",
    }
    assert protocol.named("torchserve").path_of("a model/b") == "/predictions/a%20model%2Fb"
    assert protocol.named("tfserving").body_of("m", 3) == b'{"instances": [[3]]}'


def test_an_unknown_protocol_is_named_with_its_neighbour():
    with pytest.raises(ProtocolError, match=r"No protocol is called 'mosek'.*mosec"):
        protocol.named("mosek")


def test_a_protocol_without_a_path_asks_for_one():
    general = protocol.named("http")
    with pytest.raises(ProtocolError, match="say where to post"):
        general.path_of("m")
    assert general.changed(path="/classify").path_of("m") == "/classify"


def test_changes_replace_headers_whatever_their_case():
    changed = protocol.named("mosec").changed(body="x $model", headers={"content-type": "text/plain", "X-Key": "1"})
    assert changed.headers == (("content-type", "text/plain"), ("X-Key", "1"))
    assert changed.body_of("m") == b"x m"
    assert changed.path == "/inference"
    assert protocol.named("mosec").changed(body="").body_of("m") == b""


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"path": "predict"}, "must begin with '/'"),
        ({"path": "/a b"}, "no blanks"),
        ({"headers": (("X", "1\r\nHost: evil"),)}, "is none"),
        ({"headers": ((" ", "1"),)}, "Name: value"),
    ],
)
def test_what_would_break_a_request_is_refused(values, words):
    with pytest.raises(ProtocolError, match=words):
        Protocol("mine", **values)


def test_garbage_is_what_should_be_json_and_is_not():
    assert "no JSON" in protocol.named("litserve").problem(b"<html>")
    assert protocol.named("litserve").problem(b'{"a": 1}') == ""
    assert protocol.named("http").problem(b"<html>") == ""
