"""Inputs from metadata and files, and their encoding, read back by the protocol's own rules."""

import json

import numpy as np
import pytest
from fake_server import MODEL

from batchlab.inputs import InputsError, encode, from_file, from_metadata, request_bodies

IMAGE = {"name": "resnet50", "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 8, 8]}]}
TOKENS = {
    "name": "encoder",
    "inputs": [
        {"name": "input_ids", "datatype": "INT64", "shape": [-1, -1]},
        {"name": "attention_mask", "datatype": "INT64", "shape": [-1, -1]},
        {"name": "token_type_ids", "datatype": "INT64", "shape": [-1, -1]},
    ],
}
TEXT = {"name": "classifier", "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}]}


class Server:
    """Says what it is told to say."""

    def __init__(self, metadata, max_batch_size=8):
        self.answer, self.max_batch_size = metadata, max_batch_size

    def metadata(self, model):
        return self.answer

    def config(self, model):
        return self


def decoded(body):
    """Split a binary KServe body by its own JSON head."""
    head = json.loads(body.data[: body.json_bytes])
    rest, tensors = body.data[body.json_bytes :], {}
    for row in head["inputs"]:
        length = row["parameters"]["binary_data_size"]
        tensors[row["name"]], rest = (row, rest[:length]), rest[length:]
    assert rest == b""
    return tensors


def test_images_have_the_model_s_shape_and_repeat_with_the_seed():
    first = from_metadata(IMAGE, max_batch_size=8, batch_size=3, seed=1)
    again = from_metadata(IMAGE, max_batch_size=8, batch_size=3, seed=1)
    other = from_metadata(IMAGE, max_batch_size=8, batch_size=3, seed=2)
    assert first["image"].shape == (3, 3, 8, 8)
    assert first["image"].dtype == np.float32
    assert 0 <= first["image"].min() < first["image"].max() < 1
    assert np.array_equal(first["image"], again["image"])
    assert not np.array_equal(first["image"], other["image"])


def test_a_variable_dimension_takes_the_size():
    made = from_metadata(TOKENS, max_batch_size=8, batch_size=2, size=16)
    assert {name: values.shape for name, values in made.items()} == dict.fromkeys(made, (2, 16))
    assert (made["attention_mask"] == 1).all()
    assert (made["token_type_ids"] == 0).all()
    assert 1 <= made["input_ids"].min() < made["input_ids"].max() <= 9


def test_a_variable_dimension_without_a_size_is_named():
    with pytest.raises(InputsError, match=r"'input_ids' of model 'encoder' has a variable dimension.*--size"):
        from_metadata(TOKENS, max_batch_size=8)


def test_text_has_size_words():
    made = from_metadata(TEXT, max_batch_size=8, batch_size=2, size=5)
    assert made["text"].shape == (2, 1)
    assert all(len(text.split()) == 5 for text in made["text"].ravel())


@pytest.mark.parametrize("data_type", ["BOOL", "INT8", "INT32", "UINT8", "UINT16", "FP16", "BF16", "FP64", "BYTES"])
def test_every_data_type_can_be_made_and_encoded(data_type):
    metadata = {"name": "m", "inputs": [{"name": "x", "datatype": data_type, "shape": [4]}]}
    body = encode(from_metadata(metadata), metadata)
    row, data = decoded(body)["x"]
    assert (row["datatype"], row["shape"]) == (data_type, [4])
    assert len(data) > 0
    assert body.batch_size == 1


@pytest.mark.parametrize("batch", [0, 9])
def test_a_batch_out_of_range_is_named(batch):
    with pytest.raises(InputsError, match=f"Batch size {batch} is out of range: model 'resnet50' takes 1 to 8"):
        from_metadata(IMAGE, max_batch_size=8, batch_size=batch)


def test_encoding_keeps_every_value_and_counts_the_batch():
    values = np.arange(384, dtype=np.float32).reshape(2, 3, 8, 8)
    body = encode({"image": values}, IMAGE, max_batch_size=8)
    row, data = decoded(body)["image"]
    assert row["shape"] == [2, 3, 8, 8]
    assert np.array_equal(np.frombuffer(data, np.float32).reshape(values.shape), values)
    assert body.batch_size == 2


def test_encoding_converts_to_the_model_s_type():
    row, data = decoded(encode({"image": np.ones((1, 3, 8, 8))}, IMAGE, max_batch_size=8))["image"]
    assert row["datatype"] == "FP32"
    assert len(data) == 3 * 8 * 8 * 4


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"picture": np.ones((1, 3, 8, 8))}, "no input 'picture'; it has image"),
        ({"image": np.ones((1, 3, 8))}, r"shape \[1, 3, 8\]; the model takes \[-1, 3, 8, 8\]"),
        ({"image": np.ones((1, 3, 8, 9))}, r"shape \[1, 3, 8, 9\]"),
        ({"image": np.full((1, 3, 8, 8), "x", dtype=object)}, "'image'.*cannot be converted to FP32"),
        ({}, "without inputs: model 'resnet50' takes image"),
    ],
)
def test_inputs_that_do_not_fit_are_named(tensors, words):
    with pytest.raises(InputsError, match=words):
        encode(tensors, IMAGE, max_batch_size=8)


