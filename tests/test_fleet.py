"""The fleet: common start, complaint of a sender that fails, nothing left behind."""

import time

import numpy as np
import psutil
import pytest
from fake_server import MODEL, FakeServer

from batchlab.fleet import Fleet, FleetError
from batchlab.plan import Body, Plan

pytestmark = pytest.mark.alone


def plan(url, count=10, gap_s=0.02):
    times = np.arange(count) * gap_s
    return Plan("open_loop", url, MODEL, (Body(b"{}"),), times_s=times, choice=np.zeros(count, dtype=int))


def test_senders_start_together_report_all_and_are_gone_afterwards():
    with FakeServer(service_ms=1) as server, Fleet([plan(server.url).part(index, 2) for index in range(2)]) as fleet:
        pids, before = fleet.pids, time.monotonic()
        start = fleet.begin()
        assert start > before
        items = [item for item in fleet.messages() if item]
    rows = [row for _, message in items for row in message.get("samples", ())]
    assert np.allclose(sorted(row[0] for row in rows), np.arange(10) * 0.02)
    assert sorted(index for index, message in items if "done" in message) == [0, 1]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_sender_that_fails_is_told_with_its_own_words():
    # A host name that cannot exist fails in the sender, before it is ready.
    with Fleet([plan("no-such-host.invalid:1")]) as fleet:
        with pytest.raises(FleetError, match=r"(?s)Sender 0 ended with status 1:.*gaierror"):
            fleet.begin()
        (pid,) = fleet.pids
    assert not psutil.pid_exists(pid)


def test_leaving_early_ends_the_senders():
    with FakeServer() as server, Fleet([plan(server.url, count=100, gap_s=10)]) as fleet:
        (pid,) = fleet.pids
        fleet.begin()
    assert not psutil.pid_exists(pid)


def test_a_killed_sender_is_noticed():
    with FakeServer() as server, Fleet([plan(server.url, count=100, gap_s=10)]) as fleet:
        fleet.begin()
        psutil.Process(fleet.pids[0]).kill()
        with pytest.raises(FleetError, match="Sender 0 ended with status -9"):
            list(fleet.messages())
