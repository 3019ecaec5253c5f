"""Inputs made from a model's metadata: shapes, types, and what only the user can know."""

import numpy as np
import pytest

from batchlab.inputs import InputsError, generated_inputs


def spec(data_type="FP32", shape=(-1, 3, 4)):
    return {"name": "m", "inputs": [{"name": "x", "datatype": data_type, "shape": list(shape)}]}


@pytest.mark.parametrize(("data_type", "dtype"), [("FP32", "f4"), ("FP16", "f2"), ("INT64", "i8"), ("BOOL", "?")])
def test_shape_and_type(data_type, dtype):
    made = generated_inputs(spec(data_type), 5)["x"]
    assert made.shape == (5, 3, 4)
    assert made.dtype == np.dtype(dtype)


def test_numbers_are_seeded_and_not_zero():
    one, same, other = (generated_inputs(spec(), 2, seed=seed)["x"] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.count_nonzero(one) == one.size


def test_integers_are_a_valid_index_everywhere():
    assert not generated_inputs(spec("INT32"), 2)["x"].any()


def test_texts():
    made = generated_inputs(spec("BYTES", (-1, 1)), 2)["x"]
    assert made.shape == (2, 1)
    assert made[0, 0] == b"batch"


def test_model_without_a_batch_dimension_keeps_its_shape():
    assert generated_inputs(spec(shape=(3, 4)), 1, batched=False)["x"].shape == (3, 4)


def test_variable_dimension_asks_for_inputs():
    with pytest.raises(InputsError, match=r"'x' .* \[-1, 3, -1\].*Pass inputs="):
        generated_inputs(spec(shape=(-1, 3, -1)), 2)


def test_unknown_type_asks_for_inputs():
    with pytest.raises(InputsError, match="BF16"):
        generated_inputs(spec("BF16"), 2)
