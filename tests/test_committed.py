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
