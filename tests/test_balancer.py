"""The balancer: replicas in turn, around a dead one, and every request accounted for."""

import threading
import time

import numpy as np
import pytest
from pictures import provenance

from batchlab import arrivals, balancer
from batchlab.balancer import Balancer, BalancerError
from batchlab.endpoint import ServerError, ServerGone

pytestmark = pytest.mark.alone

INPUTS = {"item": np.zeros((1, 1), np.int32)}


class Replica:
    """Stands for a server: answers with its name, or fails as it is told to."""

    def __init__(self, name, fails=None):
        self.name, self.fails, self.asked = name, fails, 0

    def infer(self, model, inputs, timeout_s):
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return {"name": np.array([self.name])}

    def provenance(self, model, seed=None):
        return provenance(model=model, seed=seed)


def test_replicas_take_turns() -> None:
    pair = Balancer([Replica("a"), Replica("b")])
    answers = [pair.infer("m", INPUTS) for _ in range(4)]
    assert [answer.replica for answer in answers] == [0, 1, 0, 1]
    assert [str(answer.outputs["name"][0]) for answer in answers] == ["a", "b", "a", "b"]
    assert {answer.attempts for answer in answers} == {1}


def test_a_dead_replica_costs_one_attempt_and_is_then_left_alone() -> None:
    dead = Replica("a", ServerGone("gone"))
    pair = Balancer([dead, Replica("b")], rest_s=60)
    answers = [pair.infer("m", INPUTS) for _ in range(10)]
    assert [answer.replica for answer in answers] == [1] * 10
    assert [answer.attempts for answer in answers] == [2] + [1] * 9
    assert dead.asked == 1
    assert pair.up() == [1]


def test_a_replica_is_asked_again_after_its_rest_and_at_once_when_replaced() -> None:
    dead = Replica("a", ServerGone("gone"))
    pair = Balancer([dead, Replica("b")], rest_s=0.05)
    pair.infer("m", INPUTS)
    time.sleep(0.06)
    dead.fails = None
    assert {pair.infer("m", INPUTS).replica for _ in range(2)} == {0, 1}
    pair.rest_s, dead.fails = 60, ServerGone("gone")
    pair.infer("m", INPUTS), pair.infer("m", INPUTS)
    assert pair.up() == [1]
    pair.replace(0, Replica("c"))
    assert {str(pair.infer("m", INPUTS).outputs["name"][0]) for _ in range(2)} == {"b", "c"}


def test_with_nobody_there_the_error_says_so_and_resting_ones_are_tried_all_the_same() -> None:
    pair = [Replica("a", ServerGone("no Triton at a")), Replica("b", ServerGone("no Triton at b"))]
    shared = Balancer(pair, rest_s=60)
    for _ in range(2):
        with pytest.raises(ServerGone, match="no Triton"):
            shared.infer("m", INPUTS)
    assert [replica.asked for replica in pair] == [2, 2]


def test_a_refusal_is_not_sent_elsewhere() -> None:
    pair = [Replica("a", ServerError("queue full")), Replica("b")]
    with pytest.raises(ServerError, match="queue full"):
        Balancer(pair).infer("m", INPUTS)
    assert pair[1].asked == 0


def test_a_balancer_needs_a_replica() -> None:
    with pytest.raises(BalancerError, match="at least one"):
        Balancer([])


def test_a_schedule_through_a_death_loses_nothing() -> None:
    pair = [Replica("a"), Replica("b")]
    killer = threading.Timer(0.3, lambda: setattr(pair[0], "fails", ServerGone("gone")))
    killer.start()
    run = balancer.drive(Balancer(pair, rest_s=60), "m", INPUTS, arrivals.constant(100, 1.0))
    killer.join()
    assert len(run.samples) == 100
    assert run.samples["ok"].all()
    late = run.samples[run.samples["intended_s"] > 0.5]
    assert set(late["replica"]) == {1}
    assert set(run.samples[run.samples["intended_s"] < 0.2]["replica"]) == {0, 1}
    assert (run.samples["sent_s"] >= run.samples["intended_s"]).all()
    assert run.provenance.details["replicas"] == "2"


def test_what_failed_is_in_the_record_with_its_error() -> None:
    run = balancer.drive(Balancer([Replica("a", ServerError("queue full"))]), "m", INPUTS, arrivals.constant(50, 0.2))
    assert run.errors == {"queue full": 10}
    assert set(run.samples["replica"]) == {-1}


def test_a_faster_pace_cuts_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHLAB_PACE", "0.1")
    run = balancer.drive(Balancer([Replica("a")]), "m", INPUTS, arrivals.constant(100, 1.0))
    assert len(run.samples) == 10


def test_an_empty_schedule_is_refused() -> None:
    with pytest.raises(BalancerError, match="nothing to send"):
        balancer.drive(Balancer([Replica("a")]), "m", INPUTS, arrivals.constant(1, 1.0).clip(0.5, 0.6))
