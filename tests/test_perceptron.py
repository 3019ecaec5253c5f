"""Perceptrons: they learn, the same each time; ONNX computes what torch does; FP16 nearly so."""

import numpy as np
import onnx
import pytest
import torch

from batchlab import perceptron, ranking
from batchlab.perceptron import Examples

SIZES = (3, 5)


def examples(count, seed=1):
    random = np.random.default_rng(seed)
    numbers = random.normal(1e5, 3e4, (count, 2)).astype(np.float32)
    fields = np.column_stack([random.integers(0, size, count) for size in SIZES])
    likely = (numbers[:, 0] > 1e5) ^ (fields[:, 1] == 2)
    return Examples(numbers, (random.random(count) < np.where(likely, 0.95, 0.05)).astype(np.int64), fields)


def learn(**changes):
    options = {"widths": (16,), "sizes": SIZES, "vector": 4, "epochs": 6, "rate": 1e-2, "seed": 3, **changes}
    return perceptron.train(examples(4000), **options)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("perceptron"), learn()
    perceptron.export(made, folder / "whole.onnx", numbers="x", fields="f", output="y")
    perceptron.halve(folder / "whole.onnx", folder / "half.onnx")
    return made, folder / "whole.onnx", folder / "half.onnx"


def test_it_learns_what_no_line_could(written):
    exam = examples(2000, seed=2)
    answers = perceptron.probabilities(written[0], exam)
    assert ranking.score(exam.labels, answers, answers, 0.5).auc > 0.9


def test_training_is_the_same_each_time_and_leaves_torch_alone():
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    one, two, other = (learn(epochs=1, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.layers[0].weight, other.layers[0].weight)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_onnx_computes_what_torch_does_and_fp16_nearly(written):
    made, whole, half = written
    exam = examples(500, seed=2)
    inputs, expected = {"x": exam.numbers, "f": exam.fields}, perceptron.probabilities(made, exam)
    assert ranking.agree(ranking.answers(whole, inputs), expected) < 1e-5
    gap = ranking.agree(ranking.answers(half, inputs), expected, tolerance=0.02)
    assert gap > 0  # it is another arithmetic, not the same file
    assert half.stat().st_size < whole.stat().st_size


def test_the_half_keeps_its_inputs_and_bounds_what_fp16_cannot_hold(written):
    _, whole, half = written
    for path in (whole, half):
        model = onnx.load(path)
        assert model.ir_version <= 10
        kinds = [tensor.type.tensor_type.elem_type for tensor in (*model.graph.input, *model.graph.output)]
        assert kinds == [onnx.TensorProto.INT64, onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT]
    wild = {"x": np.full((1, 2), 1e30, np.float32), "f": np.zeros((1, 2), np.int64)}
    assert np.isfinite(ranking.answers(half, wild)).all()


def test_any_whole_number_is_a_category(written):
    made, whole, _ = written
    inputs = {"x": np.full((2, 2), 1e5, np.float32), "f": np.array([[1, 2], [1 + 3, 2 - 5]])}
    first, second = ranking.answers(whole, inputs)
    assert first == second
    expected = perceptron.probabilities(made, Examples(inputs["x"], np.zeros(2), inputs["f"]))
    assert np.allclose([first, second], expected, atol=1e-6)


def test_files_of_the_same_weights_are_the_same(written, tmp_path):
    made, whole, half = written
    perceptron.export(made, tmp_path / "again.onnx", numbers="x", fields="f", output="y")
    perceptron.halve(tmp_path / "again.onnx", tmp_path / "half.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == whole.read_bytes()
    assert (tmp_path / "half.onnx").read_bytes() == half.read_bytes()
