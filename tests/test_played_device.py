"""The emulated device outside Triton: the backend's own clock and lock, shared by whoever names the device."""

import subprocess
import sys
import time

import pytest

from batchlab import played_device
from batchlab.played_device import PlayedModel

CURVE = "1:20,2:30,4:40"


@pytest.fixture(autouse=True)
def _devices(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_DEVICES", str(tmp_path / "devices"))


def test_a_batch_takes_as_long_as_its_curve_says():
    model = PlayedModel(CURVE, "one", 4)
    began = time.monotonic()
    assert model.run(3) == {"batch_size": 3, "device_ms": 35.0}
    assert time.monotonic() - began >= 0.035
    model.close()


def test_the_stand_in_for_triton_does_not_stay():
    played_device.emulated()
    assert played_device.STUB not in sys.modules


def test_two_processes_share_one_device():
    script = (
        "import time\nfrom batchlab.played_device import PlayedModel\n"
        "model = PlayedModel('1:20', 'shared', 1)\nmodel.run(1)\nprint('ready', flush=True)\ninput()\n"
        "for _ in range(20): model.run(1)\n"
    )
    pair = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in pair] == ["ready\n"] * 2
    began = time.monotonic()
    for process in pair:
        process.communicate("\n", timeout=60)
    # 40 batches of 20 ms, one after another: side by side they would take half of it.
    assert time.monotonic() - began >= 0.8


def test_batches_are_counted_by_size(tmp_path):
    model = PlayedModel("1:1,4:1", "counted", 4, counts=tmp_path)
    for size in (1, 4, 4):
        model.run(size)
    assert played_device.counted(tmp_path) == {1: 1, 4: 2}
    assert played_device.counted(tmp_path / "nothing") == {}


@pytest.mark.parametrize(("items", "words"), [(0, "A batch of 0"), (5, "1 to 4 were allowed")])
def test_a_server_that_forms_a_wrong_batch_is_told(items, words):
    with pytest.raises(ValueError, match=words):
        PlayedModel(CURVE, "strict", 4).run(items)


def test_a_curve_is_not_drawn_out_beyond_its_end():
    with pytest.raises(ValueError, match="beyond the largest published batch"):
        PlayedModel(CURVE, "far", 8)


def test_a_process_that_nobody_gave_settings_says_who_should(monkeypatch):
    monkeypatch.delenv(played_device.SETTINGS_VARIABLE, raising=False)
    with pytest.raises(RuntimeError, match=r"batchlab\.rival_server"):
        PlayedModel.from_environment()
