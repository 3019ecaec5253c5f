"""ResNet-50's weights and network in torch, and its export to ONNX: what `batchlab.vision` builds with.

Source of network and weights: torchvision, ``resnet50`` with ``ResNet50_Weights.IMAGENET1K_V2``.
"""

import os
import socket
import tempfile
import threading
import urllib.request
import warnings
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import numpy as np
import torch
from torchvision import models

from batchlab import vision
from batchlab.vision import VisionError

WEIGHTS = models.ResNet50_Weights.IMAGENET1K_V2
OPSET = 18
IR_VERSION = 10  # the newest that the ONNX Runtime of 2024's Triton images reads
TOLERANCE = (
    1e-3  # of a score; ImageNet's lie between about -3 and 10, float32 sums in another order differ by some 1e-5
)
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0
SEED = 50


class ResNet50(torch.nn.Module):
    """ResNet-50 that takes images as they come: uint8, ``(n, 224, 224, 3)``; floats are taken as normalised already.

    `body` may be of half precision. Images are normalised in single precision all the same: rounded means and
    deviations would double the error of the rounding itself.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, body: torch.nn.Module) -> None:
        super().__init__()
        self.body = body
        preset = WEIGHTS.transforms()
        self.register_buffer("mean", 255 * torch.tensor(preset.mean))
        self.register_buffer("deviation", 255 * torch.tensor(preset.std))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return scores, shape ``(n, 1000)``."""
        if image.dtype == torch.uint8:
            image = ((image.float() - self.mean) / self.deviation).permute(0, 3, 1, 2)
        dtype = next((weights.dtype for weights in self.body.parameters()), image.dtype)
        return self.body(image.to(dtype))


def torch_version() -> str:
    """Return the version of torch in use."""
    return str(torch.__version__)


def network(weights: Path | None = None, random: bool = False) -> ResNet50:
    """Return the network in evaluation mode; see `batchlab.vision.torch_model`.

    Args:
        weights: a file with a state dict.
        random: without a file, take the seeded random weights even where ImageNet's could be had.
    """
    if weights is None and not random:
        weights = imagenet_weights()
    if weights is None:
        return _random_network()
    body = models.resnet50(weights=None)
    try:
        body.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:
        # torch raises a type of its own for each kind of damage.
        reason = str(error).splitlines()[0]
        raise VisionError(f"{weights} does not hold ResNet-50's weights: {reason}. Delete it and try again.") from error
    return ResNet50(body).eval()


def _random_network() -> ResNet50:
    """Return a network of seeded random weights whose activations stay in range, so that FP16 and INT8 hold too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        made = ResNet50(models.resnet50(weights=None))
    # Untrained batch normalisation would pass everything on and each block would add to the last: the scores would run
    # to thousands. One look at the photographs gives it the statistics of what it sees.
    norms = [module for module in made.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        made.train()(torch.from_numpy(vision.photographs()[1]))
    for norm in norms:
        norm.momentum = 0.1
    return made.eval()


def imagenet_weights() -> Path | None:
    """Return the file of ImageNet's weights, fetched once into torch's own cache; or warn and return None."""
    url = WEIGHTS.url
    target = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if target.is_file() and _is_whole(target):
        return target
    try:
        if os.environ.get("BATCHLAB_OFFLINE", "0") not in ("", "0"):
            raise OSError("BATCHLAB_OFFLINE is set")
        _fetch(url, target)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        print(
            f"ResNet-50: WARNING: no weights from {urlparse(url).hostname} ({reason}), so they are random: "
            "speed is real, labels mean nothing. "
            "Once online: python -c 'from batchlab import vision; vision.build(force=True)'",
            flush=True,
        )
        return None
    return target


def _is_whole(path: Path) -> bool:
    # torchvision names a file after the first digits of its SHA-256: resnet50-11ad3fa6.pth.
    return vision.sha256(path).startswith(path.stem.rpartition("-")[2])


def _fetch(url: str, target: Path) -> None:
    """Download `url` to `target`, whole or not at all.

    Raises:
        OSError: no network, no answer in time, or not the file that was asked for.
    """
    if not urllib.request.getproxies():
        _reach(urlparse(url).hostname or "", urlparse(url).port or 443)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        urllib.request.urlopen(url, timeout=READ_TIMEOUT_S) as answer,
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch,
    ):
        size = int(answer.headers.get("Content-Length") or 0)
        print(f"ResNet-50: fetching ImageNet's weights, once ({size / 1e6:.0f} MB) ...", flush=True)
        part = Path(scratch) / target.name
        with part.open("wb") as stream:
            while block := answer.read(1 << 20):
                stream.write(block)
        if not _is_whole(part):
            raise OSError("the file that came is not the one asked for")
        part.replace(target)


def _reach(host: str, port: int) -> None:
    """Find out within `CONNECT_TIMEOUT_S` whether a host answers: looking up its name alone may hang for longer."""
    outcome: list[OSError | None] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_TIMEOUT_S)
    if not outcome:
        raise TimeoutError(f"no answer in {CONNECT_TIMEOUT_S:g} s")
    if outcome[0] is not None:
        raise outcome[0]


def make(path: Path) -> tuple[Literal["imagenet", "random"], float]:
    """Export the network to `path` and hold it against torch.

    Returns:
        Which weights it has, and the largest difference of a score on the photographs.

    Raises:
        VisionError: the exported network computes something else.
    """
    weights = imagenet_weights()
    made = network(weights, random=weights is None)
    export(made, path)
    return ("random" if weights is None else "imagenet"), check(made, path)


def export(made: ResNet50, path: Path) -> None:
    """Write the network as ONNX: ``image`` uint8 ``(batch, 224, 224, 3)`` -> ``scores`` ``(batch, 1000)``.

    Raises:
        VisionError: torch wrote a version of ONNX that Triton's ONNX Runtime does not read.
    """
    example = torch.zeros((2, vision.SIDE, vision.SIDE, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program: Any = torch.onnx.export(
            made,
            (example,),
            input_names=["image"],
            output_names=["scores"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None or program.model.ir_version > IR_VERSION:
        raise VisionError(f"torch.onnx did not write ONNX of IR version {IR_VERSION} or lower. Pin torch as required.")
    for node in program.model.graph:
        node.metadata_props.clear()  # stack traces of the machine that built it
    program.save(str(path))


def check(made: ResNet50, path: Path) -> float:
    """Return the largest difference of a score between ONNX Runtime and torch, on the photographs and on one alone.

    Raises:
        VisionError: it is above `TOLERANCE`, or a score is not a number.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    _names, pixels = vision.photographs()
    with torch.inference_mode():
        expected = made(torch.from_numpy(pixels)).numpy()
    together = session.run(["scores"], {"image": pixels})[0]
    alone = session.run(["scores"], {"image": pixels[:1]})[0]
    difference = float(max(np.abs(together - expected).max(), np.abs(alone - expected[:1]).max()))
    if not difference <= TOLERANCE:  # so that NaN fails too
        raise VisionError(
            f"The exported ResNet-50 and torch differ by {difference:.2g} in a score; {TOLERANCE:g} is allowed. "
            "Pin torch and onnxruntime as required."
        )
    return difference
