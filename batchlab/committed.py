"""The models whose ``config.pbtxt`` is committed to ``triton_repo/``: this list is what those files say."""

from batchlab.configuration import InstanceGroup, ModelConfig, TensorSpec

LARGEST_BATCH = 128
ONE_ON_CPU = (InstanceGroup(count=1, kind="KIND_CPU"),)
ONE_ON_GPU = (InstanceGroup(count=1, kind="KIND_GPU"),)


def configurations() -> list[ModelConfig]:
    """Return every committed configuration, in the order in which a reader meets them."""
    return [null(), resnet50(), resnet50_cuda()]


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
