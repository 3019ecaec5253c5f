"""A session: the schedule kept, the end told, nobody hammered."""

import time

import gevent
import numpy as np
import pytest
from fake_server import MODEL, FakeServer

from batchlab.plan import Body, Plan
from batchlab.session import GONE_AFTER_S, GONE_FAILURES, Session

pytestmark = pytest.mark.alone


def plan(url, times_s, **options):
    times = np.asarray(times_s, dtype=float)
    choice = np.arange(len(times)) % 2
    bodies = (Body(b"{}", None, 1), Body(b"{ }", None, 4))
    return Plan("open_loop", url, MODEL, bodies, times_s=times, choice=choice, **options)


def test_every_arrival_becomes_a_sample_and_is_told():
    told = []
    with FakeServer(service_ms=1) as server:
        session = Session(plan(server.url, [0.0, 0.02, 0.04]), lambda answer, latency_ms: told.append(latency_ms))
        session.begin(time.monotonic() + 0.05)
        session.drive()
        session.drive()  # a second user of Locust has nothing to do
    assert session.finished.is_set()
    assert np.allclose([row[0] for row in sorted(session.samples)], [0.0, 0.02, 0.04])
    assert [row[3] for row in sorted(session.samples)] == [1, 4, 1]
    assert [row[6] for row in sorted(session.samples)] == [0, 1, 0]
    assert [row[7] for row in session.samples] == [1, 1, 1]
    assert len(told) == 3
    assert min(told) >= 1


def test_arrivals_that_are_all_late_are_sent_and_answered():
    with FakeServer(service_ms=1) as server:
        session = Session(plan(server.url, np.zeros(200)))
        session.begin(time.monotonic() - 1)
        session.drive()
    assert len(session.samples) == 200
    assert all(row[4] for row in session.samples)
    assert min(row[1] for row in session.samples) >= 1  # the lateness is not hidden


def test_a_server_that_is_gone_ends_the_schedule_early():
    with FakeServer() as server:
        url = server.url
    session = Session(plan(url, np.arange(1000) * 0.02))
    session.begin(time.monotonic())
    session.drive()
    assert session.reason == "gone: Connection refused"
    assert GONE_FAILURES <= len(session.samples) < 500
    assert session.samples[-1][2] >= GONE_AFTER_S


def test_a_server_that_answers_errors_is_not_gone():
    with FakeServer(fail_status=503, fail_text="busy") as server:
        session = Session(plan(server.url, np.arange(50) * 0.02))
        session.begin(time.monotonic())
        session.drive()
    assert session.reason == ""
    assert len(session.samples) == 50


def test_a_refused_request_is_sent_again_after_its_waits_and_stays_one_sample():
    told = []
    with FakeServer(service_ms=1, refuse=2) as server:
        waits_s = np.array([[0.08, 0.12, 9.0], [9.0, 9.0, 9.0]])
        made = plan(server.url, [0.0, 0.5], waits_s=waits_s)
        session = Session(made, lambda answer, latency_ms: told.append(latency_ms))
        session.begin(time.monotonic() + 0.05)
        session.drive()
        seen = np.array(server.fetch("/arrivals")["arrivals"])
    first, second = sorted(session.samples)
    assert (first[4], first[7], second[7]) == (True, 3, 1)
    assert (np.diff(seen)[:2] >= [0.08, 0.12]).all()
    assert first[1] < 0.08  # sent when it was first sent
    assert first[2] >= 0.2  # done when it was answered at last
    assert max(told) >= 200


def test_waits_that_run_out_leave_the_refusal():
    with FakeServer(fail_status=503, fail_text="busy") as server:
        session = Session(plan(server.url, [0.0], waits_s=np.array([[0.01, 0.01]])))
        session.begin(time.monotonic())
        session.drive()
    assert session.samples[0][4:] == [False, "503 busy", 0, 3]


def test_other_failures_are_not_tried_again():
    with FakeServer(fail_status=500, fail_text="broken") as server:
        session = Session(plan(server.url, [0.0], waits_s=np.array([[0.01, 0.01]])))
        session.begin(time.monotonic())
        session.drive()
    assert session.samples[0][4:] == [False, "500 broken", 0, 1]


def test_stop_ends_the_waiting():
    with FakeServer(fail_status=503, fail_text="busy") as server:
        session = Session(plan(server.url, [0.0], waits_s=np.array([[1.0, 60.0]])))
        session.begin(time.monotonic())
        gevent.spawn(session.drive)
        gevent.sleep(0.1)
        session.stop("stopped")
        assert session.finished.wait(5)
        assert len(server.fetch("/arrivals")["arrivals"]) == 1
    assert session.samples[0][7] == 1


def test_stop_keeps_what_is_still_answered():
    with FakeServer(service_ms=200) as server:
        session = Session(plan(server.url, [0.0, 100.0]))
        session.begin(time.monotonic())
        gevent.spawn(session.drive)
        gevent.sleep(0.05)
        session.stop("stopped")
        assert session.finished.wait(5)
    assert [row[4] for row in session.samples] == [True]
