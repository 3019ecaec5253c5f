"""Round trips against protobuf's own text_format: nothing of a configuration is lost, whatever it holds."""

import random

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema

from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, QueuePolicy, TensorSpec
from batchlab.pbtxt import RepositoryError

# Where any value of the type would not do: Triton's rules narrow these fields.
NARROWED = {
    "ModelInput.dims": lambda rng: rng.choice([-1, 1, 3, 224, 2**40]),
    "ModelOutput.dims": lambda rng: rng.choice([-1, 1, 1000]),
    "ModelInput.data_type": lambda rng: rng.randint(1, 14),
    "ModelOutput.data_type": lambda rng: rng.randint(1, 14),
    "ModelInput.name": lambda rng: f"in{rng.random()}",
    "ModelOutput.name": lambda rng: f"out{rng.random()}",
    "ModelConfig.max_batch_size": lambda rng: rng.choice([128, 4096]),
    "ModelDynamicBatching.preferred_batch_size": lambda rng: rng.randint(1, 128),
    "ModelDynamicBatching.default_priority_level": lambda rng: rng.randint(1, 9),
    "ModelDynamicBatching.preserve_ordering": lambda rng: False,
    "PriorityQueuePolicyEntry.key": lambda rng: rng.randint(1, 9),
    "ModelInstanceGroup.count": lambda rng: rng.randint(0, 8),
    "ModelInstanceGroup.kind": lambda rng: rng.choice([0, 1]),
    "ModelInstanceGroup.gpus": lambda rng: rng.randint(0, 7),
}
INTEGERS = {
    "TYPE_INT32": (-(2**31), 2**31 - 1),
    "TYPE_INT64": (-(2**63), 2**63 - 1),
    "TYPE_UINT32": (0, 2**32 - 1),
    "TYPE_UINT64": (0, 2**64 - 1),
}


def random_value(rng, field):
    narrowed = NARROWED.get(f"{field.containing_type.name}.{field.name}")
    if narrowed:
        return narrowed(rng)
    for name, (low, high) in INTEGERS.items():
        if field.type == getattr(field, name):
            return rng.choice([low, high, 0, 1, rng.randint(low, high)])
    if field.type == field.TYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    if field.type == field.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == field.TYPE_STRING:
        return "".join(rng.choice("aZ9_ \"'\\\n\t{}#:é漢") for _ in range(rng.randint(0, 12)))
    return rng.choice([0.0, -1.5, 1e-30, 0.1, rng.uniform(-1e6, 1e6)])


def fill(rng, message, depth=0):
    """Give each field of `message` a random value, or none."""
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if rng.random() < 0.35 or depth > 4 or (oneof and message.WhichOneof(oneof.name)):
            continue
        value = getattr(message, field.name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            key, item = (field.message_type.fields_by_name[part] for part in ("key", "value"))
            for _ in range(rng.randint(0, 3)):
                if item.message_type:
                    fill(rng, value[random_value(rng, key)], depth + 1)
                else:
                    value[random_value(rng, key)] = random_value(rng, item)
        elif field.is_repeated:
            for _ in range(rng.randint(0, 3)):
                if field.message_type:
                    fill(rng, value.add(), depth + 1)
                else:
                    value.append(random_value(rng, field))
        elif field.message_type:
            value.SetInParent()
            fill(rng, value, depth + 1)
        else:
            setattr(message, field.name, random_value(rng, field))
    return message


def random_config(seed):
    """A random message that Triton's rules allow."""
    rng = random.Random(seed)
    message = fill(rng, schema.ModelConfig())
    message.max_batch_size = message.max_batch_size or 128
    if message.HasField("dynamic_batching"):
        message.dynamic_batching.priority_levels = 9
        message.dynamic_batching.default_priority_level = message.dynamic_batching.default_priority_level or 1
    for tensor in (*message.input, *message.output):
        tensor.name, tensor.data_type = tensor.name or "t", tensor.data_type or schema.TYPE_FP32
    return message


@pytest.mark.parametrize("seed", range(150))
def test_nothing_is_lost_on_the_way_through_text_and_json(seed):
    message = random_config(seed)
    config = ModelConfig.from_pbtxt(text_format.MessageToString(message))
    assert config.to_message() == message
    rendered = config.to_pbtxt()
    assert text_format.Parse(rendered, schema.ModelConfig()) == message
    assert ModelConfig.from_pbtxt(rendered) == config
    assert ModelConfig.from_pbtxt(rendered).to_pbtxt() == rendered
    assert ModelConfig.from_json(config.to_json()).to_message() == message


def test_the_random_configurations_reach_every_field_of_the_schema():
    reached = {field.name for seed in range(150) for field, _value in random_config(seed).ListFields()}
    assert reached == set(schema.ModelConfig.DESCRIPTOR.fields_by_name)


def test_an_empty_dynamic_batching_is_kept_apart_from_none():
    assert ModelConfig.from_pbtxt('name: "m" max_batch_size: 8 dynamic_batching { }').dynamic_batching is not None
    assert ModelConfig.from_pbtxt('name: "m" max_batch_size: 8').dynamic_batching is None
    assert "dynamic_batching" in ModelConfig("m", max_batch_size=8, dynamic_batching=DynamicBatching()).to_json()


def test_what_no_field_names_is_written_as_protobuf_text():
    group = InstanceGroup(extra='rate_limiter { resources [{ name: "R" global: true count: 1 }] priority: 2 }')
    limiter = ModelConfig("m", instance_groups=(group,)).to_message().instance_group[0].rate_limiter
    assert (limiter.priority, limiter.resources[0].name) == (2, "R")
    with pytest.raises(RepositoryError, match=r"InstanceGroup\.extra:1:1: .*'rate_limter'.*'rate_limiter'"):
        InstanceGroup(extra="rate_limter { }")
    with pytest.raises(RepositoryError, match=r"InstanceGroup\.extra sets 'count'\. Use the field"):
        InstanceGroup(extra="count: 3")


def test_two_spellings_of_the_same_extra_are_equal():
    assert InstanceGroup(extra="rate_limiter{priority:2}") == InstanceGroup(extra="rate_limiter { priority: 2 }")


def test_lists_become_tuples():
    assert TensorSpec("a", dims=[3, 4]) == TensorSpec("a", dims=(3, 4))
    assert ModelConfig("m", inputs=[TensorSpec("a")]).inputs == (TensorSpec("a"),)


def config_with(policy):
    return ModelConfig("m", max_batch_size=8, dynamic_batching=DynamicBatching(default_queue_policy=policy))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelConfig("m", dynamic_batching={}), r"ModelConfig\.dynamic_batching is \{\}: .* DynamicBatching"),
        (lambda: ModelConfig("m", inputs=("a",)), r"ModelConfig\.inputs is 'a': .* TensorSpec"),
        (lambda: ModelConfig("m", backend=3), r"ModelConfig\.backend is 3: it takes text"),
        (
            lambda: config_with(QueuePolicy("DELAY", 1, "no")),
            r"QueuePolicy\.allow_timeout_override is 'no': it takes True or False",
        ),
        (
            lambda: ModelConfig("m", inputs=(TensorSpec("a", label_filename="x"),)),
            r"ModelInput has no 'label_filename'",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_named(make, message):
    with pytest.raises(RepositoryError, match=message):
        make()
