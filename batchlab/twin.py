"""A model as the digital twin sees it: Triton's own configuration of it, and what a batch costs.

The configuration is the one that the server is given, so that what is tuned on the twin can be deployed as it stands.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from batchlab import changes
from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, QueuePolicy, TensorSpec
from batchlab.profiles import Profile
from batchlab.service import MS_PER_S, Calibration, Overheads, ServiceTime
from batchlab.twin_state import LEVEL, MODEL, NAP_NS, NONE, World, idle

NS_PER_S = 1e9
NS_PER_MS = 1e6
NS_PER_US = 1_000
TIMES = ("dispatch_ms", "dispatch_item_ms", "answer_ms", "cold_ms", "cooling_ms")


class TwinError(ValueError):
    """A model or traffic that the twin cannot play."""


@dataclass(frozen=True)
class Twin:
    """One model of the twin.

    Attributes:
        config: Triton's configuration: max batch, delay, preferred sizes, instances, priorities, queue policies.
        service: time of a batch on the device.
        overheads: times around it.
        device: models and instances on one device compute one batch at a time; instances of a model on no shared
            device (``shared=False``) each compute for themselves.
        same_shape: only requests of one shape ride together (an input with a variable dimension).
    """

    config: ModelConfig
    service: ServiceTime
    overheads: Overheads = field(default_factory=Overheads)
    device: str = ""
    shared: bool = True
    same_shape: bool = False

    def __post_init__(self) -> None:
        self.service.table_ms(self.max_batch)
        batching = self.config.dynamic_batching
        wrong = [size for size in (batching.preferred_batch_size if batching else ()) if size > self.max_batch]
        if wrong:
            raise TwinError(
                f"{self.name}: preferred_batch_size {wrong[0]} is above max_batch_size {self.max_batch}; Triton "
                "refuses such a model. Leave preferred sizes out."
            )

    @property
    def name(self) -> str:
        """The model's name."""
        return self.config.name

    @property
    def max_batch(self) -> int:
        """The largest batch; a model without a batch dimension counts as 1."""
        return max(self.config.max_batch_size, 1)

    @property
    def instances(self) -> int:
        """Copies of the model; 1 where the configuration leaves it to Triton."""
        return sum(max(group.count, 1) for group in self.config.instance_groups) or 1

    def changed(self, **wanted: Any) -> "Twin":
        """Return the twin of the model after `Server.reconfigure` with the same arguments."""
        return dataclasses.replace(self, config=changes.apply(self.config, wanted))

    def capacity_rps(self, batch_size: int = 1, burstiness: float = 1.0) -> float:
        """Return the highest rate of requests of this size that it can carry: its best batch, back to back.

        A batcher that misses the end of its only instance waits for the next request: 1/rate in Poisson traffic, longer
        with the `burstiness` of `arrivals.gamma`, but at most its nap. So many requests less a batch then carries.
        """
        sizes = np.arange(batch_size, self.max_batch + 1)
        busy_ms = self.service.latency_ms(sizes)
        loop_ms = (busy_ms + self.overheads.between_ms(sizes)) / self.instances
        # Instances of one device hide their overheads behind each other, never the device's own time.
        per_batch_ms = np.maximum(busy_ms, loop_ms) if self.shared else loop_ms
        alone = self.instances == 1 and not prefetches(self.config.dynamic_batching)
        # (1 + burstiness) / 2 mean gaps from a random moment to the next: Kleinrock, Queueing Systems I, 1975, 5.2.
        share = self.overheads.missed_wake if alone else 0.0
        missed = share * np.where(sizes < 2 * batch_size, self.overheads.missed_lone, 1.0)
        woken = (sizes - batch_size * missed * (1 + burstiness) / 2) / per_batch_ms
        napping = sizes / (per_batch_ms + missed * NAP_NS / NS_PER_MS)
        return float(np.maximum(woken, napping).max() * MS_PER_S / batch_size)


def model(
    service: ServiceTime | Profile | Calibration,
    *,
    name: str = "",
    max_batch_size: int | None = None,
    max_delay_ms: float = 0.0,
    preferred_batch_size: Sequence[int] = (),
    instances: int = 1,
    priority_levels: int = 0,
    max_queue_size: int = 0,
    timeout_ms: float = 0.0,
    timeout_action: str = "REJECT",
    batching: bool = True,
    overheads: Overheads | None = None,
    device: str = "",
    shared: bool = True,
    same_shape: bool = False,
) -> Twin:
    """Build a twin from numbers, without a server: a service time, and the knobs by their plain names.

    Raises:
        TwinError, ServiceError, RepositoryError: a value out of range, each with what to do.
    """
    if max_delay_ms < 0 or timeout_ms < 0:
        raise TwinError(f"A wait is 0 ms or more, got max_delay_ms={max_delay_ms}, timeout_ms={timeout_ms}.")
    if isinstance(service, Calibration):
        overheads = overheads or service.overheads
        name, shared = name or service.model, service.shared_device
        service = service.service
    if isinstance(service, Profile):
        name = name or service.name
        service = ServiceTime.from_profile(service)
    policy = None
    if max_queue_size or timeout_ms:
        policy = QueuePolicy(
            timeout_action=timeout_action,  # type: ignore[arg-type]
            default_timeout_microseconds=round(timeout_ms * 1000),
            max_queue_size=max_queue_size,
        )
    batcher = DynamicBatching(
        max_queue_delay_microseconds=round(max_delay_ms * 1000),
        preferred_batch_size=tuple(preferred_batch_size),
        priority_levels=priority_levels,
        default_priority_level=1 if priority_levels else 0,
        default_queue_policy=policy,
    )
    config = ModelConfig(
        name=name or "twin",
        backend="emulated",
        max_batch_size=service.max_batch if max_batch_size is None else max_batch_size,
        inputs=(TensorSpec("item", "INT32", (1,)),),
        outputs=(TensorSpec("batch_size", "INT32", (1,)),),
        dynamic_batching=batcher if batching else None,
        instance_groups=(InstanceGroup(count=instances, kind="KIND_CPU"),),
    )
    return Twin(config, service, overheads or Overheads(), device, shared, same_shape)


