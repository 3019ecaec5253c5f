"""What the model is shown."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from batchlab.plots.canvas import styled
from batchlab.plots.errors import PlotError

INCHES = 2.3
BRIGHTEST = 255


@styled
def photographs(images: np.ndarray, names: Sequence[str]) -> list[Axes]:
    """Draw photographs side by side, each under its name; they carry no number and so no provenance.

    Args:
        images: shape ``(n, height, width, 3)``, RGB from 0 to 255, or from 0 to 1 when they are floats below 1.

    Returns:
        One axes per photograph.

    Raises:
        PlotError: another shape, or not one name for each photograph.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or len(images) != len(names) or not len(images):
        raise PlotError(
            f"Photographs have the shape (n, height, width, 3) and n names; got {images.shape} and {len(names)} names."
        )
    _, frames = plt.subplots(1, len(images), figsize=(INCHES * len(images), INCHES * 1.15), squeeze=False)
    scale = 1 if np.issubdtype(images.dtype, np.floating) and images.max() <= 1 else BRIGHTEST
    for ax, image, name in zip(frames[0], images, names, strict=True):
        ax.imshow(np.clip(image / scale, 0, 1))
        ax.set_title(name, loc="center", fontweight="normal")
        ax.set_axis_off()
    return list(frames[0])
