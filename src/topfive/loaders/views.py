"""From an image and a box to the uint8 crop, on the CPU."""

import numpy as np
from PIL import Image

from topfive.crops import Box, Filter

RESAMPLING = {
    "triangle": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "cubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}


def resized(image: Image.Image, box: Box, size: tuple[int, int], filter: Filter) -> Image.Image:
    """The box of the image brought to `size` (height, width), antialiased but for nearest.

    Pixels beside the box are read where the filter reaches over.
    """
    bounds = (
        max(0.0, box.left),
        max(0.0, box.top),
        min(float(image.width), box.left + box.width),
        min(float(image.height), box.top + box.height),
    )
    return image.resize((size[1], size[0]), RESAMPLING[filter], box=bounds)


def cut(image: Image.Image, box: Box, size: int, resizes: bool) -> np.ndarray:
    """The crop as uint8, (channels, size, size).

    Resized crops use the box's filter as Pillow has it; whole-pixel crops are copied, with zeros beyond
    the edge.
    """
    if resizes:
        view = np.asarray(resized(image, box, (size, size), box.filter))
    else:
        left, top = int(box.left), int(box.top)
        view = np.asarray(image.crop((left, top, left + size, top + size)))
    view = view[:, :, None] if view.ndim == 2 else view
    view = view[:, ::-1] if box.flip else view
    return np.ascontiguousarray(view.transpose(2, 0, 1))
