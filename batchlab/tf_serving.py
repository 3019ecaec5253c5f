"""TensorFlow Serving's batching file, checked against its own schema, and the command that would serve with it.

Nothing of TensorFlow is installed: the schema is a few fields, written down here as the server's sources have them.
The server itself is a Docker image; this module prints the command and runs nothing.

Source of names and field numbers: message BatchingParameters in
``tensorflow_serving/servables/tensorflow/session_bundle_config.proto`` of tensorflow/serving (commit 03f8b6b5).
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.message import Message

from batchlab import pbtxt

# A release that the project's own page of releases lists.
IMAGE = "tensorflow/serving:2.16.1"
PACKAGE = "tensorflow.serving"
US_PER_MS = 1000
INTEGERS = {"max_batch_size": 1, "batch_timeout_micros": 2, "max_enqueued_batches": 3, "num_batch_threads": 4}
Field = descriptor_pb2.FieldDescriptorProto


class BatchingFileError(ValueError):
    """A batching file that TensorFlow Serving would refuse."""


def empty() -> Any:
    """Return an empty BatchingParameters message."""
    file = descriptor_pb2.FileDescriptorProto(
        name="batchlab/session_bundle_config.proto", package=PACKAGE, syntax="proto3"
    )
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name="BatchingParameters")
    # Wrapped integers: the schema tells a knob that was left out from one that is 0.
    wrapped = dict.fromkeys(INTEGERS, ".google.protobuf.Int64Value")
    for number, (name, kind) in enumerate([*wrapped.items(), ("thread_pool_name", ".google.protobuf.StringValue")], 1):
        message.field.add(name=name, number=number, type=Field.TYPE_MESSAGE, type_name=kind, label=Field.LABEL_OPTIONAL)
    message.field.add(name="allowed_batch_sizes", number=6, type=Field.TYPE_INT64, label=Field.LABEL_REPEATED)
    message.field.add(name="pad_variable_length_inputs", number=7, type=Field.TYPE_BOOL, label=Field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.BatchingParameters"))()


def parse(text: str, source: str = "batching_parameters.txt") -> dict[str, Any]:
    """Return the values that a batching file sets, by name.

    Raises:
        BatchingFileError: the place and what is wrong: no such field, a number where a message with ``value`` belongs,
            or a rule of the schema that it breaks.
    """
    try:
        message: Message = pbtxt.parse(text, empty(), source)
    except pbtxt.RepositoryError as error:
        hint = ""
        if "Expected" in str(error) and any(name in text for name in INTEGERS):
            hint = " A knob is a message with a value: max_batch_size { value: 8 }."
        reason = str(error).removesuffix(" Compare with Triton's model configuration reference.")
        raise BatchingFileError(f"{reason}{hint}") from error
    values: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name == "allowed_batch_sizes":
            values[field.name] = list(value)
        else:
            values[field.name] = value.value if isinstance(value, Message) else value
    _check(values, source)
    return values


def _check(values: dict[str, Any], source: str) -> None:
    """Hold values against the rules that stand in the schema's comments."""
    least = {"max_batch_size": 1, "num_batch_threads": 1, "batch_timeout_micros": 0, "max_enqueued_batches": 1}
    for name, bound in least.items():
        if values.get(name, bound) < bound:
            raise BatchingFileError(f"{source}: {name} is {values[name]}; it must be {bound} or more.")
    allowed = values.get("allowed_batch_sizes", [])
    if any(second <= first for first, second in pairwise(allowed)):
        raise BatchingFileError(f"{source}: allowed_batch_sizes {allowed} do not rise.")
    if allowed and allowed[-1] != values.get("max_batch_size"):
        raise BatchingFileError(
            f"{source}: the last of allowed_batch_sizes is {allowed[-1]}; it must equal max_batch_size, "
            f"{values.get('max_batch_size', 'which is not set')}."
        )


def render(max_batch_size: int, max_wait_ms: float, queue: int, workers: int = 1) -> str:
    """Return the batching file for the four knobs.

    Args:
        max_batch_size: most items in a batch.
        max_wait_ms: how long a request may wait for company.
        queue: requests that may wait; the server counts whole batches, so this is rounded down, to one at least.
        workers: threads that run batches.
    """
    values = {
        "max_batch_size": max_batch_size,
        "batch_timeout_micros": round(max_wait_ms * US_PER_MS),
        "max_enqueued_batches": max(queue // max_batch_size, 1),
        "num_batch_threads": workers,
    }
    message = empty()
    for name, value in values.items():
        getattr(message, name).value = value
    text = pbtxt.render(message)
    parse(text)
    return text


def docker_command(model_folder: Path | str, batching_file: Path | str, model: str, port: int = 8501) -> str:
    """Return the command that serves a saved model with a batching file, REST on 127.0.0.1; it is not run here."""
    target = f"/models/{model}"
    return (
        f"docker run --rm -p 127.0.0.1:{port}:8501 -v {model_folder}:{target} "
        f"-v {batching_file}:/models/batching_parameters.txt -e MODEL_NAME={model} {IMAGE} "
        "--enable_batching=true --batching_parameters_file=/models/batching_parameters.txt"
    )