def of(config: ModelConfig, calibration: Calibration) -> Twin:
    """Return the twin of a configuration of a calibrated model, such as ``server.config(model)``.

    Raises:
        TwinError: the calibration is of another model.
    """
    if config.name != calibration.model:
        raise TwinError(f"The calibration is of {calibration.model!r}, the configuration of {config.name!r}.")
    varies = any(-1 in tensor.dims for tensor in config.inputs)
    return Twin(
        config,
        calibration.service,
        calibration.overheads,
        device=config.parameters.get("device", ""),
        shared=calibration.shared_device,
        same_shape=varies,
    )


def world(models: Sequence[Twin], parts: Sequence[np.ndarray], resources: Mapping[str, int] | None = None) -> World:
    """Return the compiled loop's view: these models at rest, and the requests on their way to them.

    Args:
        models: the models.
        parts: the requests of each, arrays of `twin_state.REQUEST`, in the order of their arrival.
        resources: turns the rate limiter on, with so much of each resource.

    Raises:
        TwinError: a model needs more of a resource than there is.
    """
    batchers = [m.config.dynamic_batching for m in models]
    depth = max((b.priority_levels for b in batchers if b), default=0) or 1
    largest = max(m.max_batch for m in models)
    names = sorted(resources or {})
    limits = np.array([(resources or {})[name] for name in names], np.int64)
    told, levels = np.zeros(len(models), MODEL), np.zeros((len(models), depth), LEVEL)
    preferred = np.zeros((len(models), largest + 1), np.bool_)
    service = np.zeros((len(models), largest + 1))
    needs = np.zeros((len(models), len(names)), np.int64)
    devices: dict[str, int] = {}
    ends = np.cumsum([len(part) for part in parts])
    for i, (m, batcher) in enumerate(zip(models, batchers, strict=True)):
        sizes = sorted(batcher.preferred_batch_size if batcher else ()) or [m.max_batch]
        preferred[i, sizes] = True
        service[i, : m.max_batch + 1] = m.service.table_ms(m.max_batch) * NS_PER_MS
        weight, wanted = _rate_limiter(m)
        for k, name in enumerate(names):
            needs[i, k] = wanted.get(name, 0)
            if needs[i, k] > limits[k]:
                raise TwinError(f"{m.name} needs {needs[i, k]} of the resource {name!r}; there are {limits[k]}.")
        for level in range(depth):
            policy = policy_of(batcher, level)
            levels[i, level] = (policy.max_queue_size, policy.timeout_action == "DELAY")
        values = {
            "batching": batcher is not None,
            "max_batch": m.max_batch,
            "max_preferred": sizes[-1],
            "min_preferred": sizes[0],
            "delay_ns": batcher.max_queue_delay_microseconds * NS_PER_US if batcher else 0,
            "instances": m.instances,
            "prefetch": prefetches(batcher),
            "same_shape": m.same_shape,
            "device": devices.setdefault(m.device or f"{m.name}'s own", len(devices)) if m.shared else NONE,
            "weight": weight,
            "memoryless": m.service.law == "exponential",
            "spread": m.service.variation,
            "following": ends[i] - len(parts[i]),
            "last": ends[i],
        }
        terms = dataclasses.asdict(m.overheads)
        values |= {name.replace("_ms", "_ns"): round(terms[name] * NS_PER_MS) for name in TIMES}
        values |= {name: terms[name] for name in ("missed_wake", "missed_lone", "missed_row")}
        for name, value in values.items():
            told[i][name] = value
    requests = parts[0] if len(parts) == 1 else np.concatenate(parts)
    tables = {"preferred": preferred, "service_ns": service, "needs": needs, "available": limits}
    return idle(told, levels, requests, **tables)


def policy_of(batcher: DynamicBatching | None, level: int) -> QueuePolicy:
    """Return the queue policy of a priority level (from 0, the highest)."""
    if batcher is None:
        return QueuePolicy()
    return batcher.priority_queue_policy.get(level + 1) or batcher.default_queue_policy or QueuePolicy()


def prefetches(batcher: DynamicBatching | None) -> bool:
    """Return whether Triton forms batches ahead of the instances.

    Any queue policy or priority level turns it off. Source: ``PriorityQueue`` in ``src/scheduler_utils.cc``.
    """
    if batcher is None:
        return True
    policy = batcher.default_queue_policy or QueuePolicy()
    limited = policy.default_timeout_microseconds or policy.allow_timeout_override or policy.max_queue_size
    return not limited and batcher.priority_levels == 0


def _rate_limiter(m: Twin) -> tuple[int, dict[str, int]]:
    groups = m.config.to_message().instance_group
    if not groups:
        return 1, {}
    limiter = groups[0].rate_limiter
    # Triton reads a priority of 0 as 1.
    return max(limiter.priority, 1), {row.name: row.count or 1 for row in limiter.resources}
