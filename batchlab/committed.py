"""The models whose ``config.pbtxt`` is committed to ``triton_repo/``: this list is what those files say.

After a change: ``python -m batchlab.repository`` renders them.
"""

from batchlab import ads, fraud, tensorrt, text, tiers
from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, TensorSpec
from batchlab.profiles import emulated_config, load_profiles, synthetic_profile

LARGEST_BATCH = 128
# Model on emulated device: the published profile that it plays.
EMULATED = {
    "resnet50_t4_eager": "rn50-amp-t4-eager",
    "resnet50_t4_trt": "rn50-fp16-t4-triton",
    "resnet50_v100_eager": "rn50-amp-v100-eager",
    "resnet50_a10": "rn50-fp16-a10",
    "resnet50_a10_int8": "rn50-int8-a10",
    "resnet50_a30": "rn50-fp16-a30",
    "resnet50_a100": "rn50-fp16-a100",
    "resnet50_a100_int8": "rn50-int8-a100",
    "bert_t4": "bertbase128-fp16-t4",
    "bert_t4_int8": "bertbase128-int8-t4",
    "bert_l4": "bertbase128-fp16-l4",
    "bert_l4_int8": "bertbase128-int8-l4",
    "bert_a100": "bertbase128-fp16-a100",
    "bert_large_t4": "bertlarge384-fp16-t4",
    "bert_large_a100": "bertlarge384-fp16-a100",
}
# The pipeline's models on emulated devices, made up and said to be so: overhead and time of each item in ms, largest
# batch, longest wait in us. FP16 halves the time of an item and moves fewer weights.
SYNTHETIC = {
    fraud.NAME: (2.0, 0.05, 32, fraud.MAX_WAIT_US),
    ads.NAME: (20.0, 2.5, 64, ads.MAX_WAIT_US),
    ads.HALF_NAME: (12.0, 1.25, 64, ads.MAX_WAIT_US),
}
# The device that all share, and the ones that the critical and the background model have to themselves.
SHARED, OWN = "shared-0", {fraud.NAME: "fraud-0", ads.NAME: "ads-0", ads.HALF_NAME: "ads-0"}
ONE_ON_CPU = (InstanceGroup(count=1, kind="KIND_CPU"),)
ONE_ON_GPU = (InstanceGroup(count=1, kind="KIND_GPU"),)


def configurations() -> list[ModelConfig]:
    """Return every committed configuration, in the order in which a reader meets them."""
    pipeline = [fraud.config(), ads.config(), ads.config(half=True), *emulated_pipeline()]
    return [null(), resnet50(), resnet50_cuda(), *text.configs(), *emulated(), *pipeline]


def variants() -> dict[str, list[ModelConfig]]:
    """Return further configurations of models, by variant: ``tritonserver --model-config-name=gpu`` takes those.

    Rendered as ``<model>/configs/<variant>.pbtxt``; Triton falls back to ``config.pbtxt`` where a model has none.
    """
    pipeline = [fraud.gpu_config(), ads.gpu_config(), ads.gpu_config(half=True)]
    return {"gpu": [resnet50_gpu(), text_encoder_gpu(), *pipeline]}


def null() -> ModelConfig:
    """A model that answers at once with what it was sent: what it costs is the harness itself."""
    item = TensorSpec("item", "INT32", (1,))
    return ModelConfig(
        name="null",
        backend="python",
        max_batch_size=LARGEST_BATCH,
        inputs=(item,),
        outputs=(item,),
        instance_groups=ONE_ON_CPU,
        parameters=tiers.COMPUTES_NOTHING,
    )


def resnet50() -> ModelConfig:
    """ResNet-50 in ONNX, on the processor: photographs in, one score for each of ImageNet's 1000 classes out."""
    return ModelConfig(
        name="resnet50",
        backend="onnxruntime",
        max_batch_size=LARGEST_BATCH,
        inputs=(TensorSpec("image", "UINT8", (224, 224, 3)),),
        outputs=(TensorSpec("scores", "FP32", (1000,), label_filename="labels.txt"),),
        instance_groups=ONE_ON_CPU,
    )


def resnet50_gpu() -> ModelConfig:
    """The same file on an NVIDIA GPU, in FP16 by TensorRT, through NVIDIA's own ONNX Runtime backend: needs Docker.

    Two copies: while one computes, the next batch is copied to the GPU.
    """
    config = resnet50()
    (image,) = config.inputs
    shapes = [{image.name: (batch, *image.dims)} for batch in (1, 32, LARGEST_BATCH)]
    return config.replace(
        instance_groups=(InstanceGroup(count=2, kind="KIND_GPU", gpus=(0,)),),
        extra=tensorrt.accelerator(config.name, shapes)
        + tensorrt.warm_up(LARGEST_BATCH, config.inputs, {image.name: image.dims}),
    )


def text_encoder_gpu() -> ModelConfig:
    """The text classifier's network on an NVIDIA GPU, in FP16 by TensorRT; its queue and tokeniser stay as they are."""
    config = next(config for config in text.configs() if config.name == "text_encoder")
    tokens = (2, 32, text.MAX_TOKENS)
    shapes = [
        {spec.name: (batch, count) for spec in config.inputs}
        for batch, count in zip((1, 32, config.max_batch_size), tokens, strict=True)
    ]
    usual = {spec.name: (tokens[1],) for spec in config.inputs}
    return config.replace(
        instance_groups=(InstanceGroup(count=1, kind="KIND_GPU", gpus=(0,)),),
        extra=tensorrt.accelerator(config.name, shapes) + tensorrt.warm_up(32, config.inputs, usual),
    )


def resnet50_cuda() -> ModelConfig:
    """The same network on an NVIDIA GPU, through torch: needs no Docker."""
    return ModelConfig(
        name="resnet50_cuda",
        backend="torchvision",
        max_batch_size=LARGEST_BATCH,
        inputs=(TensorSpec("image", "UINT8", (224, 224, 3)),),
        outputs=(TensorSpec("scores", "FP32", (1000,)),),
        instance_groups=ONE_ON_GPU,
    )


def emulated() -> list[ModelConfig]:
    """Models on emulated GPUs, one device for each GPU, in batches as they come: how to group is for the labs."""
    profiles = load_profiles()
    return [emulated_config(profiles[profile], name=name) for name, profile in EMULATED.items()]


def emulated_pipeline() -> list[ModelConfig]:
    """Fraud check and ad scoring on emulated devices: all on one (``_shared``), and apart (``_own``)."""
    made = []
    for place in ("shared", "own"):
        for model, (overhead_ms, per_item_ms, largest, wait_us) in SYNTHETIC.items():
            made.append(
                emulated_config(
                    synthetic_profile(overhead_ms, per_item_ms, largest),
                    name=f"{model}_{place}",
                    device=SHARED if place == "shared" else OWN[model],
                    dynamic_batching=DynamicBatching(max_queue_delay_microseconds=wait_us),
                )
            )
    return made
