"""Snapshots of Triton's counters and their difference."""

import json

import pytest

from batchlab.statistics import Activity, Snapshot, StatisticsError


def answer(requests=0, batches=None, *, queue_ms=0.0, infer_ms=0.0, fail=0, versions=1, name="m"):
    """The statistics extension's answer: `batches` maps batch size to (count, total compute in ms)."""
    batches = batches or {}

    def part(count, ms):
        return {"count": count, "ns": int(ms * 1e6)}

    row = {
        "name": name,
        "inference_count": sum(size * count for size, (count, _) in batches.items()),
        "execution_count": sum(count for count, _ in batches.values()),
        "inference_stats": {
            "success": part(requests, 0),
            "fail": part(fail, 0),
            "queue": part(requests, queue_ms),
            "compute_input": part(requests, 0.5 * requests),
            "compute_infer": part(requests, infer_ms),
            "compute_output": part(requests, 0.25 * requests),
        },
        "batch_stats": [
            {"batch_size": size, "compute_infer": part(count, ms)} for size, (count, ms) in batches.items()
        ],
    }
    return {"model_stats": [{**row, "version": str(version + 1)} for version in range(versions)]}


def snapshot(*arguments, **options):
    return Snapshot.from_triton("m", answer(*arguments, **options))


BEFORE = {1: (4, 40.0), 8: (1, 18.0)}
AFTER = {1: (10, 100.0), 8: (1, 18.0), 32: (2, 84.0)}


def test_the_difference_is_what_happened_in_between():
    activity = snapshot(16, AFTER, queue_ms=100, infer_ms=300, fail=3) - snapshot(6, BEFORE, queue_ms=10, fail=1)
    assert (activity.requests, activity.failures) == (10, 2)
    assert activity.executions == 8
    assert activity.inferences == 6 + 64
    assert activity.batches == {1: 6, 32: 2}
    assert activity.batch_compute_ms == {1: pytest.approx(10), 32: pytest.approx(42)}
    assert activity.queue_ms == pytest.approx(9)
    assert activity.compute_infer_ms == pytest.approx(30)
    assert activity.mean_batch == pytest.approx(70 / 8)
    assert activity.server_ms == pytest.approx(9 + 0.5 + 30 + 0.25)


def test_nothing_happened():
    activity = snapshot(6, BEFORE) - snapshot(6, BEFORE)
    assert activity.requests == 0
    assert activity.batches == {}
    assert activity.queue_ms == 0
    assert activity.mean_batch != activity.mean_batch  # NaN: no execution, no mean


def test_versions_are_added_up():
    two = snapshot(6, BEFORE, versions=2)
    assert two.requests == 12
    assert two.batches == {1: 8, 8: 2}
    assert two.batch_compute_ms[1] == pytest.approx(80)


@pytest.mark.parametrize(
    "after",
    [
        snapshot(5, BEFORE),
        snapshot(9, {1: (2, 20.0)}),
        # After a reload the totals have overtaken, and only a part gives it away.
        snapshot(40, {1: (40, 400.0)}, queue_ms=500),
        snapshot(40, AFTER, queue_ms=1),
    ],
)
def test_a_reload_in_between_is_found(after):
    with pytest.raises(StatisticsError, match="went backwards: the model was reloaded"):
        _ = after - snapshot(6, BEFORE, queue_ms=10)


def test_two_models():
    other = Snapshot.from_triton("n", answer(name="n"))
    with pytest.raises(StatisticsError, match="two models: 'n' and 'm'"):
        _ = snapshot() - other


def test_a_model_that_the_server_does_not_mention():
    with pytest.raises(StatisticsError, match="do not mention model 'x'"):
        Snapshot.from_triton("x", answer())


def test_an_activity_comes_back_from_json():
    activity = snapshot(16, AFTER, queue_ms=100, infer_ms=300) - snapshot(6, BEFORE, queue_ms=10)
    assert Activity.from_dict(json.loads(json.dumps(activity.to_dict()))) == activity
