"""Profilers: torch's operators and ONNX Runtime's nodes become spans that nest, on the machine's clock."""

import time

import numpy as np
import pytest
import small_models
import torch

from batchlab import flame, profilers, spans
from batchlab.profilers import ProfileError


def test_torch_operators_are_spans_on_the_monotonic_clock() -> None:
    a = torch.ones(64, 64)
    before = time.monotonic_ns()
    with profilers.torch_spans() as seen:
        torch.nn.functional.linear(a, a)
    after = time.monotonic_ns()
    names = {span.name for span in seen.spans}
    assert {"aten::linear", "aten::matmul"} & names
    assert "aten::linear" in names
    slack = 50_000_000
    assert all(before - slack < span.start_ns <= span.end_ns < after + slack for span in seen.spans)


def test_an_operator_is_held_by_the_one_that_called_it() -> None:
    a = torch.ones(64, 64)
    with profilers.torch_spans() as seen:
        torch.nn.functional.linear(a, a)
    depths = {span.name: len(holders) for span, holders in spans.nested(seen.spans)}
    assert depths["aten::linear"] < depths["aten::mm"]
    assert flame.frames(flame.fold(seen.spans))[0].width_ms > 0


def test_a_named_range_holds_its_operators() -> None:
    with profilers.torch_spans() as seen, torch.profiler.record_function("my part"):
        torch.ones(8, 8) @ torch.ones(8, 8)
    holders = {span.name: [holder.name for holder in above] for span, above in spans.nested(seen.spans)}
    assert "my part" in holders["aten::matmul"]


def test_the_nodes_of_an_onnx_model_lie_within_its_last_run(tmp_path) -> None:
    path = small_models.put_onnx(tmp_path)
    before = time.monotonic_ns()
    found = profilers.onnx_spans(path, {"x": np.ones((4, 3), np.float32)}, runs=4)
    nested = {span.name: [holder.name for holder in above] for span, above in spans.nested(found)}
    assert nested == {"model_run": [], "Add": ["model_run"]}
    assert abs(found[0].start_ns - before) < 5_000_000_000


def test_the_options_can_be_changed(tmp_path) -> None:
    seen = []
    path = small_models.put_onnx(tmp_path)
    profilers.onnx_spans(path, {"x": np.ones((1, 3), np.float32)}, configure=seen.append)
    assert seen[0].enable_profiling


def test_trouble_is_told_in_onnx_runtimes_words(tmp_path) -> None:
    path = small_models.put_onnx(tmp_path)
    with pytest.raises(ProfileError, match=r"cannot profile .*model.onnx.*y"):
        profilers.onnx_spans(path, {"y": np.ones((1, 3), np.float32)})
    with pytest.raises(ProfileError, match="cannot profile"):
        profilers.onnx_spans(tmp_path / "none.onnx", {})
