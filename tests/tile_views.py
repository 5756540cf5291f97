"""Calls jpeg_tiles.Decoder as the loader does, for tests: images in a row of bytes, boxes a view each."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

import jpeg_tiles
from topfive.crops import Box


def jpeg(pixels: Image.Image, **options: object) -> bytes:
    content = io.BytesIO()
    pixels.save(content, "JPEG", **{"quality": 90, **options})
    return content.getvalue()


def views(
    contents: Sequence[bytes],
    sides: Sequence[tuple[int, int]],
    boxes: Sequence[Sequence[Box]],
    size: int,
    raw: bool = False,
    copy: bool = False,
    threads: int = 1,
    decoder: jpeg_tiles.Decoder | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """(views, reasons of those that failed); `sides` are (height, width), all images have as many boxes."""
    sizes = np.array([len(content) for content in contents], np.uint64)
    flat = [box for of_one in boxes for box in of_one]
    out = np.full((len(contents), len(boxes[0]), 3, size, size), 77, np.uint8)
    failed = (decoder or jpeg_tiles.Decoder(threads)).views(
        file=b"".join(contents),
        pointers=np.cumsum(np.r_[0, sizes[:-1]]).astype(np.uint64),
        sizes=sizes,
        widths=np.array([width for _, width in sides], np.uint16),
        heights=np.array([height for height, _ in sides], np.uint16),
        raw=np.full(len(contents), raw, np.uint8),
        boxes=np.array([box[:4] for box in flat], np.float64),
        filters=np.array(
            [jpeg_tiles.FILTERS.index("copy" if copy else b.filter) for b in flat], np.uint8
        ),
        mirrored=np.array([box.flip for box in flat], np.uint8),
        out=out,
        views=len(boxes[0]),
        size=size,
    )
    return out, dict(failed)


def one(
    content: bytes, height: int, width: int, box: Box, size: int, **options: object
) -> np.ndarray:
    """The view of one box, which must not fail."""
    made, failed = views([content], [(height, width)], [[box]], size, **options)
    assert not failed
    return made[0, 0]


def decoded_whole(content: bytes) -> bytes:
    """The same JPEG with a marker that our reader of headers does not know, so that it is not cut."""
    return content[:2] + b"\xff\x01" + content[2:]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of uint8 arrays."""
    error = np.mean((a.astype(float) - b) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
