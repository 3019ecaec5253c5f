"""A typo gives one error with its place and the name that was meant; rendering is stable; differences are readable."""

import pytest
from tritonclient.grpc import model_config_pb2 as schema

from batchlab.pbtxt import RepositoryError, differences, parse, render


def config(text):
    return parse(text, schema.ModelConfig())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'name: "m"\n  max_batchsize: 8\n',
            r"^a/config.pbtxt:2:3: ModelConfig has no field 'max_batchsize'\. .*'max_batch_size'\?$",
        ),
        (
            'name: "m"\ndynamic_batching {\n  max_queue_delay_us: 5\n}\n',
            r"^a/config.pbtxt:3:3: ModelDynamicBatching has no field .*'max_queue_delay_microseconds'\?$",
        ),
        ("instance_group [{\n  kind: KIND_GPUS\n}]\n", r"^a/config.pbtxt:2:9: .*'KIND_GPUS'\. .*'KIND_GPU'\?$"),
        ('input [{ name: "a" data_type: FP32 }]', r"^a/config.pbtxt:1:31: DataType .*'FP32'.*'TYPE_FP32'\?$"),
        ("dynamic_batching { qqqq: 1 }", r"Valid names: default_priority_level, .*priority_queue_policy.*\.$"),
        ('max_batch_size: "8"\n', r"^a/config.pbtxt:1:17: Couldn't parse integer"),
        ('name: "m"\nname: "n"\n', r"^a/config.pbtxt:2:\d+: .*multiple \"name\""),
        ("input [{\n", r"^a/config.pbtxt:1:\d+: Expected \"}\""),
    ],
)
def test_a_typo_is_located_and_named(text, message):
    with pytest.raises(RepositoryError, match=message) as caught:
        parse(text, schema.ModelConfig(), "a/config.pbtxt")
    assert "\n" not in str(caught.value)


def parameter(key, value):
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }} '


def test_rendering_is_the_same_for_the_same_content():
    one = config(parameter("b", 2) + parameter("a", 1) + 'name: "m"')
    two = config('name: "m" ' + parameter("a", 1) + parameter("b", 2))
    assert render(one) == render(two)


def test_rendering_reads_in_the_order_of_interest():
    message = config('instance_group { count: 1 } max_batch_size: 8 backend: "b" name: "m"')
    text = '# Made.\n#\n# By hand.\nname: "m"\nbackend: "b"\nmax_batch_size: 8\ninstance_group { count: 1 }\n'
    assert render(message, header="Made.\n\nBy hand.") == text


def test_a_long_entry_is_broken_into_lines():
    text = render(config('name: "m" ' + parameter("curve", "1:2," * 40)))
    assert text.splitlines()[1] == "parameters {"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('name: "m"', 'name: "m"', []),
        ("max_batch_size: 8", "max_batch_size: 16", ["max_batch_size: 8 -> 16"]),
        ("", 'backend: "b"', ['backend: "" -> b']),
        ("", "dynamic_batching { }", ["dynamic_batching: none -> { }"]),
        (
            "dynamic_batching { max_queue_delay_microseconds: 5000 }",
            "dynamic_batching { max_queue_delay_microseconds: 20000 }",
            ["dynamic_batching.max_queue_delay_microseconds: 5000 -> 20000"],
        ),
        (
            "dynamic_batching { preferred_batch_size: 4 }",
            "dynamic_batching { preserve_ordering: true }",
            ["dynamic_batching.preferred_batch_size: [4] -> []", "dynamic_batching.preserve_ordering: false -> true"],
        ),
        (
            'input { name: "a" dims: 1 } input { name: "b" }',
            'input { name: "b" data_type: TYPE_FP16 } input { name: "a" dims: 2 }',
            ["input[a].dims: [1] -> [2]", "input[b].data_type: TYPE_INVALID -> TYPE_FP16"],
        ),
        (
            "instance_group { count: 1 }",
            'instance_group { name: "m_0" count: 2 }',
            ['instance_group[0].name: "" -> m_0', "instance_group[0].count: 1 -> 2"],
        ),
        ("instance_group { count: 1 }", "", ["instance_group[0]: { count: 1 } -> none"]),
        (parameter("device", "t4-0"), parameter("device", "t4-1"), ["parameters.device: t4-0 -> t4-1"]),
    ],
)
def test_differences_name_path_and_both_values(before, after, expected):
    assert differences(config(before), config(after)) == expected
