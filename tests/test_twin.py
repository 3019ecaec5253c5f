"""A model of the twin: Triton's own configuration, checked by Triton's rules, and what it can carry."""

import dataclasses

import numpy as np
import pytest

from batchlab import arrivals, simulate, twin
from batchlab.configuration import DynamicBatching, QueuePolicy
from batchlab.profiles import load_profiles
from batchlab.repository import RepositoryError
from batchlab.service import Calibration, Overheads, ServiceError, ServiceTime
from batchlab.twin_state import REQUEST

AFFINE = ServiceTime.from_function(lambda b: 10 + b, range(1, 33))
LIMITED = 'rate_limiter { resources { name: "R" global: true count: 3 } }'


def test_knobs_land_in_tritons_own_configuration():
    model = twin.model(
        AFFINE, max_batch_size=16, max_delay_ms=2.5, instances=3, priority_levels=2, max_queue_size=9, timeout_ms=1
    )
    batcher = model.config.dynamic_batching
    assert (model.max_batch, model.instances, model.name) == (16, 3, "twin")
    assert (batcher.max_queue_delay_microseconds, batcher.priority_levels) == (2500, 2)
    assert batcher.default_queue_policy == QueuePolicy(default_timeout_microseconds=1000, max_queue_size=9)
    assert twin.model(AFFINE, batching=False).config.dynamic_batching is None


def test_a_profile_and_a_calibration_bring_their_names_and_overheads():
    profile = next(iter(load_profiles().values()))
    assert twin.model(profile).name == profile.name
    calibrated = twin.model(Calibration("m", AFFINE, Overheads(send_ms=1)))
    assert (calibrated.name, calibrated.overheads.send_ms) == ("m", 1)


def test_a_change_is_that_of_reconfigure():
    model = twin.model(AFFINE).changed(max_queue_delay_microseconds=5000, instances=2)
    assert model.config.dynamic_batching.max_queue_delay_microseconds == 5000
    assert model.instances == 2


def test_capacity_is_the_best_batch_back_to_back():
    assert twin.model(AFFINE).capacity_rps() == pytest.approx(32 / 0.042)
    assert twin.model(AFFINE).capacity_rps(batch_size=4) == pytest.approx(8 / 0.042)
    assert twin.model(AFFINE, instances=2).capacity_rps() == pytest.approx(32 / 0.042)
    assert twin.model(AFFINE, instances=2, shared=False).capacity_rps() == pytest.approx(64 / 0.042)
    with_dispatch = twin.model(AFFINE, overheads=Overheads(dispatch_ms=8))
    assert with_dispatch.capacity_rps() == pytest.approx(32 / 0.050)


def test_capacity_knows_of_missed_ends():
    knobs = {"max_batch_size": 1, "priority_levels": 1, "overheads": Overheads(missed_wake=0.2)}
    lone = twin.model(AFFINE, **knobs)
    assert lone.capacity_rps() == pytest.approx(0.8 / 0.011)
    assert lone.capacity_rps(burstiness=4) == pytest.approx(0.5 / 0.011)
    fewer = dataclasses.replace(lone, overheads=Overheads(missed_wake=0.2, missed_lone=0.5))
    assert fewer.capacity_rps() == pytest.approx(0.9 / 0.011)
    assert fewer.changed(max_batch_size=2).capacity_rps() == pytest.approx(1.8 / 0.012)
    # However many are missed, the batcher naps no longer than 500 ms.
    always = dataclasses.replace(lone, overheads=Overheads(missed_wake=1.0))
    assert always.capacity_rps() == pytest.approx(1 / 0.511)
    assert lone.changed(instances=2).capacity_rps() == pytest.approx(1 / 0.011)
    assert twin.model(AFFINE, **knobs | {"max_batch_size": 8}).capacity_rps(batch_size=4) == pytest.approx(1.8 / 0.018)
    assert twin.model(AFFINE, **knobs | {"priority_levels": 0}).capacity_rps() == pytest.approx(1 / 0.011)


@pytest.mark.parametrize("burstiness", [1.0, 4.0])
@pytest.mark.parametrize(("share", "grows"), [(0.85, False), (1.15, True)])
def test_beyond_that_capacity_the_queue_grows(share, grows, burstiness):
    model = twin.model(AFFINE, max_batch_size=2, priority_levels=1, overheads=Overheads(missed_wake=0.3))
    assert model.capacity_rps() == pytest.approx(1.7 / 0.012)
    rate_rps = share * model.capacity_rps(burstiness=burstiness)
    run = simulate.simulate(model, arrivals.gamma(rate_rps, 600, burstiness, 1), seed=2)
    halves = np.array_split(run.latencies_ms, 2)
    assert (np.median(halves[1]) > 2 * np.median(halves[0])) == grows


@pytest.mark.parametrize(
    ("policy", "levels", "ahead"),
    [
        (None, 0, True),
        (QueuePolicy(), 0, True),
        (QueuePolicy(max_queue_size=1), 0, False),
        (QueuePolicy(default_timeout_microseconds=1), 0, False),
        (QueuePolicy(allow_timeout_override=True), 0, False),
        (None, 1, False),
    ],
)
def test_any_queue_policy_or_level_ends_prefetch(policy, levels, ahead):
    batcher = DynamicBatching(
        default_queue_policy=policy, priority_levels=levels, default_priority_level=min(levels, 1)
    )
    assert twin.prefetches(batcher) == ahead


def test_a_level_without_a_policy_takes_the_default_one():
    own, default = QueuePolicy(max_queue_size=1), QueuePolicy(max_queue_size=2)
    batcher = DynamicBatching(
        priority_levels=2, default_priority_level=1, default_queue_policy=default, priority_queue_policy={2: own}
    )
    assert [twin.policy_of(batcher, level) for level in (0, 1)] == [default, own]
    assert twin.policy_of(None, 0) == QueuePolicy()


@pytest.mark.parametrize("name", ["max_delay_ms", "timeout_ms"])
def test_a_negative_wait_is_an_error(name):
    with pytest.raises(twin.TwinError, match="A wait is 0 ms or more"):
        twin.model(AFFINE, **{name: -1})


def test_a_batch_beyond_the_curve_is_an_error():
    with pytest.raises(ServiceError, match=r"known up to batch 32 .*asked for 64"):
        twin.model(AFFINE, max_batch_size=64)


def test_a_preferred_size_above_the_largest_batch_is_an_error():
    with pytest.raises((twin.TwinError, RepositoryError), match=r"preferred_batch_size.* 16"):
        twin.model(AFFINE, max_batch_size=8, preferred_batch_size=(16,))


def test_more_of_a_resource_than_there_is_is_an_error():
    model = twin.model(AFFINE)
    groups = (model.config.instance_groups[0].__class__(count=1, kind="KIND_CPU", extra=LIMITED),)
    model = model.changed(instance_groups=groups)
    with pytest.raises(twin.TwinError, match="needs 3 of the resource 'R'; there are 2"):
        twin.world([model], [np.zeros(1, REQUEST)], {"R": 2})
