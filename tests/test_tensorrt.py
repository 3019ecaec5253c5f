"""TensorRT in a configuration: what Triton's schema takes, with a range of shapes that holds every batch."""

import re

from batchlab import committed, tensorrt
from batchlab.configuration import ModelConfig, TensorSpec


def asked(config: ModelConfig) -> dict[str, str]:
    """Return the parameters of the accelerator of a configuration, as Triton reads them back."""
    (accelerator,) = config.to_message().optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    return dict(accelerator.parameters)


def shapes(text: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(map(int, dims.split("x"))) for name, dims in re.findall(r"(\w+):([\dx]+)", text)}


def test_the_plan_is_built_here_in_fp16_and_kept_in_the_volume() -> None:
    extra = tensorrt.accelerator("m", [{"x": (1, 3)}, {"x": (8, 3)}, {"x": (32, 3)}], priority="PRIORITY_MAX")
    config = ModelConfig(name="m", max_batch_size=32, inputs=(TensorSpec("x", "FP32", (3,)),), extra=extra)
    told = asked(config)
    assert told["precision_mode"] == "FP16"
    assert told["trt_engine_cache_enable"] == "1"
    assert told["trt_engine_cache_path"] == tensorrt.PLANS == "/plans"
    assert told["trt_profile_max_shapes"] == "x:32x3"
    assert config.to_message().optimization.priority == 1


def test_the_range_of_each_committed_model_goes_from_one_to_its_largest_batch() -> None:
    for config in (committed.resnet50_gpu(), committed.text_encoder_gpu()):
        told = asked(config)
        least, usual, most = (shapes(told[f"trt_profile_{kind}_shapes"]) for kind in ("min", "opt", "max"))
        assert set(least) == set(usual) == set(most) == {spec.name for spec in config.inputs}
        for name in most:
            assert least[name][0] == 1
            assert most[name][0] == config.max_batch_size
            assert all(
                low <= middle <= high for low, middle, high in zip(least[name], usual[name], most[name], strict=True)
            )


def test_a_warm_up_builds_the_plan_before_the_model_counts_as_loaded() -> None:
    for config in (committed.resnet50_gpu(), committed.text_encoder_gpu()):
        (warm,) = config.to_message().model_warmup
        assert 1 <= warm.batch_size <= config.max_batch_size
        assert set(warm.inputs) == {spec.name for spec in config.inputs}
        for spec in config.inputs:
            told = warm.inputs[spec.name]
            assert told.zero_data
            assert len(told.dims) == len(spec.dims)
            assert all(told == said or said == -1 for told, said in zip(told.dims, spec.dims, strict=True))
