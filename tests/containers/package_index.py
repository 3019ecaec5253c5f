"""The package index of this machine, as a build in a container reaches it: a pip.conf, folders served on loopback."""

import configparser
import functools
import io
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"  # of the stand-in image, a copy of the machine's
PLACES = ("index-url", "extra-index-url", "find-links")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


def settings() -> dict[str, list[str]]:
    """Return where this machine's pip looks for packages, by setting; the environment goes before files."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    told = dict(re.findall(r"^(?:global|install)\.([\w-]+)='(.*)'$", listed.stdout, re.M))
    chosen = {name: os.environ.get(f"PIP_{name.replace('-', '_').upper()}", told.get(name, "")) for name in PLACES}
    return {name: places.replace("\\n", " ").split() for name, places in chosen.items() if places}


def torch_for_processors() -> str:
    """Return a requirement such as ``torch==2.13.0+cpu`` that a folder of this machine can fulfil, or ``""``."""
    folders = [_folder(place) for place in settings().get("find-links", ())]
    wheels = [wheel.name for folder in folders if folder for wheel in folder.glob("torch-*+cpu-cp311-*x86_64.whl")]
    return f"torch=={sorted(wheels)[-1].split('-')[1]}" if wheels else ""


@contextmanager
def reachable(*, any_python: bool) -> Iterator[str]:
    """Serve the folders among the machine's places on loopback, and yield a pip.conf that names them so.

    Args:
        any_python: whether pip installs what asks for another Python, too. The stand-in for the lab image needs that:
            its Python is Debian's 3.11.2, and some pins ask for 3.11.5, which the real image has.
    """
    servers: list[ThreadingHTTPServer] = []

    def place(told: str) -> str:
        folder = _folder(told)
        if folder is None:
            return told
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder.parent)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/{folder.name}/"

    written = configparser.ConfigParser(interpolation=None)
    told = {name: " ".join(map(place, places)) for name, places in settings().items()}
    written["global"] = {**told, "cert": CERTIFICATES, "timeout": "60", "retries": "3", "no-cache-dir": "true"}
    if any_python:
        written["install"] = {"ignore-requires-python": "true"}
    text = io.StringIO()
    written.write(text)
    try:
        yield text.getvalue()
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def _folder(place: str) -> Path | None:
    """Return the folder that a place means; None for one on the network."""
    parts = urlparse(place)
    if parts.scheme not in ("", "file"):
        return None
    return Path(unquote(parts.path))
