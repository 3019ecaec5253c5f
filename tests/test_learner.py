"""A learner's client against a hub that refuses. What works is proven at a real hub, in test_workshop."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from batchlab.learner import Learner, LearnerError


class Refusing(http.server.BaseHTTPRequestHandler):
    """A hub with a login form that admits nobody."""

    def do_GET(self) -> None:
        self._say(200, '<form><input type="hidden" name="_xsrf" value="token"></form>')

    def do_POST(self) -> None:
        self._say(403, "Invalid username or password")

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_refused_login_is_one_sentence(hub: str) -> None:
    with pytest.raises(LearnerError, match=r"learner1 was not let in \(status 403\)"):
        Learner(hub, "learner1", "wrong-password")


def test_a_password_is_not_shown(hub: str) -> None:
    learner = Learner.__new__(Learner)
    learner.hub, learner.name, learner.password, learner.token = hub, "a", "secret-word", "secret-token"
    assert "secret" not in repr(learner)
