"""How a server wants to be asked: the path, the headers and the body of a request to a server that is no Triton.

Every such protocol is HTTP POST with something in it, so one description serves all, and the known servers are
presets of it. Triton's own, KServe v2, is not here: `batchlab.inputs` makes its bodies from the model's metadata.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from string import Template
from urllib.parse import quote

from batchlab.pbtxt import nearest

KSERVE = "kserve"
JSON_HEADERS = (("Content-Type", "application/json"),)


class ProtocolError(ValueError):
    """A protocol that does not exist, or one that lacks what a request needs."""


@dataclass(frozen=True)
class Protocol:
    """A way to ask a server.

    Attributes:
        name: what it is called on the command line.
        path: where requests are posted; ``$model`` stands for the model's name.
        body: what is posted, as text; ``$model`` likewise, ``$size`` for the size that a schedule gives a request.
        headers: beside length, host and connection, ``(name, value)`` pairs.
        json_answers: whether an answer that is no JSON is garbage.
        source: where the server's own documents say so.
    """

    name: str
    path: str = ""
    body: str = ""
    headers: tuple[tuple[str, str], ...] = JSON_HEADERS
    json_answers: bool = True
    source: str = ""

    def __post_init__(self) -> None:
        """Check what would break a request.

        Raises:
            ProtocolError: a path that does not begin with "/", or a line break in path or headers.
        """
        if self.path and (not self.path.startswith("/") or any(sign.isspace() for sign in self.path)):
            raise ProtocolError(f"The path {self.path!r} must begin with '/' and hold no blanks, such as /predict.")
        for name, value in self.headers:
            if not name.strip() or any(sign in name + value for sign in "\r\n") or not (name + value).isascii():
                raise ProtocolError(f"The header {name!r}: {value!r} is none. Write it as 'Name: value' on one line.")

    def changed(
        self, *, path: str = "", body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> "Protocol":
        """Return it with another path or body, and with more headers; a name given again replaces the earlier one."""
        merged = {name.lower(): (name, value) for name, value in self.headers}
        merged |= {name.lower(): (name, value) for name, value in (headers or {}).items()}
        return replace(
            self,
            path=path or self.path,
            body=self.body if body is None else body,
            headers=tuple(merged.values()),
        )

    def path_of(self, model: str) -> str:
        """Return where requests for a model are posted.

        Raises:
            ProtocolError: the protocol has no path of its own and none was given.
        """
        if not self.path:
            raise ProtocolError(f"The protocol {self.name!r} has no path of its own: say where to post, with path.")
        return Template(self.path).safe_substitute(model=quote(model, safe=""))

    def body_of(self, model: str, size: int = 1) -> bytes:
        """Return the body of a request."""
        return Template(self.body).safe_substitute(model=model, size=size).encode()

    def problem(self, answer: bytes) -> str:
        """Return why an answer with a good status is garbage all the same; "" where it is none."""
        if not self.json_answers:
            return ""
        try:
            json.loads(answer)
        except ValueError:
            return f"it answers {answer[:40]!r}, which is no JSON"
        return ""


ITEM = '{"item": $size}'

# Each body suits the played model of `batchlab.handlers`; another model needs one of its own.
PRESETS = (
    Protocol(
        "torchserve",
        "/predictions/$model",
        ITEM,
        source="https://pytorch.org/serve/inference_api.html, section Predictions API",
    ),
    Protocol("litserve", "/predict", ITEM, source="https://lightning.ai/docs/litserve, LitAPI's api_path"),
    Protocol("mosec", "/inference", ITEM, source="https://mosecorg.github.io/mosec, route of Server.append_worker"),
    Protocol(
        "tfserving",
        "/v1/models/$model:predict",
        '{"instances": [[$size]]}',
        source="https://www.tensorflow.org/tfx/serving/api_rest, section Predict API",
    ),
    Protocol("http", json_answers=False, source="any server that takes a POST"),
)


def named(name: str) -> Protocol:
    """Return a preset.

    Raises:
        ProtocolError: no such protocol; the message names the nearest.
    """
    for preset in PRESETS:
        if preset.name == name:
            return preset
    names = [preset.name for preset in PRESETS]
    raise ProtocolError(f"No protocol is called {name!r}. {nearest(name, names)}")
