"""Changes to a model's configuration, named as people name them: `max_queue_delay_microseconds=5000`, `instances=2`."""

import dataclasses
import difflib
from typing import Any

from batchlab.repository import DynamicBatching, InstanceGroup, ModelConfig, QueuePolicy


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind) if field.name != "extra")


WHOLE = tuple(name for name in _names(ModelConfig) if name not in ("name", "parameters"))
BATCHING = _names(DynamicBatching)
QUEUE = _names(QueuePolicy)
INSTANCES = ("instances", "kind", "gpus")
VALID = (*WHOLE, "parameters", *BATCHING, *QUEUE, *INSTANCES)


class ChangeError(ValueError):
    """A change that no configuration knows, or two that contradict each other."""


def apply(config: ModelConfig, changes: dict[str, Any]) -> ModelConfig:
    """Return `config` with `changes` put where they belong.

    Args:
        config: the configuration as it is.
        changes: fields of `ModelConfig`, `DynamicBatching` or `QueuePolicy` (the default queue policy); ``instances``,
            ``kind`` and ``gpus`` of the instance group; ``parameters``, which are merged into those there are.
            ``dynamic_batching=None`` switches the dynamic batcher off.

    Raises:
        ChangeError: an unknown name (the message lists the valid ones), or contradicting changes.
        RepositoryError: a value that Triton would refuse.
    """
    for name in changes:
        if name not in VALID:
            close = difflib.get_close_matches(name, VALID, n=1)
            near = f" Did you mean {close[0]!r}?" if close else ""
            raise ChangeError(f"A configuration has no {name!r}.{near} Valid are: {', '.join(sorted(VALID))}.")
    whole = {name: changes[name] for name in WHOLE if name in changes}
    # The whole fields first: a nested change then builds on them.
    config = config.replace(**whole)
    batching = {name: changes[name] for name in BATCHING if name in changes}
    queue = {name: changes[name] for name in QUEUE if name in changes}
    if (batching or queue) and "dynamic_batching" in changes and config.dynamic_batching is None:
        raise ChangeError(
            f"dynamic_batching=None switches the batcher off, yet {next(iter([*batching, *queue]))!r} sets one of its "
            "fields. Drop one of the two."
        )
    if batching or queue:
        current = dataclasses.replace(config.dynamic_batching or DynamicBatching(), **batching)
        if queue:
            policy = dataclasses.replace(current.default_queue_policy or QueuePolicy(), **queue)
            current = dataclasses.replace(current, default_queue_policy=policy)
        config = config.replace(dynamic_batching=current)
    group = {("count" if name == "instances" else name): changes[name] for name in INSTANCES if name in changes}
    if group:
        if len(config.instance_groups) > 1:
            raise ChangeError(
                f"{config.name!r} has {len(config.instance_groups)} instance groups; pass instance_groups=(...) whole."
            )
        current_group = config.instance_groups[0] if config.instance_groups else InstanceGroup()
        config = config.replace(instance_groups=(dataclasses.replace(current_group, **group),))
    if "parameters" in changes:
        config = config.replace(parameters={**config.parameters, **changes["parameters"]})
    return config
