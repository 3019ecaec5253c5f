"""The model repository: ``triton_repo/<model>/config.pbtxt``, read, rendered, compared.

    config = repository.read("resnet50_t4_eager")
    tuned = config.replace(dynamic_batching=DynamicBatching(max_queue_delay_microseconds=5000))
    repository.difference(config, tuned)

``python -m batchlab.repository`` renders every committed configuration anew.
"""

import difflib
import os
from pathlib import Path

from batchlab import committed as committed_models
from batchlab import pbtxt
from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, QueuePolicy, TensorSpec
from batchlab.pbtxt import RepositoryError
from batchlab.workspace import repository_dir

__all__ = [
    "DynamicBatching",
    "InstanceGroup",
    "ModelConfig",
    "QueuePolicy",
    "RepositoryError",
    "TensorSpec",
    "committed",
    "difference",
    "models",
    "read",
    "rendered",
    "write",
]


def difference(before: ModelConfig, after: ModelConfig) -> list[str]:
    """Return one line per field that differs, such as ``dynamic_batching.max_queue_delay_microseconds: 5000 -> 20000``.

    An empty list means that Triton would see the same configuration.
    """
    return pbtxt.differences(before.to_message(), after.to_message())


def models(repository: Path | None = None) -> list[str]:
    """Return the names of the models in a repository, sorted: its folders that hold a ``config.pbtxt``."""
    folder = repository or repository_dir()
    return sorted(path.parent.name for path in folder.glob("*/config.pbtxt"))


def read(model: str, repository: Path | None = None) -> ModelConfig:
    """Read the configuration of a model from its ``config.pbtxt``.

    Args:
        model: name of the model's folder.
        repository: the folder of models; the project's ``triton_repo/`` by default.

    Raises:
        RepositoryError: no such model (the nearest name is given), or a configuration that does not hold.
    """
    folder = repository or repository_dir()
    path = folder / model / "config.pbtxt"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = models(folder)
        if model in known:
            raise RepositoryError(f"{path} cannot be read: {error}.") from error
        close = difflib.get_close_matches(model, known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"It holds: {', '.join(known) or 'no model'}."
        raise RepositoryError(f"{folder} holds no model {model!r}. {hint}") from error
    config = ModelConfig.from_pbtxt(text, source=str(path))
    if config.name not in ("", model):
        raise RepositoryError(
            f"{path}: name is {config.name!r} in the folder {model!r}. Triton wants the same; rename one of them."
        )
    return config.replace(name=model)


def committed() -> dict[str, ModelConfig]:
    """Return every configuration that the code renders into the project's ``triton_repo/``, by name."""
    return {config.name: config for config in committed_models.configurations()}


def rendered() -> dict[str, ModelConfig]:
    """Return every file that the code renders, by its path in the repository: configurations, and their variants."""
    files = {f"{name}/config.pbtxt": config for name, config in committed().items()}
    for variant, configs in committed_models.variants().items():
        files |= {f"{config.name}/configs/{variant}.pbtxt": config for config in configs}
    return files


def write(repository: Path | None = None) -> list[str]:
    """Render every committed configuration and variant, each model with a version folder; return what changed.

    Raises:
        RepositoryError: a file cannot be written.
    """
    folder = repository or repository_dir()
    changed = []
    for name, config in rendered().items():
        path, text = folder / name, config.to_pbtxt()
        try:
            _place_version(folder / config.name / "1")
            path.parent.mkdir(exist_ok=True)
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                continue
            _write(path, text)
        except OSError as error:
            raise RepositoryError(
                f"{path} cannot be written: {error.strerror}. Check its folder's permissions."
            ) from error
        changed.append(name)
    return changed


def _place_version(version: Path) -> None:
    # Git keeps no empty folder, and Triton loads no model without a version folder.
    version.mkdir(parents=True, exist_ok=True)
    if not any(version.iterdir()):
        (version / ".gitkeep").touch()


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    for name in write():
        print(f"rendered {name}")
