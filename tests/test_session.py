"""A session: the schedule kept, the end told, nobody hammered."""

import time

import gevent
import numpy as np
from fake_server import MODEL, FakeServer

from batchlab.plan import Body, Plan
from batchlab.session import GONE_AFTER_S, GONE_FAILURES, Session


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


def test_stop_keeps_what_is_still_answered():
    with FakeServer(service_ms=200) as server:
        session = Session(plan(server.url, [0.0, 100.0]))
        session.begin(time.monotonic())
        gevent.spawn(session.drive)
        gevent.sleep(0.05)
        session.stop("stopped")
        assert session.finished.wait(5)
    assert [row[4] for row in session.samples] == [True]
