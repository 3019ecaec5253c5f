"""Length buckets: one network served under several names, each for texts up to its own length.

Triton joins only requests of equal shape, and only within one model's queue. A model for each bucket has its own queue
and its own limit, so texts of one bucket meet, padded to the bucket's bound and no further. The models share the
encoder's file on disk; each holds a copy of the weights in memory.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from batchlab import text
from batchlab.configuration import DynamicBatching, ModelConfig


class BucketError(ValueError):
    """Buckets that cannot be served: bounds that do not rise, a budget too small for one text, no network."""


def configs(bounds: Sequence[int], token_budget: int = 1024) -> list[ModelConfig]:
    """Return one configuration for each bound, shortest first, named ``text_upto_<bound>``.

    Args:
        bounds: longest text of each bucket in tokens, rising.
        token_budget: most tokens in a batch, padding included; it sets each bucket's ``max_batch_size``.

    Raises:
        BucketError: bounds that do not rise from 1 or more, or a budget below the largest of them.
    """
    limits = [int(bound) for bound in bounds]
    if not limits or limits[0] < 1 or any(right <= left for left, right in pairwise(limits)):
        raise BucketError(f"Bounds {list(bounds)} do not rise from 1 or more. Write them like [16, 32, 64].")
    if token_budget < limits[-1]:
        raise BucketError(f"A budget of {token_budget} tokens does not hold one text of {limits[-1]}. Raise it.")
    encoder = next(config for config in text.configs() if config.name == "text_encoder")
    return [
        encoder.replace(
            name=f"text_upto_{bound}",
            max_batch_size=token_budget // bound,
            # A shape that is fixed, not merely bounded: the server itself refuses a text of the wrong bucket.
            inputs=tuple(replace(spec, dims=(bound,)) for spec in encoder.inputs),
            dynamic_batching=DynamicBatching(),
        )
        for bound in limits
    ]


def write(
    folder: Path | str, bounds: Sequence[int], token_budget: int = 1024, network: Path | None = None
) -> list[str]:
    """Write a model repository with one model for each bucket, and return their names.

    Args:
        folder: the repository; made where it is missing. Models of the same names are written anew.
        bounds, token_budget: see `configs`.
        network: the encoder's ``model.onnx``; default the project's.

    Raises:
        BucketError: see `configs`; or the network has not been built.
    """
    network = (network or text.model_path()).resolve()
    if not network.is_file():
        raise BucketError(f"{network} is missing: build the text models first (python -m batchlab.text_model).")
    names = []
    for config in configs(bounds, token_budget):
        place = Path(folder) / config.name
        (place / "1").mkdir(parents=True, exist_ok=True)
        (place / "config.pbtxt").write_text(config.to_pbtxt())
        link = place / "1" / "model.onnx"
        link.unlink(missing_ok=True)
        link.symlink_to(network)
        names.append(config.name)
    return names
