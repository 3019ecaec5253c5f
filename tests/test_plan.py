"""A plan on disk is the plan, and its parts together are the whole."""

import numpy as np
import pytest

from batchlab.plan import Body, Plan, PlanError


def plan(**changes):
    values = {
        "kind": "open_loop",
        "url": "127.0.0.1:8000",
        "model": "m",
        "bodies": (Body(b"one", 2, 1), Body(b"", None, 4), Body(b"three", 5, 8)),
        "times_s": np.array([0.0, 0.1, 0.3, 0.4]),
        "choice": np.array([2, 0, 1, 2]),
        "clients": 5,
    }
    return Plan(**{**values, **changes})


def test_a_plan_survives_the_disk(tmp_path):
    before = plan(timeout_s=3.5, think_s=0.1, seconds=2.0, max_connections=7)
    before.save(tmp_path / "plan")
    after = Plan.load(tmp_path / "plan")
    for name, value in vars(before).items():
        assert np.array_equal(getattr(after, name), value), name
    assert after.bodies == before.bodies


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_parts_make_the_whole(parts):
    whole = plan()
    pieces = [whole.part(index, parts) for index in range(parts)]
    sent = sorted((t, c) for piece in pieces for t, c in zip(piece.times_s, piece.choice, strict=True))
    assert sent == sorted(zip(whole.times_s, whole.choice, strict=True))
    assert sum(piece.clients for piece in pieces) == whole.clients


def test_a_part_that_does_not_exist_is_refused():
    with pytest.raises(PlanError, match="Part 2 of 2"):
        plan().part(2, 2)


def test_the_end_is_the_last_send_or_the_length():
    assert plan().end_s == 0.4
    assert plan(kind="closed_loop", seconds=9.0).end_s == 9.0
    assert plan(times_s=np.zeros(0), choice=np.zeros(0, int)).end_s == 0.0


def test_a_plan_without_bodies_or_with_a_missing_choice_is_refused():
    with pytest.raises(PlanError, match="at least one request body"):
        plan(bodies=())
    with pytest.raises(PlanError, match="4 send times but 1 chosen"):
        plan(choice=np.array([0]))


@pytest.mark.parametrize("content", [None, b"not a plan"])
def test_what_is_not_a_plan_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "plan").write_bytes(content)
    with pytest.raises(PlanError, match="is not a load plan"):
        Plan.load(tmp_path / "plan")
