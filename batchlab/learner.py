"""A learner at a JupyterHub, without a browser: logs in, starts the server, runs cells. For trials of a room.

Speaks what a browser speaks: the login form, the hub's REST API, and Jupyter's messages over a WebSocket.
"""

import json
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import requests
import websocket

TIMEOUT_S = 30.0
TOO_MANY_REQUESTS = 429
RETRY_S = 5.0


class LearnerError(RuntimeError):
    """The hub or the server refused; the message says what and with which status."""


@dataclass(frozen=True)
class Ran:
    """What became of one cell.

    Attributes:
        text: everything it printed or showed as text.
        error: name and message of the error that ended it, empty when it ran to its end.
        seconds: from sending it to its end.
    """

    text: str
    error: str
    seconds: float


@dataclass
class Learner:
    """One learner's session with a hub.

    Args:
        hub: address of the front door, ``http://127.0.0.1:8000``.
        name: the account.
        password: its password.

    Raises:
        LearnerError: the hub does not let them in.
    """

    hub: str
    name: str
    password: str = field(repr=False)
    token: str = field(default="", init=False, repr=False)
    session: requests.Session = field(default_factory=requests.Session, init=False, repr=False)

    def __post_init__(self) -> None:
        form = self.session.get(f"{self.hub}/hub/login", timeout=TIMEOUT_S)
        match = re.search(r'name="_xsrf" value="([^"]+)"', form.text)
        xsrf = match[1] if match else self.session.cookies.get("_xsrf", path="/hub/") or ""
        answers = {"username": self.name, "password": self.password, "_xsrf": xsrf}
        # The hub sends a logged-in learner on to their server; we start it ourselves.
        logged_in = self.session.post(f"{self.hub}/hub/login", data=answers, allow_redirects=False, timeout=TIMEOUT_S)
        if logged_in.status_code != 302:
            raise LearnerError(f"{self.name} was not let in (status {logged_in.status_code}).")
        home = self.session.get(f"{self.hub}/hub/token", timeout=TIMEOUT_S)
        match = re.search(r'xsrf_token: "([^"]+)"', home.text)
        made = self.session.post(
            f"{self.hub}/hub/api/users/{self.name}/tokens",
            json={"note": "trial", "expires_in": 7200},
            headers={"X-XSRFToken": match[1] if match else "", "Referer": f"{self.hub}/hub/token"},
            timeout=TIMEOUT_S,
        )
        self.token = _checked(made, "make a token").json()["token"]

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send one request with the learner's token to a path of the hub or of a server, and return the answer."""
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(method, f"{self.hub}{path}", headers=headers, timeout=TIMEOUT_S, **options)

    def start_server(self, within_s: float = 180) -> None:
        """Start the learner's own Jupyter server and wait until it answers.

        Where others start theirs at the same moment, the hub says when to try again, and the learner does.

        Raises:
            LearnerError: refused, for example because the room is full, or too late.
        """
        deadline = time.monotonic() + within_s
        while (started := self.call("POST", f"/hub/api/users/{self.name}/server")).status_code == TOO_MANY_REQUESTS:
            wait_s = float(started.headers.get("Retry-After", RETRY_S))
            if time.monotonic() + wait_s > deadline:
                break
            time.sleep(wait_s)
        _checked(started, "start a server")
        while time.monotonic() < deadline:
            servers = _checked(self.call("GET", f"/hub/api/users/{self.name}"), "look at the server").json()["servers"]
            if servers.get("", {}).get("ready"):
                return
            time.sleep(0.5)
        raise LearnerError(f"The server of {self.name} was not ready within {within_s:.0f} s.")

    def stop_server(self) -> None:
        """End the learner's server."""
        _checked(self.call("DELETE", f"/hub/api/users/{self.name}/server"), "end the server")

    def kernel(self) -> "Kernel":
        """Start a kernel.

        Raises:
            LearnerError: the server refused.
        """
        started = self.call("POST", f"/user/{self.name}/api/kernels", json={"name": "python3"})
        return Kernel(self, _checked(started, "start a kernel").json()["id"])


class Kernel:
    """A running kernel of a learner."""

    def __init__(self, learner: Learner, kernel_id: str) -> None:
        self.kernel_id = kernel_id
        self._learner = learner
        address = f"{learner.hub.replace('http', 'ws', 1)}/user/{learner.name}/api/kernels/{kernel_id}/channels"
        self._socket = websocket.create_connection(
            address, header=[f"Authorization: token {learner.token}"], timeout=TIMEOUT_S
        )

    def run(self, code: str, within_s: float = 60) -> Ran:
        """Run one cell to its end.

        Raises:
            LearnerError: it did not end in time, or the connection broke.
        """
        message_id = uuid.uuid4().hex
        header = {"msg_id": message_id, "msg_type": "execute_request", "username": "", "session": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        began = time.monotonic()
        texts, error = [], ""
        try:
            self._socket.send(json.dumps(message))
            while True:
                self._socket.settimeout(max(0.1, began + within_s - time.monotonic()))
                answer = json.loads(self._socket.recv())
                if answer.get("parent_header", {}).get("msg_id") != message_id:
                    continue
                kind, said = answer["msg_type"], answer["content"]
                if kind == "stream":
                    texts.append(said["text"])
                elif kind in ("execute_result", "display_data"):
                    texts.append(str(said["data"].get("text/plain", "")) + "\n")
                elif kind == "error":
                    error = f"{said['ename']}: {said['evalue']}"
                elif kind == "status" and said["execution_state"] == "idle":
                    return Ran("".join(texts), error, time.monotonic() - began)
        except websocket.WebSocketTimeoutException:
            raise LearnerError(f"A cell of {self._learner.name} did not end within {within_s:.0f} s.") from None
        except (websocket.WebSocketException, OSError) as broken:
            raise LearnerError(f"The connection of {self._learner.name} to the kernel broke: {broken}") from broken

    def close(self) -> None:
        """Close the connection and end the kernel."""
        self._socket.close()
        self._learner.call("DELETE", f"/user/{self._learner.name}/api/kernels/{self.kernel_id}")


def _checked(answer: requests.Response, deed: str) -> requests.Response:
    if answer.status_code >= 400:
        raise LearnerError(f"The hub refused to {deed}: status {answer.status_code}, {answer.text[:300]}")
    return answer
