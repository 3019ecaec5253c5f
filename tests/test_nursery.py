"""The nursery: one for each owner, quick to follow its owner, replaced when it was killed."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from fake_server import FakeServer
from remains import until
from test_fleet import plan

from batchlab import nursery as module
from batchlab.fleet import Fleet, FleetError
from batchlab.nursery import Nursery, nursery
from batchlab.plan import PLAN_VARIABLE

OWNER = """
import sys, time
from batchlab.nursery import nursery
child = nursery().sender(sys.argv[1], 2)
print(nursery().pid, child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def slow_plan(tmp_path: Path):
    with FakeServer() as server:
        path = tmp_path / "plan.npz"
        plan(server.url, count=100, gap_s=10).save(path)
        yield path


def test_all_senders_come_from_one_nursery_and_have_sessions_of_their_own():
    with FakeServer(service_ms=1) as server:
        for _ in range(2):
            with Fleet([plan(server.url), plan(server.url)]) as fleet:
                fleet.begin()
                assert {psutil.Process(pid).ppid() for pid in fleet.pids} == {nursery().pid}
                assert {os.getsid(pid) for pid in fleet.pids} == set(fleet.pids)


def test_a_killed_nursery_takes_its_senders_along_and_is_replaced():
    with FakeServer(service_ms=1) as server:
        with Fleet([plan(server.url, count=100, gap_s=10)]) as fleet:
            fleet.begin()
            first = nursery().pid
            os.kill(first, signal.SIGKILL)
            with pytest.raises(FleetError, match="Sender 0 ended with status -9"):
                list(fleet.messages())
            assert until(lambda: not psutil.pid_exists(fleet.pids[0]))
        with Fleet([plan(server.url)]) as fleet:
            fleet.begin()
            assert sum("done" in item[1] for item in fleet.messages() if item) == 1
        assert nursery().pid != first


def test_it_ends_with_an_owner_that_is_killed(slow_plan: Path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(slow_plan)], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert [psutil.pid_exists(pid) for pid in pids] == [True, True]
        owner.kill()
    assert until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_closing_it_ends_its_senders(slow_plan: Path):
    own = Nursery()
    child = own.sender(slow_plan, 2)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(timeout=0.05)
    own.close()
    assert child.wait(timeout=5) == -9
    assert until(lambda: not psutil.pid_exists(child.pid))


def test_threads_may_ask_at_the_same_time(slow_plan: Path):
    own, born = Nursery(), []
    askers = [threading.Thread(target=lambda: born.append(own.sender(slow_plan, 2))) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len({child.pid for child in born}) == 8
    for child in born:
        child.kill()
        assert child.wait(timeout=5) == -9
    own.close()


def test_one_that_does_not_come_up_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "locust.py").write_text("raise ImportError('no Locust today')")
    monkeypatch.setattr(
        module, "environment", lambda: {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(module.__file__).parents[1]}"}
    )
    module._started.cache_clear()
    try:
        with pytest.raises(FleetError, match=r"(?s)starts the senders ended with status 1:.*no Locust today"):
            Fleet([plan("localhost:1")])
    finally:
        module._started.cache_clear()


def test_its_environment_finds_this_batchlab_and_holds_no_plan(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(PLAN_VARIABLE, "plan.npz")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    found = module.environment()
    assert PLAN_VARIABLE not in found
    assert found["PYTHONPATH"].split(os.pathsep) == [str(Path(module.__file__).parents[1]), "elsewhere"]


def test_an_interrupt_while_it_answers_costs_the_nursery_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, slow_plan: Path
) -> None:
    first = nursery()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module.socket, "send_fds", interrupted)
        with pytest.raises(KeyboardInterrupt):
            first.sender(slow_plan, 2)
    assert not first.lives
    child = nursery().sender(slow_plan, 2)
    child.kill()
    assert child.wait(timeout=5) == -9
