"""Triton's rules, checked before a server sees them; each message says field, value and remedy."""

import json

import numpy as np
import pytest

from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, QueuePolicy, TensorSpec
from batchlab.pbtxt import RepositoryError

DELAYING = QueuePolicy("DELAY", default_timeout_microseconds=1000)
TWO_LEVELS = {"priority_levels": 2, "default_priority_level": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TensorSpec(""), r"TensorSpec\.name is empty\. Name"),
        (lambda: TensorSpec("a", "TYPE_FP32"), r"data_type is 'TYPE_FP32'.*Did you mean 'FP32'\?"),
        (lambda: TensorSpec("a", "BYTES"), r"data_type is 'BYTES'.*STRING"),
        (lambda: TensorSpec("a", dims=(0,)), r"dims of 'a' is \(0,\)\. Write -1"),
        (lambda: TensorSpec("a", dims=(-2,)), r"dims is -2: the least is -1\. Write -1"),
        (lambda: QueuePolicy("REJECTED"), r"timeout_action is 'REJECTED'.*'REJECT'"),
        (lambda: QueuePolicy(max_queue_size=2**32), r"max_queue_size is 4294967296: the most is .*Write 0"),
        (lambda: QueuePolicy(default_timeout_microseconds=-1), r"default_timeout_microseconds is -1: the least is 0"),
        (lambda: DynamicBatching(-1), r"max_queue_delay_microseconds is -1: the least is 0\. Write 0"),
        (lambda: DynamicBatching(5.5), r"max_queue_delay_microseconds is 5\.5: it takes a whole number"),
        (lambda: DynamicBatching(True), r"max_queue_delay_microseconds is True"),
        (lambda: DynamicBatching(preferred_batch_size=(0,)), r"preferred_batch_size is 0: the least is 1\. Leave"),
        (lambda: DynamicBatching(priority_levels=2), r"default_priority_level is 0 of 2 levels: .*1 .*to 2"),
        (lambda: DynamicBatching(priority_levels=2, default_priority_level=3), r"default_priority_level is 3 of 2"),
        (
            lambda: DynamicBatching(**TWO_LEVELS, priority_queue_policy={3: QueuePolicy()}),
            r"priority_queue_policy names level 3: write a level from 1 to 2",
        ),
        (
            lambda: DynamicBatching(**TWO_LEVELS, preserve_ordering=True),
            r"preserve_ordering excludes 2 priority_levels",
        ),
        (
            lambda: DynamicBatching(preserve_ordering=True, default_queue_policy=DELAYING),
            r"preserve_ordering excludes QueuePolicy\.timeout_action 'DELAY'.*Use 'REJECT'",
        ),
        (lambda: InstanceGroup(-1), r"InstanceGroup\.count is -1: the least is 0\. Write 1"),
        (lambda: InstanceGroup(kind="KIND_TPU"), r"InstanceGroup\.kind is 'KIND_TPU'.*Did you mean 'KIND_.PU'"),
        (lambda: InstanceGroup(kind="KIND_CPU", gpus=(0,)), r"gpus is \(0,\) with KIND_CPU\. Drop"),
        (lambda: ModelConfig("m", max_batch_size=-1), r"max_batch_size is -1: the least is 0\. Write 0"),
        (
            lambda: ModelConfig("m", max_batch_size=4, dynamic_batching=DynamicBatching(preferred_batch_size=(2, 8))),
            r"preferred_batch_size holds 8, above the max_batch_size 4 of 'm'\. Lower it",
        ),
        (lambda: ModelConfig("m", parameters={"a": 3}), r"parameters\['a'\] is 3: .*Write '3'"),
        (
            lambda: ModelConfig("m", dynamic_batching=DynamicBatching(), extra="ensemble_scheduling { }"),
            r"dynamic_batching excludes 'ensemble_scheduling' in 'm'",
        ),
        (lambda: ModelConfig("m").replace(max_batch=3), r"no field 'max_batch'\. Did you mean 'max_batch_size'"),
    ],
)
def test_what_triton_would_refuse_is_refused_here(make, message):
    with pytest.raises(RepositoryError, match=message):
        make()


def test_whole_numbers_of_numpy_are_taken():
    config = ModelConfig("m", max_batch_size=np.int64(8), dynamic_batching=DynamicBatching(np.int32(5000)))
    assert ModelConfig.from_json(config.to_json()) == config


def test_replace_leaves_the_original_alone():
    config = ModelConfig("m", max_batch_size=8)
    assert config.replace(max_batch_size=4).max_batch_size == 4
    assert config.max_batch_size == 8


def test_tritons_own_preferred_size_follows_a_new_maximum():
    config = ModelConfig("m", max_batch_size=128, dynamic_batching=DynamicBatching(5, preferred_batch_size=(128,)))
    assert config.replace(max_batch_size=32).dynamic_batching == DynamicBatching(5)
    chosen = config.replace(dynamic_batching=DynamicBatching(5, preferred_batch_size=(16,)))
    with pytest.raises(RepositoryError, match="preferred_batch_size holds 16"):
        chosen.replace(max_batch_size=8)


def test_json_is_what_load_model_takes():
    config = ModelConfig(
        "m",
        backend="emulated",
        max_batch_size=8,
        inputs=(TensorSpec("item", "INT32", (1,)),),
        parameters={"device": "t4-0"},
    )
    assert json.loads(config.to_json()) == {
        "name": "m",
        "backend": "emulated",
        "max_batch_size": 8,
        "input": [{"name": "item", "data_type": "TYPE_INT32", "dims": ["1"]}],
        "parameters": {"device": {"string_value": "t4-0"}},
    }


def test_json_of_a_server_is_read_decoded_or_not():
    answer = {"name": "m", "max_batch_size": 8, "input": [{"name": "a", "data_type": "TYPE_FP32", "dims": [-1, 3]}]}
    config = ModelConfig.from_json(answer)
    assert config.inputs == (TensorSpec("a", "FP32", (-1, 3)),)
    assert ModelConfig.from_json(json.dumps(answer)) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ('{"name": ', r"JSON:1:\d+: not JSON"),
        ("[1]", r"JSON is list: a configuration is an object"),
        ({"name": "m", "max_batchsize": 8}, r"no field 'max_batchsize'\. Did you mean 'max_batch_size'"),
        ({"name": "m", "max_batch_size": "many"}, r"max_batch_size"),
        ({"name": "m", "max_batch_size": -2}, r"JSON: ModelConfig\.max_batch_size is -2"),
    ],
)
def test_bad_json_is_one_clear_error(values, message):
    with pytest.raises(RepositoryError, match=message):
        ModelConfig.from_json(values)
