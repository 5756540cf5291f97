"""The part of a JPEG that a crop needs, decoded alone and resized once, as Pillow would resize the whole.

`tile` writes a JPEG anew, without loss, with a restart marker every few MCUs. Such a file can be cut:
`Decoder.views` copies the tiles under a crop into a small JPEG, has libjpeg-turbo decode that, and
resamples luma and chroma with Pillow's filters. Any other JPEG is decoded whole.
"""

import struct

from jpeg_tiles._native import Decoder, tile

FILTERS = ("triangle", "box", "cubic", "nearest", "copy")

__all__ = ["FILTERS", "Decoder", "shows", "tile"]


def shows(jpeg: bytes, height: int, width: int) -> bool:
    """Whether all of `jpeg` decodes, without a warning, to gray or YCbCr of that size."""
    if not (0 < height < 1 << 16 and 0 < width < 1 << 16):
        return False
    entry = struct.pack("=Q", 0), struct.pack("=Q", len(jpeg))
    size = struct.pack("=H", width), struct.pack("=H", height)
    box = struct.pack("=4d", 0, 0, width, height)
    out = bytearray(3)
    return not Decoder(1).views(jpeg, *entry, *size, b"\0", box, b"\0", b"\0", out, views=1, size=1)
