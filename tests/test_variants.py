"""Variants of a network: each computes the same within its own tolerance, and what a machine lacks is said."""

from pathlib import Path

import numpy as np
import pytest
from toy_network import feed, toy

from batchlab import gate, gpu, networks, text_model, variants
from batchlab.networks import Network
from batchlab.variants import VariantError

# Of scores that spread by some 6: fusing changes the order of sums, FP16 keeps 11 bits, INT8 8.
TOLERANCE = {
    "onnx-none": 1e-4,
    "onnx-all": 1e-4,
    "compiled": 1e-4,
    "fp16": 0.05,
    "int8-dynamic": 0.6,
    "int8-static": 0.6,
}


@pytest.fixture
def network(tmp_path: Path, home: Path) -> Network:
    return toy(tmp_path)


@pytest.mark.parametrize("technique", TOLERANCE)
def test_answers_are_those_of_pytorch_within_the_tolerance(network: Network, technique: str) -> None:
    eager, variant = variants.make(network, "eager"), variants.make(network, technique)
    for batch in (1, 5):
        expected, found = eager.run(feed(batch)), variant.run(feed(batch))
        assert found.dtype == np.float32
        assert found.shape == (batch, 4)
        assert np.abs(found - expected).max() < TOLERANCE[technique]


def test_int8_is_not_the_same_as_fp32(network: Network) -> None:
    gap = np.abs(
        variants.make(network, "int8-dynamic").run(feed(8)) - variants.make(network, "eager").run(feed(8))
    ).max()
    assert gap > 1e-3


def test_a_variant_says_what_it_is_and_how_large(network: Network) -> None:
    half = variants.make(network, "fp16")
    assert str(half) == "toy, fp16: ONNX Runtime, weights and layers in FP16"
    assert half.path
    assert half.megabytes == half.path.stat().st_size / 1e6
    assert variants.make(network, "eager").path is None


def test_an_unknown_technique_is_refused_with_the_nearest(network: Network) -> None:
    with pytest.raises(VariantError, match=r"no technique 'int8_static'\. Did you mean 'int8-static'"):
        variants.make(network, "int8_static")


def test_without_a_compiler_the_message_says_what_is_missing(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(VariantError, match=r"no-such-compiler is missing.*apt-get install g\+\+"):
        variants.make(network, "compiled")


def test_without_a_gpu_the_message_says_so(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "gpus", list)
    with pytest.raises(VariantError, match="needs an NVIDIA GPU: there is none"):
        variants.make(network, "cuda")


def test_the_text_encoder_rewritten_answers_the_same_and_a_broken_one_is_refused(home: Path) -> None:
    text_model.build()
    network = networks.text_encoder()
    exam, right = networks.exam()
    before = variants.make(network, "onnx-none").run(exam)
    after = variants.make(network, "transformer").run(exam)
    assert np.abs(before - after).max() < text_model.TOLERANCE
    truth = before.argmax(axis=1) == right
    assert gate.judge(truth, after.argmax(axis=1) == right, allowed_loss=0.03).passed
    broken = np.roll(after, 1, axis=1).argmax(axis=1) == right
    assert gate.judge(truth, broken, allowed_loss=0.03).outcome == "FAIL"


@pytest.mark.gpu
def test_on_a_gpu_the_answers_are_the_same(network: Network) -> None:
    if not gpu.gpus() or gpu.torch_problem():
        pytest.skip("no NVIDIA GPU")
    expected = variants.make(network, "eager").run(feed(4))
    assert np.abs(variants.make(network, "cuda").run(feed(4)) - expected).max() < 0.05
