"""A faster network put beside the one that is served: a model of the same signature under a name of its own.

The folder is a second model repository of the running server, so that a model appears without a restart:

    triton = server.start(["text_encoder"], extra_args=deployment.shelf())
    name = deployment.place(variant)
    triton.load(name)
"""

from pathlib import Path

from batchlab import repository
from batchlab.configuration import ModelConfig
from batchlab.variants import Variant
from batchlab.workspace import home_dir


class DeploymentError(ValueError):
    """A variant that no server can be given."""


def folder() -> Path:
    """Return the repository of deployed variants, in the workspace's home, made where it is missing."""
    place = home_dir() / "deployed"
    place.mkdir(parents=True, exist_ok=True)
    return place


def shelf() -> tuple[str, ...]:
    """Return tritonserver's arguments for reading that repository beside the project's."""
    return ("--model-repository", str(folder()))


def config(variant: Variant) -> ModelConfig:
    """Return the configuration of a deployed variant: that of its network, under another name."""
    return repository.read(variant.network.name).replace(name=_name(variant))


def place(variant: Variant) -> str:
    """Write a variant into the repository and return the model's name; the file is linked, not copied.

    Raises:
        DeploymentError: torch runs it, and there is no file to serve.
    """
    if variant.path is None:
        raise DeploymentError(f"{variant.technique!r} runs in this process and has no file. Deploy an ONNX variant.")
    made = config(variant)
    home = folder() / made.name
    (home / "1").mkdir(parents=True, exist_ok=True)
    (home / "config.pbtxt").write_text(made.to_pbtxt(), encoding="utf-8")
    link = home / "1" / "model.onnx"
    link.unlink(missing_ok=True)
    link.symlink_to(variant.path.resolve())
    return made.name


def _name(variant: Variant) -> str:
    return f"{variant.network.name}_{variant.technique.replace('-', '_')}"
