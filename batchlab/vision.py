"""ResNet-50 as the labs use it: photographs to send, labels to read, and the built network to serve.

What takes torch lives in `batchlab.resnet` and is imported only when something has to be built: a notebook that finds
its model built waits for nothing.

Built, never committed: ``triton_repo/resnet50/1/model.onnx`` with ``weights.built.json`` beside it.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib import util
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
from PIL import Image

from batchlab.workspace import repository_dir

SIDE = 224
# Shorter side before the centre is cut out. Source: torchvision, ResNet50_Weights.IMAGENET1K_V2.transforms().
RESIZED_SIDE = 232
CLASSES = 1000
# Raise it when what is built must differ: files of an older recipe are then built anew.
RECIPE = 1
# Photographs that installed packages carry: grace_hopper by the US Navy (public domain), china and flower as credited
# in scikit-learn's sklearn/datasets/images/README.txt (CC BY).
PHOTOGRAPHS = {
    "grace_hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
}


class VisionError(RuntimeError):
    """ResNet-50 cannot be built, or a photograph or the labels cannot be read."""


@dataclass(frozen=True)
class Built:
    """What lies in the repository, as its sidecar tells.

    Attributes:
        weights: ``"imagenet"``, or ``"random"`` where there was no network: speed is real, labels mean nothing.
        sha256: of ``model.onnx``.
        torch: version that exported it.
        max_abs_difference: largest difference of a score between ONNX Runtime and torch on the photographs.
        recipe: `RECIPE` at the time.
    """

    weights: Literal["imagenet", "random"]
    sha256: str
    torch: str
    max_abs_difference: float
    recipe: int


def photographs() -> tuple[list[str], np.ndarray]:
    """Return three photographs: their names, and pixels of type uint8, shape ``(3, 224, 224, 3)``.

    Resized and cut as the weights were evaluated: shorter side to 232, then the centre.

    Raises:
        VisionError: a package that carries one is not installed.
    """
    return list(PHOTOGRAPHS), np.stack([_pixels(_photograph(name)) for name in PHOTOGRAPHS])


def _photograph(name: str) -> Path:
    package, inside = PHOTOGRAPHS[name]
    found = util.find_spec(package)  # Finds the folder without importing the package, which takes a second.
    for folder in (found and found.submodule_search_locations) or ():
        if (path := Path(folder) / inside).is_file():
            return path
    raise VisionError(f"The photograph {name!r} comes with {package}, which lacks it: pip install {package}.")


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    shorter = min(width, height)
    width, height = int(RESIZED_SIDE * width / shorter), int(RESIZED_SIDE * height / shorter)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    return np.asarray(image.crop((left, top, left + SIDE, top + SIDE)), dtype=np.uint8)


def images(batch: int) -> np.ndarray:
    """Return `batch` images, the photographs over and over: uint8, shape ``(batch, 224, 224, 3)``.

    Raises:
        VisionError: a batch below 1.
    """
    if batch < 1:
        raise VisionError(f"A batch holds at least one image, not {batch}.")
    _names, pixels = photographs()
    return pixels[np.arange(batch) % len(pixels)]


def labels(repository: Path | None = None) -> list[str]:
    """Return ImageNet's 1000 class names in the order of the scores.

    Raises:
        VisionError: the file is missing or not whole.
    """
    path = _model_dir(repository) / "labels.txt"
    names = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if len(names) != CLASSES:
        raise VisionError(f"{path} holds {len(names)} of {CLASSES} class names. Restore it: git checkout -- {path}.")
    return names


def has_imagenet_weights(repository: Path | None = None) -> bool:
    """Whether the built network was trained: only then do its labels mean anything."""
    recorded = _recorded(repository)
    return recorded is not None and recorded.weights == "imagenet"


def built(repository: Path | None = None) -> Built | None:
    """Return what was built, or None where it is missing, damaged, cut short, or made by an older recipe."""
    recorded = _recorded(repository)
    if recorded is None or recorded.recipe != RECIPE:
        return None
    try:
        return recorded if sha256(model_path(repository)) == recorded.sha256 else None
    except OSError:
        return None


def build(repository: Path | None = None, *, force: bool = False) -> Built:
    """Make ``resnet50/1/model.onnx`` if it is not there whole; a line says what is being done and how long it took.

    The weights are ImageNet's, fetched once. Without a network they are random, from a fixed seed, and a warning says
    so; build again with ``force=True`` once there is one. ``BATCHLAB_OFFLINE=1`` does not even try.

    The file appears whole or not at all, and only after ONNX Runtime and torch agreed on the photographs.

    Args:
        repository: the model repository; the project's ``triton_repo/`` by default.
        force: build even when all is there.

    Raises:
        VisionError: the disk, or a network that does not pass its check.
    """
    present = None if force else built(repository)
    if present is not None:
        return present
    print("ResNet-50: building the ONNX model, once; about half a minute ...", flush=True)
    began = time.perf_counter()
    from batchlab import resnet  # torch takes seconds to import: only who builds shall wait for it

    version = model_path(repository).parent
    try:
        version.mkdir(parents=True, exist_ok=True)
        _sweep_up(version)
        with tempfile.TemporaryDirectory(prefix=f".building-{os.getpid()}-", dir=version) as scratch:
            part = Path(scratch) / "model.onnx"
            weights, difference = resnet.make(part)
            made = Built(weights, sha256(part), resnet.torch_version(), difference, RECIPE)
            record = Path(scratch) / "record"
            record.write_text(json.dumps(asdict(made), indent=2) + "\n", encoding="utf-8")
            part.replace(model_path(repository))
            # Last: until the record fits the file, the file counts as damaged.
            record.replace(sidecar_path(repository))
    except OSError as error:
        raise VisionError(
            f"Cannot build ResNet-50 in {version}: {error.strerror or error}. "
            "It needs about 250 MB of free space and a folder that you can write."
        ) from error
    print(f"ResNet-50: built in {time.perf_counter() - began:.0f} s, {made.weights} weights.", flush=True)
    return made


def torch_model(weights: Path | None = None) -> Any:
    """Return ResNet-50 as a torch module in evaluation mode, with the weights of the built ONNX model.

    It takes uint8 images, shape ``(n, 224, 224, 3)``, and normalises them itself; floats of shape ``(n, 3, 224, 224)``
    it takes as normalised already. It answers scores, float, shape ``(n, 1000)``.

    Args:
        weights: a file with a state dict of torchvision's ``resnet50``; by default what `build` used.

    Raises:
        VisionError: the file cannot be read or does not fit.
    """
    from batchlab import resnet

    recorded = _recorded(None)
    return resnet.network(weights, random=recorded is not None and recorded.weights == "random")


def model_path(repository: Path | None = None) -> Path:
    """Return where the built network lies."""
    return _model_dir(repository) / "1" / "model.onnx"


def sidecar_path(repository: Path | None = None) -> Path:
    """Return where the record of the built network lies."""
    return _model_dir(repository) / "1" / "weights.built.json"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _model_dir(repository: Path | None) -> Path:
    return (repository or repository_dir()) / "resnet50"


def _recorded(repository: Path | None) -> Built | None:
    try:
        return Built(**json.loads(sidecar_path(repository).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _sweep_up(version: Path) -> None:
    """Remove what a killed build left behind."""
    for left in version.glob(".building-*"):
        pid = left.name.split("-")[1]
        if not (pid.isdigit() and psutil.pid_exists(int(pid))):
            shutil.rmtree(left, ignore_errors=True)
