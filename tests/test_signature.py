"""Requests, checked before they are sent."""

from typing import Any

import numpy as np
import pytest

from batchlab.endpoint import RequestError
from batchlab.signature import Signature

METADATA: dict[str, Any] = {
    "name": "m",
    "inputs": [
        {"name": "image", "datatype": "UINT8", "shape": [-1, 2, 2, 3]},
        {"name": "text", "datatype": "BYTES", "shape": [-1, -1]},
    ],
    "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 10]}],
}
CONFIG: dict[str, Any] = {"max_batch_size": 4, "input": [{"name": "image"}, {"name": "text", "optional": True}]}
SIGNATURE = Signature.from_triton(METADATA, CONFIG)
IMAGES = np.zeros((2, 2, 2, 3), np.uint8)


def test_a_good_request_passes_as_it_is() -> None:
    ready = SIGNATURE.check({"image": IMAGES}, ["scores"])
    assert ready["image"][0] is IMAGES
    assert ready["image"][1] == "UINT8"
    with_text = SIGNATURE.check({"image": IMAGES, "text": [["a"], ["b"]]})
    assert with_text["text"][1] == "BYTES"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"imag": IMAGES},
            r"has no input 'imag' \(did you mean 'image'\?\). 'm' takes 'image' UINT8 \[2,2,3\], 'text'",
        ),
        ({}, "The input 'image' is missing"),
        ([IMAGES], "Inputs are a dict of name -> array, got list"),
        ({"image": IMAGES.astype(float)}, r"is float64, but 'm' takes UINT8. Send `array.astype\(np.uint8\)`"),
        ({"image": IMAGES[0]}, r"shape \[2, 2, 3\], which lacks the batch dimension.*Send `array\[None\]`"),
        ({"image": IMAGES[:, :1]}, r"shape \[2, 1, 2, 3\]; 'm' takes 'image' UINT8 \[2,2,3\]: send \[batch, 2, 2, 3\]"),
        ({"image": np.uint8(3)}, r"has shape \[\]"),
        ({"image": IMAGES[:0]}, "is an empty batch"),
        (
            {"image": np.zeros((5, 2, 2, 3), np.uint8)},
            r"batch of 5 is above the max_batch_size 4.*reconfigure\('m', max",
        ),
        ({"image": IMAGES, "text": np.zeros((2, 1))}, "is float64, but 'm' takes text"),
        ({"image": IMAGES, "text": np.array([["a"]])}, r"share one batch size, got \{'image': 2, 'text': 1\}"),
    ],
)
def test_a_bad_request_says_how_to_mend_it(inputs: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        SIGNATURE.check(inputs)


def test_an_unknown_output_is_named() -> None:
    with pytest.raises(RequestError, match=r"no output 'score'; it gives 'scores' FP32 \[10\]"):
        SIGNATURE.check({"image": IMAGES}, ["score"])


def test_without_a_batch_dimension_shapes_are_whole() -> None:
    metadata = {"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, -1]}]}
    plain = Signature.from_triton(metadata, {"max_batch_size": 0})
    assert plain.check({"x": np.zeros((2, 7), np.float32)})
    with pytest.raises(RequestError, match=r"send \[2, any\]"):
        plain.check({"x": np.zeros((1, 2, 7), np.float32)})
