"""A plan on disk is the plan, and its parts together are the whole."""

import json

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
        "waits_s": np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8]]),
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

    def rows(part):
        return zip(part.times_s, part.choice, map(tuple, part.waits_s), strict=True)

    assert sorted(row for piece in pieces for row in rows(piece)) == sorted(rows(whole))
    assert sum(piece.clients for piece in pieces) == whole.clients


def test_a_part_that_does_not_exist_is_refused():
    with pytest.raises(PlanError, match="Part 2 of 2"):
        plan().part(2, 2)


def test_the_end_is_the_last_send_or_the_length():
    assert plan().end_s == 0.4
    assert plan(kind="closed_loop", seconds=9.0).end_s == 9.0
    assert plan(times_s=np.zeros(0), choice=np.zeros(0, int), waits_s=np.zeros((0, 2))).end_s == 0.0


def test_a_plan_without_bodies_or_with_a_missing_choice_is_refused():
    with pytest.raises(PlanError, match="at least one request body"):
        plan(bodies=())
    with pytest.raises(PlanError, match="4 send times but 1 chosen"):
        plan(choice=np.array([0]))
    with pytest.raises(PlanError, match="4 send times but waits for 3"):
        plan(waits_s=np.zeros((3, 1)))


def test_without_waits_nothing_is_tried_again():
    assert plan(waits_s=np.zeros((0, 0))).waits_s.shape == (4, 0)


def test_parameters_go_into_the_head_and_leave_the_tensors_alone():
    head = b'{"inputs":[],"parameters":{"binary_data_output":true}}'
    body = Body(head + b"\x00\xffbytes", len(head), 3).with_parameters({"priority": 1})
    assert json.loads(body.data[: body.json_bytes]) == {
        "inputs": [],
        "parameters": {"binary_data_output": True, "priority": 1},
    }
    assert body.data[body.json_bytes :] == b"\x00\xffbytes"
    assert body.batch_size == 3
    plain = Body(b'{"inputs":[]}').with_parameters({"timeout": 5})
    assert (json.loads(plain.data), plain.json_bytes) == ({"inputs": [], "parameters": {"timeout": 5}}, None)


@pytest.mark.parametrize("data", [b"not json", b"[1]"])
def test_a_body_that_takes_no_parameters_is_refused(data):
    with pytest.raises(PlanError, match="takes no parameters"):
        Body(data).with_parameters({"priority": 1})


@pytest.mark.parametrize("content", [None, b"not a plan"])
def test_what_is_not_a_plan_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "plan").write_bytes(content)
    with pytest.raises(PlanError, match="is not a load plan"):
        Plan.load(tmp_path / "plan")


def test_a_body_with_a_path_of_its_own_survives_the_disk_and_takes_no_parameters_of_triton(tmp_path):
    body = Body(b'{"item": 1}', path="/predict", headers=(("Content-Type", "application/json"), ("X-Key", "1")))
    plan(bodies=(body,), choice=np.zeros(4, int)).save(tmp_path / "plan")
    assert Plan.load(tmp_path / "plan").bodies == (body,)
    with pytest.raises(PlanError, match="Triton's own: a request to /predict cannot carry them"):
        body.with_parameters({"priority": 1})
