"""Which tier a model on a running server belongs to, read from its configuration."""

from collections.abc import Callable
from typing import Any

from batchlab.provenance import Tier

# How a model's configuration says that its answers cost no computing. Such a model is of the tier `cpu`, since its time
# is measured on the processor and nothing of it is played back, but no caption may call it a real model.
COMPUTES_NOTHING = {"computes": "nothing"}


def parameters(config: dict[str, Any]) -> dict[str, str]:
    """Return a configuration's parameters as plain text values."""
    return {key: str(value.get("string_value", "")) for key, value in config.get("parameters", {}).items()}


def computes_nothing(config: dict[str, Any]) -> bool:
    """Return whether a model only gives back what it was sent, so that its time is that of the harness."""
    return COMPUTES_NOTHING.items() <= parameters(config).items()


def tier(config: dict[str, Any], embedded: bool, lookup: Callable[[str], dict[str, Any]]) -> Tier:
    """Return where the time of a model's answers comes from.

    Args:
        config: Triton's JSON of the configuration it runs, in which ``KIND_AUTO`` is already settled.
        embedded: whether this is our embedded server, whose `onnxruntime` backend computes on the processor even
            where there is a GPU.
        lookup: gives the configuration of another model, for the steps of an ensemble.
    """
    backend = config.get("backend", "")
    if backend == "emulated":
        return "emulated"
    steps = config.get("ensemble_scheduling", {}).get("step", [])
    if steps:
        parts = {tier(lookup(step["model_name"]), embedded, lookup) for step in steps}
        # One played-back step makes the whole answer's time a played-back one.
        return next((name for name in ("emulated", "gpu") if name in parts), "cpu")
    if encoder := parameters(config).get("encoder"):
        # The text classifier calls another model for its computing, so that one's tier is its own.
        return tier(lookup(encoder), embedded, lookup)
    if parameters(config).get("device") == "cpu" or (embedded and backend == "onnxruntime"):
        return "cpu"
    kinds = {group.get("kind") for group in config.get("instance_group", [])}
    return "gpu" if "KIND_GPU" in kinds else "cpu"
