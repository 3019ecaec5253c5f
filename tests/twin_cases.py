"""Small random models and traffic for the twin, from a seed; made to meet every rule of Triton's batcher often."""

import numpy as np

from batchlab import twin
from batchlab.configuration import DynamicBatching, InstanceGroup, QueuePolicy
from batchlab.schedule import Arrivals
from batchlab.service import Overheads, ServiceTime
from batchlab.simulate import Stream

LIMITED = 'rate_limiter {{ resources {{ name: "R" global: true count: {count} }} priority: {priority} }}'


def one_model(seed: int) -> list[Stream]:
    rng = np.random.default_rng([seed, 1])
    return [_stream(rng, "one", _model(rng, "one"))]


def shared_device(seed: int) -> list[Stream]:
    rng = np.random.default_rng([seed, 2])
    return [
        _stream(rng, name, _model(rng, name, device="gpu", shared=True)) for name in ("a", "b", "c")[: 2 + seed % 2]
    ]


def rate_limited(seed: int) -> tuple[list[Stream], dict[str, int]]:
    """Two models that share a resource; one of them with several instances in some cases."""
    rng = np.random.default_rng([seed, 3])
    streams, most = [], 1
    for name, instances in (("a", int(rng.integers(1, 4))), ("b", 1)):
        need = int(rng.integers(1, 3))
        most = max(most, need)
        extra = LIMITED.format(count=need, priority=int(rng.choice([0, 1, 2, 5])))
        groups = (InstanceGroup(count=instances, kind="KIND_CPU", extra=extra),)
        model = _model(rng, name, shared=bool(rng.integers(2)))
        model = twin.Twin(
            model.config.replace(instance_groups=groups), model.service, model.overheads, "", model.shared
        )
        streams.append(_stream(rng, name, model))
    return streams, {"R": most + int(rng.integers(0, 2))}


def _policy(rng: np.random.Generator) -> QueuePolicy:
    return QueuePolicy(
        timeout_action=str(rng.choice(["REJECT", "DELAY"])),
        default_timeout_microseconds=int(rng.choice([0, 3_000, 12_500, 40_000, 700_000])),
        allow_timeout_override=bool(rng.integers(2)),
        max_queue_size=int(rng.choice([0, 0, 3, 10])),
    )


def _batcher(rng: np.random.Generator, max_batch: int) -> DynamicBatching | None:
    if rng.random() < 0.1:
        return None
    levels = int(rng.choice([0, 0, 0, 1, 2, 3]))
    sizes = rng.choice(max_batch, size=min(max_batch, int(rng.choice([0, 0, 1, 2, 3]))), replace=False) + 1
    return DynamicBatching(
        max_queue_delay_microseconds=int(rng.choice([0, 0, 333, 2_000, 5_000, 20_000, 50_000])),
        preferred_batch_size=tuple(sorted(int(size) for size in sizes)),
        priority_levels=levels,
        default_priority_level=int(rng.integers(1, levels + 1)) if levels else 0,
        default_queue_policy=_policy(rng) if rng.random() < 0.4 else None,
        priority_queue_policy={k: _policy(rng) for k in range(1, levels + 1) if rng.random() < 0.3},
    )


def _model(rng: np.random.Generator, name: str, device: str = "", shared: bool | None = None) -> twin.Twin:
    max_batch = int(rng.choice([1, 2, 3, 4, 8, 16, 32, 64]))
    first, each = rng.choice([0.5, 3.0, 10.0, 333.0]), rng.choice([0.0, 0.2, 1.0])
    overheads = Overheads(*rng.choice([0.0, 0.25, 1.0], 4)) if rng.integers(2) else Overheads()
    service = ServiceTime.from_function(lambda b: first + each * b + 1e-4 * b, range(1, max_batch + 1))
    model = twin.model(service, name=name, instances=int(rng.integers(1, 5)), overheads=overheads)
    return twin.Twin(
        model.config.replace(dynamic_batching=_batcher(rng, max_batch)),
        model.service,
        model.overheads,
        device=device,
        shared=bool(rng.integers(2)) if shared is None else shared,
        same_shape=bool(rng.random() < 0.25),
    )


def _stream(rng: np.random.Generator, name: str, model: twin.Twin) -> Stream:
    count = int(rng.integers(1, 120))
    load = rng.choice([0.3, 0.9, 1.5, 4.0])
    largest = int(rng.choice([1, 1, 2, 5, 64]))
    items = rng.integers(1, min(largest, model.max_batch) + 1, count)
    times = np.cumsum(rng.exponential(items.mean() / (load * model.capacity_rps()), count))
    if rng.integers(2):
        # On a grid many things happen at one instant.
        times = np.round(times, 3)
    levels = model.config.dynamic_batching.priority_levels if model.config.dynamic_batching else 0
    return Stream(
        model,
        Arrivals(times, float(times[-1]) + 1),
        batch_size=items,
        priority=rng.integers(0, levels + 1, count) if levels else 0,
        timeout_us=rng.choice([0, 1_000, 8_000, 10_000_000], count),
        shape=rng.integers(0, int(rng.choice([1, 2, 4])), count),
    )
