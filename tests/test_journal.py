"""Runs on disk survive what happens to disks and processes: kill -9, a full disk, a cut file, a careless editor."""

import errno
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from batchlab import journal
from batchlab.journal import JournalError, RunWriter
from batchlab.measure import COLUMNS
from batchlab.provenance import Machine, Provenance
from batchlab.statistics import Activity

ACTIVITY = Activity("m", 3, 0, 3, 2, 1.5, 0.1, 10.0, 0.2, {1: 1, 2: 1}, {1: 9.0, 2: 11.0})
SAMPLES = [(0.1 * i, 0.1 * i + 1e-4, 0.1 * i + 1 / 3, 1 + i % 2, i != 2, "" if i != 2 else "late") for i in range(5)]


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))


def origin():
    return Provenance("cpu", "m", "triton", Machine("p", 2, 8.0, "Linux", "3.11"), seed=4, details={"pace": "0.5"})


def written(samples=SAMPLES, **options):
    with RunWriter(origin(), "open_loop", warmup_s=0.15, settings={"rate_rps": 10.0}, **options) as writer:
        for sample in samples:
            writer.add(*sample)
        return writer.finish(server=ACTIVITY, invalid=["sender late"]), writer


def in_a_process(code, **options):
    """Start a Python that writes a run in its own process."""
    lines = "from batchlab.journal import *\nfrom batchlab.provenance import Machine, Provenance\nimport time, sys\n"
    lines += "origin = Provenance('cpu', 'm', 'triton', Machine('p', 2, 8.0, 'Linux', '3.11'))\n"
    return subprocess.Popen(
        [sys.executable, "-c", lines + textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, **options
    )


def test_a_run_comes_back_whole():
    run, writer = written()
    again = journal.load(run.run_id)
    assert writer.problem == ""
    assert again.samples.equals(run.samples)
    assert again.provenance == run.provenance
    assert again.server == ACTIVITY
    assert (again.kind, again.warmup_s, again.settings) == ("open_loop", 0.15, {"rate_rps": 10.0})
    assert again.invalid == ["sender late"]
    assert not again.partial
    assert list(again.kept.index) == [2, 3, 4]


def test_save_writes_what_the_writer_writes():
    run, writer = written()
    first = writer.path.read_bytes()
    writer.path.unlink()
    assert journal.save(run) == writer.path
    assert writer.path.read_bytes() == first


def test_a_loaded_run_saved_again_is_the_same_file():
    run, writer = written()
    before = writer.path.read_bytes()
    journal.save(journal.load(run.run_id))
    assert writer.path.read_bytes() == before


def test_settings_known_only_at_the_end_come_back_too():
    with RunWriter(origin(), "open_loop", settings={"rate_rps": 10.0}) as writer:
        writer.add(*SAMPLES[0])
        run = writer.finish(settings={"senders": [{"cpu_share": 0.25}]})
    both = {"rate_rps": 10.0, "senders": [{"cpu_share": 0.25}]}
    assert run.settings == journal.load(run.run_id).settings == both
    # A run that was loaded is saved with them, too.
    journal.save(journal.load(run.run_id))
    assert journal.load(run.run_id).settings == both


def test_extra_columns():
    with RunWriter(origin(), "open_loop", extra_columns=("device_ms",)) as writer:
        writer.add(0.0, 0.0, 0.1, 1, True, "", 9.5)
        run = writer.finish()
    assert journal.load(run.run_id).samples["device_ms"].tolist() == [9.5]


def test_a_sample_has_as_many_values_as_columns():
    with RunWriter(origin(), "open_loop") as writer, pytest.raises(JournalError, match="6 values"):
        writer.add(0.0, 0.0, 0.1)


def test_a_model_name_never_leaves_the_folder():
    with RunWriter(Provenance("cpu", "../../evil name", "s"), "open_loop") as writer:
        run = writer.finish()
    assert writer.path.parent == journal.workspace.runs_dir()
    assert journal.load(run.run_id).provenance.model == "../../evil name"


def test_saved_lists_runs_oldest_first():
    first, second = written()[0], written()[0]
    os.utime(journal.workspace.runs_dir() / f"{second.run_id}.jsonl", (1, 1))
    assert [path.stem for path in journal.saved()] == [second.run_id, first.run_id]


def test_a_slow_run_is_on_disk_before_it_ends():
    with RunWriter(origin(), "sequential") as writer:
        writer.add(*SAMPLES[0])
        writer._flushed -= journal.FLUSH_AFTER_S + 1
        writer.add(*SAMPLES[1])
        assert len(journal.load(writer.path).samples) == 2


def test_a_run_outlives_kill_9_of_its_process(tmp_path):
    process = in_a_process(
        """
        writer = RunWriter(origin, "sequential")
        for i in range(450):
            writer.add(i * 0.1, i * 0.1, i * 0.1 + 0.05, 1, True, "")
        print(writer.path, flush=True)
        time.sleep(60)
        """,
        env={**os.environ, "BATCHLAB_HOME": str(tmp_path)},
    )
    path = process.stdout.readline().strip()
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    run = journal.load(path)
    assert run.partial
    assert 400 <= len(run.samples) <= 450
    assert run.throughput_rps == pytest.approx(10, rel=0.05)


def test_an_exception_in_the_run_leaves_a_partial_file():
    writer = RunWriter(origin(), "sequential")

    def measure():
        with writer:
            writer.add(*SAMPLES[0])
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        measure()
    run = journal.load(writer.path)
    assert run.partial
    assert len(run.samples) == 1


def test_a_file_cut_at_any_byte_loads_as_far_as_it_goes():
    run, writer = written()
    whole = writer.path.read_bytes()
    header_end = whole.index(b"\n")
    ends = [position for position, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(header_end, len(whole)):
        writer.path.write_bytes(whole[:cut])
        again = journal.load(writer.path)
        complete = sum(1 for end in ends[1:-1] if end <= cut)
        assert len(again.samples) == complete, cut
        assert again.samples.equals(run.samples.head(complete)), cut
        assert again.partial == (cut < len(whole) - 1), cut  # only the last newline may be missing


def test_a_file_cut_inside_its_header_is_no_run():
    _, writer = written()
    whole = writer.path.read_bytes()
    for cut in (0, 1, whole.index(b"\n") - 1):
        writer.path.write_bytes(whole[:cut])
        with pytest.raises(JournalError, match="not a saved run"):
            journal.load(writer.path)


def test_a_changed_line_is_named():
    _, writer = written()
    lines = writer.path.read_text().splitlines()
    lines[3] = lines[3].replace("true", "yes").replace("false", "yes")
    writer.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(JournalError, match=r"line 4: neither a sample nor a footer"):
        journal.load(writer.path)


def test_no_such_run():
    with pytest.raises(JournalError, match="No run at"):
        journal.load("never-measured")


def test_a_disk_that_refuses_in_mid_run_costs_the_file_not_the_run(tmp_path):
    """A real refusal by the operating system: the process may write 4 KiB to a file, no more."""
    process = in_a_process(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with RunWriter(origin, "sequential") as writer:
            for i in range(1000):
                writer.add(i * 0.1, i * 0.1, i * 0.1 + 0.05, 1, True, "")
            run = writer.finish()
        print(len(run.samples), run.run_id == "", run.partial, writer.problem)
        print(writer.path)
        try:
            save(run)
        except JournalError as error:
            print(error)
        """,
        env={**os.environ, "BATCHLAB_HOME": str(tmp_path)},
    )
    told, path, refused = process.communicate(timeout=60)[0].splitlines()
    assert told.startswith("1000 True False The run could not be written to")
    assert "File too large" in told
    assert "save(run)" in told
    assert "could not be saved" in refused
    half = journal.load(path)
    assert half.partial
    assert 0 < len(half.samples) < 1000
    assert list(tmp_path.rglob("*.draft")) == []


def test_a_full_disk_is_told_once_and_the_run_can_be_saved_later():
    class Full:
        def write(self, text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RunWriter(origin(), "sequential") as writer:
        writer._file.close()
        writer._file = Full()
        for sample in SAMPLES:
            writer.add(*sample)
        run = writer.finish()
    assert "No space left on device" in writer.problem
    assert run.run_id == ""
    assert len(run.samples) == 5
    journal.save(run)
    assert journal.load(run.run_id).samples.equals(run.samples)


def test_a_folder_that_is_not_there_costs_the_file_not_the_run(tmp_path):
    run, writer = written(folder=tmp_path / "gone")
    assert "No such file or directory" in writer.problem
    assert len(run.samples) == 5
    with pytest.raises(JournalError, match="still whole in memory"):
        journal.save(run, tmp_path / "gone")


def test_the_columns_are_those_of_a_run():
    assert RunWriter(origin(), "sequential").columns == COLUMNS
