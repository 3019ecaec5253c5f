"""Buckets: names, limits, shapes, files."""

from pathlib import Path

import pytest

from batchlab import buckets
from batchlab.repository import read


def test_each_bucket_has_its_own_shape_and_limit() -> None:
    short, long = buckets.configs([16, 64], token_budget=512)

    assert (short.name, long.name) == ("text_upto_16", "text_upto_64")
    assert (short.max_batch_size, long.max_batch_size) == (32, 8)
    assert {spec.dims for spec in short.inputs} == {(16,)}
    assert {spec.dims for spec in long.inputs} == {(64,)}
    assert short.dynamic_batching is not None


@pytest.mark.parametrize("bounds", [[], [0, 16], [16, 16], [32, 16]])
def test_bounds_that_do_not_rise_are_refused(bounds: list[int]) -> None:
    with pytest.raises(buckets.BucketError, match="do not rise"):
        buckets.configs(bounds)


def test_a_budget_holds_at_least_one_text() -> None:
    assert buckets.configs([64], token_budget=64)[0].max_batch_size == 1
    with pytest.raises(buckets.BucketError, match="does not hold one text of 64"):
        buckets.configs([16, 64], token_budget=63)


def test_the_repository_shares_one_network(tmp_path: Path) -> None:
    network = tmp_path / "network.onnx"
    network.write_bytes(b"weights")

    names = buckets.write(tmp_path / "models", [16, 64], network=network)
    again = buckets.write(tmp_path / "models", [16, 64], token_budget=128, network=network)

    assert names == again == ["text_upto_16", "text_upto_64"]
    for name in names:
        assert (tmp_path / "models" / name / "1" / "model.onnx").read_bytes() == b"weights"
    assert read("text_upto_16", tmp_path / "models").max_batch_size == 8


def test_a_network_that_is_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(buckets.BucketError, match="build the text models first"):
        buckets.write(tmp_path, [16], network=tmp_path / "nothing.onnx")
