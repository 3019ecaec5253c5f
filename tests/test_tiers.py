"""A model's tier, read from its configuration."""

import json
from typing import Any

import pytest

from batchlab import committed, tiers

GPU = {"instance_group": [{"kind": "KIND_GPU"}]}
CPU = {"instance_group": [{"kind": "KIND_CPU"}]}
STEPS = {
    "fast": {"backend": "onnxruntime", **GPU},
    "slow": {"backend": "python", **CPU},
    "played": {"backend": "emulated", **CPU},
}


@pytest.mark.parametrize(
    ("config", "embedded", "expected"),
    [
        ({"backend": "emulated", **GPU}, True, "emulated"),
        ({"backend": "onnxruntime", **GPU}, False, "gpu"),
        ({"backend": "onnxruntime", **GPU}, True, "cpu"),
        ({"backend": "onnxruntime", **CPU}, False, "cpu"),
        ({"backend": "torchvision", **GPU}, True, "gpu"),
        ({"backend": "torchvision", "parameters": {"device": {"string_value": "cpu"}}, **GPU}, True, "cpu"),
        ({"backend": "python"}, True, "cpu"),
        ({"ensemble_scheduling": {"step": [{"model_name": "slow"}, {"model_name": "fast"}]}}, False, "gpu"),
        ({"ensemble_scheduling": {"step": [{"model_name": "slow"}, {"model_name": "fast"}]}}, True, "cpu"),
        ({"ensemble_scheduling": {"step": [{"model_name": "fast"}, {"model_name": "played"}]}}, False, "emulated"),
    ],
)
def test_tier(config: dict[str, Any], embedded: bool, expected: str) -> None:
    assert tiers.tier(config, embedded, STEPS.__getitem__) == expected


def test_the_null_model_computes_nothing_and_the_others_do():
    nothing = {
        config.name for config in committed.configurations() if tiers.computes_nothing(json.loads(config.to_json()))
    }
    assert nothing == {"null"}


@pytest.mark.parametrize(("embedded", "expected"), [(False, "gpu"), (True, "cpu")])
def test_a_model_that_calls_an_encoder_has_the_encoders_tier(embedded, expected):
    encoder = {"backend": "onnxruntime", "instance_group": [{"kind": "KIND_GPU"}]}
    caller = {"backend": "python", "parameters": {"encoder": {"string_value": "text_encoder"}}}
    assert tiers.tier(caller, embedded, {"text_encoder": encoder}.__getitem__) == expected
