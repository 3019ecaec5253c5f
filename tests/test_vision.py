"""Photographs as the weights expect them; a build that is whole or not there; damage seen and mended."""

import errno
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import ResNet50_Weights

from batchlab import resnet, vision
from batchlab.vision import VisionError


def test_photographs_are_what_the_weights_were_evaluated_on():
    names, pixels = vision.photographs()
    assert names == ["grace_hopper", "china", "flower"]
    assert (pixels.shape, pixels.dtype) == ((3, 224, 224, 3), np.uint8)
    preset = ResNet50_Weights.IMAGENET1K_V2.transforms()
    made = resnet.ResNet50(torch.nn.Identity())
    for name, mine in zip(names, pixels, strict=True):
        with Image.open(vision._photograph(name)) as image:
            expected = preset(image.convert("RGB"))
        assert torch.allclose(made(torch.from_numpy(mine[None]))[0], expected, atol=1e-5)


def test_a_missing_photograph_names_its_package(monkeypatch):
    monkeypatch.setitem(vision.PHOTOGRAPHS, "china", ("no_such_package", "china.jpg"))
    with pytest.raises(VisionError, match=r"'china' comes with no_such_package.*pip install no_such_package"):
        vision.photographs()


def test_images_repeat_the_photographs():
    pixels = vision.photographs()[1]
    assert np.array_equal(vision.images(5), pixels[[0, 1, 2, 0, 1]])
    assert vision.images(128).shape == (128, 224, 224, 3)
    with pytest.raises(VisionError, match="at least one image, not 0"):
        vision.images(0)


def test_labels_are_those_of_the_weights():
    assert vision.labels() == ResNet50_Weights.IMAGENET1K_V2.meta["categories"]


def test_labels_cut_short_are_refused(tmp_path):
    (tmp_path / "resnet50").mkdir()
    (tmp_path / "resnet50" / "labels.txt").write_text("tench\ngoldfish\n")
    with pytest.raises(VisionError, match=r"labels\.txt holds 2 of 1000 class names\. Restore it: git checkout"):
        vision.labels(tmp_path)
    with pytest.raises(VisionError, match=r"holds 0 of 1000"):
        vision.labels(tmp_path / "elsewhere")


@pytest.fixture
def quick(monkeypatch):
    """An export that takes no time, and how often it was called."""
    calls = []

    def make(path):
        calls.append(path)
        path.write_bytes(b"network" * len(calls))
        return "random", 0.0

    monkeypatch.setattr(resnet, "make", make)
    return calls


def leftovers(folder):
    return [
        path for path in folder.rglob("*") if path.name not in ("resnet50", "1", "model.onnx", "weights.built.json")
    ]


def test_a_build_is_done_once(tmp_path, quick, capsys):
    assert vision.built(tmp_path) is None
    made = vision.build(tmp_path)
    assert made == vision.built(tmp_path)
    assert made.sha256 == vision.sha256(vision.model_path(tmp_path))
    assert "building the ONNX model" in capsys.readouterr().out
    assert vision.build(tmp_path) == made
    assert capsys.readouterr().out == ""
    assert len(quick) == 1
    assert not leftovers(tmp_path)
    assert vision.build(tmp_path, force=True) != made


def test_the_record_tells_the_weights(tmp_path, quick):
    vision.build(tmp_path)
    record = json.loads((tmp_path / "resnet50" / "1" / "weights.built.json").read_text())
    assert record["weights"] == "random"
    assert record["torch"] == torch.__version__
    assert not vision.has_imagenet_weights(tmp_path)
    vision.sidecar_path(tmp_path).write_text(json.dumps({**record, "weights": "imagenet"}))
    assert vision.has_imagenet_weights(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "record gone", "record cut", "old recipe"])
def test_damage_is_seen_and_mended(tmp_path, quick, damage):
    vision.build(tmp_path)
    model, record = vision.model_path(tmp_path), vision.sidecar_path(tmp_path)
    if damage == "cut":
        model.write_bytes(model.read_bytes()[:-1])
    elif damage == "changed":
        model.write_bytes(b"other")
    elif damage == "gone":
        model.unlink()
    elif damage == "record gone":
        record.unlink()
    elif damage == "record cut":
        record.write_text(record.read_text()[:20])
    else:
        record.write_text(json.dumps({**json.loads(record.read_text()), "recipe": 0}))
    assert vision.built(tmp_path) is None
    made = vision.build(tmp_path)
    assert made == vision.built(tmp_path)
    assert len(quick) == 2


def test_a_build_that_fails_leaves_what_was_there(tmp_path, quick, monkeypatch):
    made = vision.build(tmp_path)

    def fail(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(resnet, "make", fail)
    with pytest.raises(VisionError, match=r"Cannot build ResNet-50 in .*: No space left on device\. .* free space"):
        vision.build(tmp_path, force=True)
    assert vision.built(tmp_path) == made
    assert not leftovers(tmp_path)


def test_what_a_killed_build_left_is_swept_up(tmp_path, quick):
    version = vision.model_path(tmp_path).parent
    # Process ids end at 2^22 on Linux: this one belongs to nobody.
    dead = version / ".building-99999999-x"
    dead.mkdir(parents=True)
    (dead / "model.onnx").write_bytes(b"half")
    alive = version / ".building-1-x"
    alive.mkdir()
    vision.build(tmp_path)
    assert not dead.exists()
    assert alive.exists()
