"""The fraud check: payments as described, a network near the best possible, served by Triton within its short wait."""

import numpy as np
import onnx
import pytest

from batchlab import fraud, keepsake, ranking


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    return repository, fraud.build(repository)


def test_payments_are_the_same_for_a_seed_and_rarely_fraud():
    one, two, other = fraud.payments(20_000), fraud.payments(20_000), fraud.payments(20_000, seed=9)
    assert np.array_equal(one.numbers, two.numbers)
    assert not np.array_equal(one.numbers, other.numbers)
    assert one.numbers.shape == (20_000, len(fraud.FEATURES))
    assert one.numbers.dtype == np.float32
    assert np.isfinite(one.numbers).all()
    assert 0.02 < one.fraud.mean() < 0.07
    # Labels are drawn from the probabilities: their mean agrees within four standard errors.
    error = np.sqrt((one.probability * (1 - one.probability)).sum()) / len(one.fraud)
    assert one.fraud.mean() == pytest.approx(one.probability.mean(), abs=4 * error)
    with pytest.raises(ValueError, match="at least one payment, not 0"):
        fraud.payments(0)


def test_requests_differ_and_have_the_batch_asked_for():
    assert fraud.request(3)["payment"].shape == (3, 16)
    first, second = fraud.requests(2, batch_size=4)
    assert first["payment"].shape == (4, 16)
    assert not np.array_equal(first["payment"], second["payment"])


def test_the_network_is_good_and_cannot_be_perfect(made):
    found = made[1]
    assert 0.96 < found.auc < found.best_auc < 0.999
    assert found.recall > 0.75
    assert found.precision == 0.8
    assert found.examples == fraud.HELD_OUT


def test_the_record_is_what_the_file_reaches(made):
    repository, found = made
    exam = fraud.payments(fraud.HELD_OUT, fraud.SEED + 1)
    answers = ranking.answers(fraud.model_path(repository), {"payment": exam.numbers})
    assert ranking.score(exam.fraud, answers, exam.probability, fraud.PRECISION) == found
    assert fraud.built(repository) == found
    assert keepsake.record_path(fraud.model_path(repository)).name == "model.built.json"


def test_the_file_is_small_and_one_that_tritons_of_2024_read(made):
    path = fraud.model_path(made[0])
    assert path.stat().st_size < 200_000
    model = onnx.load(path)
    assert model.ir_version <= 10
    assert [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim] == [
        "batch",
        16,
    ]


@pytest.mark.server
def test_triton_serves_it_as_onnx_runtime_computes_it(triton):
    fraud.build()
    triton.load("fraud_check")
    inputs = fraud.request(20, seed=3)
    served = triton.infer("fraud_check", inputs)["fraud"]
    assert np.allclose(served[:, 0], ranking.answers(fraud.model_path(), inputs), atol=1e-5)
    assert triton.tier("fraud_check") == "cpu"
    triton.unload("fraud_check")
