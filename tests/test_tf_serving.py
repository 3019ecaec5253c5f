"""TensorFlow Serving's batching file: its schema, its rules, the four knobs, the command."""

import pytest

from batchlab import tf_serving
from batchlab.tf_serving import BatchingFileError

GOOD = """
max_batch_size { value: 8 }
batch_timeout_micros { value: 5000 }
max_enqueued_batches { value: 4 }
num_batch_threads { value: 1 }
allowed_batch_sizes: [2, 4, 8]
pad_variable_length_inputs: true
thread_pool_name { value: "mine" }
"""


def test_every_field_of_the_schema_is_read():
    assert tf_serving.parse(GOOD) == {
        "max_batch_size": 8,
        "batch_timeout_micros": 5000,
        "max_enqueued_batches": 4,
        "num_batch_threads": 1,
        "thread_pool_name": "mine",
        "allowed_batch_sizes": [2, 4, 8],
        "pad_variable_length_inputs": True,
    }


def test_the_field_numbers_are_those_of_the_sources():
    # On the wire: field 1 holds a wrapped 8, field 4 a wrapped 2; field 6 is packed.
    message = tf_serving.empty()
    message.max_batch_size.value = 8
    message.num_batch_threads.value = 2
    message.allowed_batch_sizes.extend([8])
    assert message.SerializeToString() == b"\x0a\x02\x08\x08\x22\x02\x08\x02\x32\x01\x08"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size: 8", "A knob is a message with a value"),
        ("max_batch { value: 8 }", "max_batch_size"),
        ("num_batch_threads { value: 0 }", "must be 1 or more"),
        ("batch_timeout_micros { value: -1 }", "must be 0 or more"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: [4, 2, 8]", "do not rise"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: [2, 4]", "must equal max_batch_size, 8"),
        ("allowed_batch_sizes: [2, 4]", "which is not set"),
    ],
)
def test_a_file_that_the_server_would_refuse_is_refused(text, words):
    with pytest.raises(BatchingFileError, match=words):
        tf_serving.parse(text)


def test_an_error_names_file_and_line():
    with pytest.raises(BatchingFileError, match=r"mine\.txt:2:"):
        tf_serving.parse("max_batch_size { value: 8 }\nwrong { value: 1 }\n", "mine.txt")


def test_the_four_knobs_become_a_file_that_counts_the_queue_in_batches():
    values = tf_serving.parse(tf_serving.render(8, 2.5, queue=100, workers=2))
    assert values == {
        "max_batch_size": 8,
        "batch_timeout_micros": 2500,
        "max_enqueued_batches": 12,
        "num_batch_threads": 2,
    }
    assert tf_serving.parse(tf_serving.render(32, 0, queue=1))["max_enqueued_batches"] == 1
    with pytest.raises(BatchingFileError, match="max_batch_size is -1"):
        tf_serving.render(-1, 0, queue=1)


def test_the_command_stays_on_this_machine_and_names_its_image_exactly():
    command = tf_serving.docker_command("/models/bert", "/etc/batching.txt", "bert", port=9001)
    assert "-p 127.0.0.1:9001:8501 " in command
    assert "--enable_batching=true --batching_parameters_file=/models/batching_parameters.txt" in command
    assert "-v /etc/batching.txt:/models/batching_parameters.txt" in command
    assert ":latest" not in command
    assert tf_serving.IMAGE in command
