"""From an image and a box to the uint8 crop, on the CPU."""

import numpy as np
from PIL import Image

from topfive.crops import Box


def cut(image: Image.Image, box: Box, size: int, resizes: bool) -> np.ndarray:
    """The crop as uint8, (channels, size, size).

    Resized crops use Pillow's antialiased triangle filter over the box; whole-pixel crops are copied,
    with zeros beyond the image's edge.
    """
    if resizes:
        bounds = (
            max(0.0, box.left),
            max(0.0, box.top),
            min(float(image.width), box.left + box.width),
            min(float(image.height), box.top + box.height),
        )
        view = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=bounds))
    else:
        left, top = int(box.left), int(box.top)
        view = np.asarray(image.crop((left, top, left + size, top + size)))
    view = view[:, :, None] if view.ndim == 2 else view
    view = view[:, ::-1] if box.flip else view
    return np.ascontiguousarray(view.transpose(2, 0, 1))
