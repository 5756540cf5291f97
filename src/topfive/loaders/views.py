"""From an image and a box to the uint8 crop, on the CPU."""

import numpy as np
from PIL import Image

from topfive.crops import Box

RESAMPLING = {
    "triangle": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "cubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}


def cut(image: Image.Image, box: Box, size: int, resizes: bool) -> np.ndarray:
    """The crop as uint8, (channels, size, size).

    Resized crops use the box's filter as Pillow has it, antialiased (but for nearest) and reading pixels
    beside the box where it reaches over; whole-pixel crops are copied, with zeros beyond the edge.
    """
    if resizes:
        bounds = (
            max(0.0, box.left),
            max(0.0, box.top),
            min(float(image.width), box.left + box.width),
            min(float(image.height), box.top + box.height),
        )
        view = np.asarray(image.resize((size, size), RESAMPLING[box.filter], box=bounds))
    else:
        left, top = int(box.left), int(box.top)
        view = np.asarray(image.crop((left, top, left + size, top + size)))
    view = view[:, :, None] if view.ndim == 2 else view
    view = view[:, ::-1] if box.flip else view
    return np.ascontiguousarray(view.transpose(2, 0, 1))
