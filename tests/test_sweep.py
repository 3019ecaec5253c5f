"""Static sweeps: what is sent, what is kept, what is said when it goes wrong."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from batchlab import journal, sweep
from batchlab.profiles import load_profiles
from batchlab.provenance import Machine, Provenance
from batchlab.repository import committed
from batchlab.server import start
from batchlab.statistics import Snapshot
from batchlab.sweep import SweepError, static_sweep

pytestmark = pytest.mark.alone

FIXED_S, PER_ITEM_S, FIRST_EXTRA_S = 0.010, 0.001, 0.5


class FakeServer:
    """Answers in 10 ms + 1 ms per item of a clock that only it moves; its first request is slow, as on a cold model."""

    def __init__(self, *, max_batch_size=128, fails_at=None, delay_us=0):
        self.now, self.sent, self.fails_at = 0.0, [], fails_at
        self.error = ConnectionError("server gone")
        batching = SimpleNamespace(max_queue_delay_microseconds=delay_us)
        self._config = SimpleNamespace(max_batch_size=max_batch_size, dynamic_batching=batching)
        self.shape = [-1, 3]

    def clock(self):
        return self.now

    def config(self, model):
        return self._config

    def metadata(self, model):
        return {"name": model, "inputs": [{"name": "x", "datatype": "FP32", "shape": self.shape}]}

    def infer(self, model, inputs):
        if self.fails_at is not None and len(self.sent) >= self.fails_at:
            raise self.error
        batch = len(inputs["x"])
        self.now += FIXED_S + PER_ITEM_S * batch + (0 if self.sent else FIRST_EXTRA_S)
        self.sent.append(batch)
        return {"y": np.zeros((batch, 1), dtype=np.float32)}

    def statistics(self, model):
        sizes = {size: self.sent.count(size) for size in set(self.sent)}
        return Snapshot(
            model,
            sum(self.sent),
            len(self.sent),
            len(self.sent),
            batches=sizes,
            batch_compute_ms=dict.fromkeys(sizes, 0.0),
        )

    def provenance(self, model, seed=None, **details):
        machine = Machine("a processor", 2, 8.0, "Linux x86_64", "3.11")
        return Provenance("emulated", model, "triton", machine, seed=seed, details=details)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))
    monkeypatch.delenv("BATCHLAB_PACE", raising=False)


@pytest.fixture
def server(monkeypatch):
    made = FakeServer()
    monkeypatch.setattr(sweep, "perf_counter", made.clock)
    return made


def quiet(server, sizes=(1, 8, 32, 128), model="toy", **options):
    return static_sweep(server, model, sizes, **{"progress": False, **options})


class TestMeasuring:
    def test_the_table_is_the_servers_cost(self, server):
        table = quiet(server, seconds_per_size=1).table().set_index("batch_size")
        assert list(table.index) == [1, 8, 32, 128]
        for size in table.index:
            cost_ms = 10 + size
            assert table.loc[size, "mean_ms"] == pytest.approx(cost_ms)
            assert table.loc[size, "p50_ms"] == pytest.approx(cost_ms)
            assert table.loc[size, "p99_ms"] == pytest.approx(cost_ms)
            assert table.loc[size, "ms_per_inference"] == pytest.approx(cost_ms / size)
            assert table.loc[size, "throughput_ips"] == pytest.approx(1000 * size / cost_ms)

    def test_warm_up_is_sent_recorded_and_left_out(self, server):
        run = quiet(server, (1,), warmup_requests=3, seconds_per_size=0, min_requests=5).runs[1]
        assert len(server.sent) == 8
        assert len(run.samples) == 8
        assert len(run.kept) == 5
        assert (run.samples["intended_s"][:3] < 0).all()
        assert run.samples["done_s"][0] - run.samples["sent_s"][0] > FIRST_EXTRA_S
        assert run.mean_latency_ms == pytest.approx(11)

    def test_without_warm_up_the_slow_first_request_counts(self, server):
        run = quiet(server, (1,), warmup_requests=0, seconds_per_size=0).runs[1]
        assert run.latencies_ms.max() == pytest.approx(511)

    def test_stops_after_its_seconds(self, server):
        run = quiet(server, (1,), seconds_per_size=1).runs[1]
        assert len(run.kept) == 91  # 11 ms each: the 91st is the first to end after 1 s

    def test_never_fewer_than_the_minimum_nor_more_than_the_maximum(self, server):
        assert len(quiet(server, (128,), seconds_per_size=0.1, min_requests=7).runs[128].kept) == 7
        assert len(quiet(server, (1,), seconds_per_size=5, max_requests=20).runs[1].kept) == 20

    def test_pace_shortens_and_is_told(self, server, monkeypatch):
        assert "pace" not in quiet(server, (1,), seconds_per_size=1).provenance.details
        monkeypatch.setenv("BATCHLAB_PACE", "0.1")
        shorter = quiet(server, (1,), seconds_per_size=1)
        assert len(shorter.runs[1].kept) == 10
        assert shorter.provenance.details["pace"] == "0.1"
        assert len(quiet(server, (1,), seconds_per_size=0, min_requests=25).runs[1].kept) == 3

    def test_sizes_are_measured_ascending_and_once(self, server):
        assert list(quiet(server, (8, 1, 8), seconds_per_size=0).runs) == [1, 8]
        assert server.sent == [1] * 7 + [8] * 7

    def test_the_servers_own_account_holds_no_warm_up(self, server):
        run = quiet(server, (8,), seconds_per_size=0, min_requests=5).runs[8]
        assert run.server.batches == {8: 5}

    def test_own_inputs_are_made_once_per_size_and_sent(self, server):
        asked = []

        def inputs(batch):
            asked.append(batch)
            return {"x": np.zeros((batch, 3), dtype=np.float32)}

        quiet(server, (1, 4), inputs=inputs, seconds_per_size=0)
        assert asked == [1, 4]

    def test_runs_are_on_disk_as_they_are_in_memory(self, server):
        done = quiet(server, (1, 8), seconds_per_size=0)
        for size, run in done.runs.items():
            again = journal.load(run.run_id)
            assert again.samples.equals(run.samples)
            assert again.settings["batch_size"] == size
            assert not again.partial
            assert again.kind == "sequential"

    def test_progress_is_quiet_when_asked(self, server, capsys):
        quiet(server, (1,), seconds_per_size=0)
        assert capsys.readouterr() == ("", "")

    def test_progress_names_model_and_size(self, server, capsys):
        static_sweep(server, "toy", (1,), seconds_per_size=0, progress=True)
        assert "sweep toy" in capsys.readouterr().err


class TestTrouble:
    @pytest.mark.parametrize(
        ("sizes", "said"),
        [
            ((), "empty"),
            ((0, 8), "got 0"),
            ((-3,), "got -3"),
            ((2.5,), "got 2.5"),
            ((True,), "True"),
            ((1, 256), "256"),
        ],
    )
    def test_bad_sizes_are_told_before_anything_is_sent(self, server, sizes, said):
        with pytest.raises(SweepError, match=said):
            quiet(server, sizes)
        assert server.sent == []

    @pytest.mark.parametrize(
        "options", [{"min_requests": 0}, {"max_requests": 2}, {"seconds_per_size": -1}, {"warmup_requests": -1}]
    )
    def test_bad_plan(self, server, options):
        with pytest.raises(SweepError, match="min_requests"):
            quiet(server, **options)

    def test_model_without_batches(self, server):
        server._config.max_batch_size = 0
        with pytest.raises(SweepError, match="max_batch_size 0"):
            quiet(server, (1, 8))

    def test_server_gone_in_mid_sweep_keeps_what_was_measured(self, server):
        server.fails_at = 7 + 7 + 3
        with pytest.warns(UserWarning, match="stopped at batch 32: server gone Kept: batch 1, 8, 32"):
            done = quiet(server, seconds_per_size=0)
        assert done.partial
        assert list(done.runs) == [1, 8, 32]
        last = done.runs[32]
        assert last.partial
        assert len(last.answered) == 1
        assert last.errors == {"server gone": 1}
        assert journal.load(last.run_id).partial

    def test_server_gone_during_warm_up(self, server):
        server.fails_at = 7
        with pytest.warns(UserWarning, match="Kept: batch 1\\."):
            done = quiet(server, seconds_per_size=0)
        assert list(done.runs) == [1]
        assert not done.runs[1].partial
        assert done.partial

    def test_nothing_measured_raises_what_happened(self, server):
        server.fails_at = 0
        with pytest.raises(ConnectionError, match="server gone"):
            quiet(server)

    def test_interrupt_keeps_what_was_measured(self, server):
        server.fails_at, server.error = 10, KeyboardInterrupt()
        with pytest.warns(UserWarning, match="KeyboardInterrupt"):
            done = quiet(server, seconds_per_size=0)
        assert list(done.runs) == [1, 8]
        assert done.partial

    def test_a_full_disk_is_told_and_ends_nothing(self, server, monkeypatch):
        monkeypatch.setattr(sweep, "RunWriter", broken_writer)
        with pytest.warns(UserWarning, match="could not be written"):
            done = quiet(server, (1, 8), seconds_per_size=0)
        assert list(done.runs) == [1, 8]
        assert not done.partial

    def test_a_batcher_that_waits_is_pointed_out(self, server):
        server._config.dynamic_batching.max_queue_delay_microseconds = 5000
        with pytest.warns(UserWarning, match="waits up to 5 ms"):
            quiet(server, (1,), seconds_per_size=0)


def broken_writer(*arguments, **options):
    return journal.RunWriter(*arguments, **options, folder=Path("/nowhere/at/all"))


class Mortal:
    """A real server that is killed (SIGKILL) once it has answered so many requests."""

    def __init__(self, real, after):
        self._real, self._left = real, after

    def __getattr__(self, name):
        return getattr(self._real, name)

    def infer(self, *arguments, **options):
        if self._left == 0:
            os.kill(self._real.pid, signal.SIGKILL)
        self._left -= 1
        return self._real.infer(*arguments, **options)


@pytest.mark.server
class TestOnTriton:
    MODEL = "resnet50_t4_eager"

    def test_the_table_is_the_published_curve_and_a_little_more(self, triton):
        # A device of its own: another program on this machine may be busy with the committed one.
        config = committed()[self.MODEL]
        triton.load(self.MODEL, config.replace(parameters={**config.parameters, "device": "test-sweep"}))
        done = quiet(triton, (1, 8, 32), seconds_per_size=0.6, min_requests=10, model=self.MODEL)
        profile = load_profiles()[done.provenance.profile]
        table = done.table().set_index("batch_size")
        assert done.provenance.tier == "emulated"
        for size in (1, 8, 32):
            device_ms = profile.latency_ms(size)
            assert table.loc[size, "p50_ms"] >= device_ms
            assert table.loc[size, "p50_ms"] < device_ms * 1.5 + 10
            # Triton closes its books just after it answers: the last warm-up request may fall on either side.
            batches = done.runs[size].server.batches
            assert list(batches) == [size]
            assert abs(batches[size] - len(done.runs[size].kept)) <= 1
        assert done.knee() > 1
        triton.unload(self.MODEL)

    def test_killed_in_mid_sweep_keeps_what_was_measured(self):
        with start([self.MODEL], reuse=False) as real:
            with pytest.warns(UserWarning, match="stopped at batch 8"):
                done = quiet(Mortal(real, after=7 + 4), (1, 8, 32), seconds_per_size=0, model=self.MODEL)
            assert done.partial
            assert list(done.runs) == [1, 8]
            assert len(done.runs[8].answered) == 2
            assert journal.load(done.runs[8].run_id).partial
