"""Changes put where they belong in a configuration."""

from typing import Any

import pytest

from batchlab.changes import ChangeError, apply
from batchlab.repository import DynamicBatching, InstanceGroup, ModelConfig, QueuePolicy, RepositoryError

PLAIN = ModelConfig("m", "python", max_batch_size=32, parameters={"a": "1"})


def test_each_change_lands_in_its_place() -> None:
    changed = apply(
        PLAIN,
        {
            "max_batch_size": 16,
            "max_queue_delay_microseconds": 2000,
            "preferred_batch_size": (4, 8),
            "max_queue_size": 9,
            "timeout_action": "DELAY",
            "instances": 2,
            "kind": "KIND_CPU",
            "parameters": {"b": "2"},
        },
    )
    assert changed.max_batch_size == 16
    assert changed.dynamic_batching == DynamicBatching(
        max_queue_delay_microseconds=2000,
        preferred_batch_size=(4, 8),
        default_queue_policy=QueuePolicy(timeout_action="DELAY", max_queue_size=9),
    )
    assert changed.instance_groups == (InstanceGroup(2, "KIND_CPU"),)
    assert changed.parameters == {"a": "1", "b": "2"}


def test_what_is_not_named_stays() -> None:
    before = apply(PLAIN, {"max_queue_delay_microseconds": 2000, "max_queue_size": 5})
    after = apply(before, {"priority_levels": 2, "default_priority_level": 1, "default_timeout_microseconds": 7})
    assert after.dynamic_batching is not None
    assert after.dynamic_batching.max_queue_delay_microseconds == 2000
    assert after.dynamic_batching.default_queue_policy == QueuePolicy(default_timeout_microseconds=7, max_queue_size=5)
    assert apply(after, {}) == after


def test_the_batcher_can_be_switched_off() -> None:
    assert apply(apply(PLAIN, {"max_queue_size": 5}), {"dynamic_batching": None}).dynamic_batching is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_queue_delay": 3}, r"no 'max_queue_delay'.*Valid are: .*max_queue_delay_microseconds"),
        ({"max_batchsize": 3}, "Did you mean 'max_batch_size'"),
        ({"name": "other"}, "no 'name'"),
        ({"dynamic_batching": None, "max_queue_size": 3}, "switches the batcher off, yet 'max_queue_size'"),
    ],
)
def test_changes_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ChangeError, match=message):
        apply(PLAIN, changes)


def test_several_instance_groups_are_passed_whole() -> None:
    two = PLAIN.replace(instance_groups=(InstanceGroup(), InstanceGroup()))
    with pytest.raises(ChangeError, match="2 instance groups; pass instance_groups"):
        apply(two, {"instances": 3})


def test_a_value_that_triton_would_refuse() -> None:
    with pytest.raises(RepositoryError):
        apply(PLAIN, {"max_batch_size": -1})
