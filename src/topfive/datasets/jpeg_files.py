"""Whether a file is a whole photograph, told from its first and last bytes where they suffice."""

import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

START = b"\xff\xd8\xff"  # SOI and the first byte of the next marker (ITU-T T.81, table B.1)
END = b"\xff\xd9"  # EOI
DAMAGED = ("empty", "truncated", "not an image", "unreadable")


def examine(path: Path) -> tuple[int, str]:
    """(bytes, verdict): the format ("JPEG", "PNG", ...) or one of DAMAGED.

    A file that starts and ends as a JPEG does (zeros after the end are forgiven) is taken for one
    without decoding; any other is decoded to decide. Decoding all would find little more: libjpeg
    fills holes with gray and only warns.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(len(START))
            file.seek(max(0, size - 64))
            tail = file.read(64)
    except OSError:
        return 0, "unreadable"
    if size == 0:
        return 0, "empty"
    if head == START and tail.rstrip(b"\0").endswith(END):
        return size, "JPEG"
    return size, _decoded(path, is_jpeg=head == START)


def _decoded(path: Path, is_jpeg: bool) -> str:
    try:
        with Image.open(path) as image:
            image.load()
            # A stereo pair (MPO) begins with an ordinary JPEG, which is what readers take.
            return "JPEG" if image.format == "MPO" else image.format or "not an image"
    except UnidentifiedImageError:
        return "truncated" if is_jpeg else "not an image"
    except Exception:  # Pillow's decoders raise whatever the bytes make them stumble over
        return "truncated"
