from typing import TypeAlias

import numpy as np

# numpy states its buffers from Python 3.12 on.
Buffer: TypeAlias = bytes | bytearray | memoryview | np.ndarray

def tile(jpeg: Buffer, most: int = 4, /) -> bytes:
    """The same coefficients with a restart marker after every `most` MCUs, or the largest divisor of a row below.

    Comments, profiles and EXIF stay behind. Raises ValueError where libjpeg-turbo does not read `jpeg`
    without a warning.
    """

class Decoder:
    """Decodes by so many threads, which keep their memory from batch to batch; one batch at a time."""

    def __init__(self, threads: int) -> None: ...
    def views(
        self,
        file: Buffer,
        pointers: Buffer,
        sizes: Buffer,
        widths: Buffer,
        heights: Buffer,
        raw: Buffer,
        boxes: Buffer,
        filters: Buffer,
        mirrored: Buffer,
        out: Buffer,
        views: int,
        size: int,
    ) -> list[tuple[int, str]]:
        """Fills `out`, uint8 (images, views, 3, size, size), from images that lie in `file`.

        pointers, sizes: uint64; widths, heights: uint16; raw: uint8, each (images,). boxes: float64,
        (images, views, 4) as left, top, width, height in source pixels; filters (places in FILTERS) and
        mirrored: uint8, (images, views). Returns (image, reason) of those that could not be decoded,
        whose views are black. Raises ValueError where a buffer's length is another than these say.
        """