def test_files_of_three_forms_hold_the_same(tmp_path):
    values = np.array([[1, 2]], dtype=np.int64)
    np.savez(tmp_path / "a.npz", ids=values)
    (tmp_path / "b.json").write_text(json.dumps({"ids": [[1, 2]]}))
    kserve = {"inputs": [{"name": "ids", "shape": [1, 2], "datatype": "INT64", "data": [1, 2]}]}
    (tmp_path / "c.json").write_text(json.dumps(kserve))
    for name in ("a.npz", "b.json", "c.json"):
        assert np.array_equal(from_file(tmp_path / name)["ids"], values)


def test_text_from_a_file_is_encoded_as_bytes(tmp_path):
    (tmp_path / "text.json").write_text(json.dumps({"text": [["gut"]]}))
    (body,), _ = request_bodies(Server(TEXT), MODEL, tmp_path / "text.json")
    assert decoded(body)["text"][1] == b"\x03\x00\x00\x00gut"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", "holds no request inputs"),
        ("a.json", "[]", "expected an object of input names"),
        ("a.json", '{"inputs": [{"name": "x"}]}', "holds no request inputs"),
        ("a.json", '{"x": [[1, 2], [3]]}', "holds no request inputs"),
        ("a.npz", "zip?", "holds no request inputs"),
        ("a.csv", "1", "read from .npz or .json"),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputsError, match=words):
        from_file(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputsError, match=r"none\.npz holds no request inputs: .*No such file"):
        from_file(tmp_path / "none.npz")


def test_made_up_bodies_are_distinct_and_taken_in_turn():
    bodies, choice = request_bodies(Server(IMAGE), MODEL, batch_size=2)
    assert choice is None
    assert len({body.data for body in bodies}) == len(bodies) > 1
    assert {body.batch_size for body in bodies} == {2}


def test_sizes_fill_the_variable_dimension_or_the_batch():
    sizes = np.array([5, 3, 5])
    bodies, choice = request_bodies(Server(TOKENS), MODEL, sizes=sizes)
    assert [decoded(bodies[index])["input_ids"][0]["shape"] for index in choice] == [[1, 5], [1, 3], [1, 5]]
    bodies, choice = request_bodies(Server(IMAGE), MODEL, sizes=sizes)
    assert [bodies[index].batch_size for index in choice] == [5, 3, 5]


def test_sizes_that_count_batches_are_batches_whatever_the_model_takes():
    bodies, choice = request_bodies(Server(TEXT), MODEL, sizes=np.array([3, 1]), size_name="batch_size")
    assert [decoded(bodies[index])["text"][0]["shape"] for index in choice] == [[3, 1], [1, 1]]


def test_a_function_makes_the_inputs_of_each_size():
    def pixels(side):
        return {"image": np.zeros((1, 3, side, side), np.float32)}

    metadata = {"name": "m", "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 3, -1, -1]}]}
    bodies, choice = request_bodies(Server(metadata), MODEL, pixels, sizes=np.array([8, 4]))
    assert [decoded(bodies[index])["image"][0]["shape"][-1] for index in choice] == [8, 4]
    with pytest.raises(InputsError, match="pass a function of the size"):
        request_bodies(Server(metadata), MODEL, pixels(4), sizes=np.array([8, 4]))


def test_a_model_without_batching_takes_its_shape_as_it_is():
    metadata = {"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": [7]}]}
    bodies, _ = request_bodies(Server(metadata, max_batch_size=0), MODEL)
    assert decoded(bodies[0])["x"][0]["shape"] == [7]
    assert bodies[0].batch_size == 1


def test_numbers_can_be_sent_as_text_under_a_name_of_the_clients() -> None:
    about = {"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]}
    body = encode({"x": np.ones((1, 2))}, about, max_batch_size=4, as_json=True, request_id="mine")
    told = json.loads(body.data)
    assert body.json_bytes is None
    assert (told["id"], told["inputs"][0]["data"]) == ("mine", [1.0, 1.0])
