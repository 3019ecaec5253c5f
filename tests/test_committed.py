"""The committed models: one device for each GPU, static batches, one tensor contract for each kind."""

from batchlab import committed
from batchlab.configuration import TensorSpec
from batchlab.profiles import load_profiles


def test_every_published_profile_has_exactly_one_model():
    assert sorted(committed.EMULATED.values()) == sorted(load_profiles())


def test_emulated_models_batch_as_they_come_on_the_device_of_their_gpu():
    profiles = load_profiles()
    for config in committed.emulated():
        profile = profiles[committed.EMULATED[config.name]]
        assert config.dynamic_batching is None
        assert config.parameters["device"] == f"{profile.gpu.split('-')[0].lower()}-0"
        assert config.max_batch_size == profile.max_batch >= 128
        assert config.inputs == (TensorSpec("item", "INT32", (1,)),)


def test_names_are_unique():
    names = [config.name for config in committed.configurations()]
    assert len(names) == len(set(names))


def test_resnet50_is_the_same_model_on_processor_and_gpu():
    cpu, gpu = committed.resnet50(), committed.resnet50_cuda()
    assert cpu.inputs == gpu.inputs
    assert cpu.outputs[0].dims == gpu.outputs[0].dims == (1000,)
    assert (cpu.instance_groups[0].kind, gpu.instance_groups[0].kind) == ("KIND_CPU", "KIND_GPU")


def test_the_critical_model_waits_shortly_and_the_background_model_long_each_in_a_pool_of_its_own():
    by_name = {config.name: config for config in committed.configurations()}
    for name, wait_us in {"fraud_check": 2000, "ad_scoring": 50_000, "ad_scoring_fp16": 50_000}.items():
        for place in ("", "_shared", "_own"):
            config = by_name[name + place]
            assert config.dynamic_batching.max_queue_delay_microseconds == wait_us
            assert config.instance_groups[0].kind == "KIND_CPU"
        # Without a bound each pool would take every core.
        assert by_name[name].parameters["intra_op_thread_count"] == "1"


def test_emulated_pipelines_share_one_device_or_have_their_own_and_say_that_they_are_made_up():
    made = {config.name: config for config in committed.emulated_pipeline()}
    assert len(made) == 6
    devices = {name: config.parameters["device"] for name, config in made.items()}
    assert {device for name, device in devices.items() if name.endswith("_shared")} == {"shared-0"}
    assert devices["fraud_check_own"] != devices["ad_scoring_own"]
    assert all(config.parameters["profile"].startswith("synthetic-") for config in made.values())


def test_a_batch_of_ads_blocks_a_fraud_check_for_many_times_its_own_time():
    (check_ms, *_), (overhead_ms, item_ms, largest, _) = (committed.SYNTHETIC[n] for n in ("fraud_check", "ad_scoring"))
    assert overhead_ms + item_ms * largest > 50 * check_ms


def test_gpu_variants_run_the_same_tensors_on_a_gpu_and_put_the_critical_model_first():
    by_name = {config.name: config for config in committed.configurations()}
    variants = {config.name: config for config in committed.variants()["gpu"]}
    # Each network that NVIDIA's ONNX Runtime serves; emulated models, the null model and Python's need no GPU.
    assert sorted(variants) == sorted(name for name, config in by_name.items() if config.backend == "onnxruntime")
    for name, config in variants.items():
        assert config.instance_groups[0].kind == "KIND_GPU"
        assert (config.inputs, config.outputs) == (by_name[name].inputs, by_name[name].outputs)
        assert config.dynamic_batching == by_name[name].dynamic_batching
    assert "PRIORITY_MAX" in variants["fraud_check"].to_pbtxt()
    assert "PRIORITY_MIN" in variants["ad_scoring"].to_pbtxt()
