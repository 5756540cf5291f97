"""How an image is kept in a .beton: the bytes themselves in tiles, a smaller copy, or raw pixels."""

import io
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

import jpeg_tiles
from topfive.datasets.images import Unreadable
from topfive.problems import Problem

TILE = 4  # MCUs between restart markers
ORIENTATION = 0x0112  # EXIF's; not obeyed, as no reader of ImageNet does
How = Literal["lossless", "re-encoded", "raw", "unreadable"]
HOW: tuple[How, ...] = ("lossless", "re-encoded", "raw", "unreadable")


class Stored(NamedTuple):
    """The bytes of one image: a JPEG, or height x width x 3 pixels where `how` is "raw"."""

    content: bytes
    height: int
    width: int
    how: How
    kind: str  # what the file was, for the count


@dataclass(frozen=True)
class Storage:
    """max_side: longest side in pixels, larger images shrink to it; None keeps every image's own.

    Without a max_side and a quality, the coefficients of a JPEG are kept as they are; with either, the
    image is encoded anew. Raises Problem for values that no JPEG has.
    """

    max_side: int | None = None
    quality: int | None = None
    raw: bool = False

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise Problem(f"quality={self.quality}: a JPEG's quality is 1 to 100.")
        if self.max_side is not None and not 1 <= self.max_side <= 65535:
            raise Problem(f"max_side={self.max_side}: expected 1 to 65535 pixels.")
        if self.raw and self.quality is not None:
            raise Problem("raw pixels have no quality: give one of raw and quality.")

    def __str__(self) -> str:
        side = "" if self.max_side is None else f"max_side={self.max_side} "
        if self.raw:
            return f"{side}raw"
        return "lossless" if self.is_lossless else f"{side}quality={self.jpeg_quality}"

    @property
    def is_lossless(self) -> bool:
        return self.max_side is None and self.quality is None

    @property
    def jpeg_quality(self) -> int:
        """90 where a max_side alone is asked for, as ffcv-imagenet has it."""
        return 90 if self.quality is None else self.quality


def store(content: bytes, storage: Storage) -> Stored:
    """A file's bytes as `storage` keeps them; raises Unreadable where they are no whole image."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            kind = _kind(image)
            if storage.is_lossless and not storage.raw and image.format in ("JPEG", "MPO"):
                tiled = _tiled(content, image)
                if tiled is not None:
                    return Stored(tiled, image.height, image.width, "lossless", kind)
            pixels = image.convert("RGB")
    except Exception as error:  # Pillow's decoders raise whatever the bytes make them stumble over
        raise Unreadable(str(error)) from error
    return store_pixels(pixels, storage, kind)


def store_pixels(pixels: Image.Image, storage: Storage, kind: str) -> Stored:
    """An RGB image as `storage` keeps it; without loss that is its pixels."""
    pixels = _shrunk(pixels, storage.max_side)
    if storage.raw or storage.is_lossless:
        return Stored(np.asarray(pixels).tobytes(), pixels.height, pixels.width, "raw", kind)
    encoded = io.BytesIO()
    pixels.save(encoded, "JPEG", quality=storage.jpeg_quality)
    tiled_copy = jpeg_tiles.tile(encoded.getvalue(), TILE)
    return Stored(tiled_copy, pixels.height, pixels.width, "re-encoded", kind)


def _tiled(content: bytes, image: Image.Image) -> bytes | None:
    """The same coefficients in tiles, or None where our decoder would not give the same colors."""
    if image.mode not in ("L", "RGB"):
        image.load()  # a truncated file raises
        return None
    try:
        tiled = jpeg_tiles.tile(content, TILE)
    except ValueError:
        image.load()  # what libjpeg only warns of, Pillow reads
        return None
    return tiled if jpeg_tiles.shows(tiled, image.height, image.width) else None


def _shrunk(image: Image.Image, max_side: int | None) -> Image.Image:
    if max_side is None or max(image.size) <= max_side:
        return image
    scale = max_side / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _kind(image: Image.Image) -> str:
    """What is counted at the end: format, colors, and what readers often get wrong."""
    kind = f"{image.format} {image.mode}"
    if image.info.get("progressive"):
        kind += " progressive"
    if image.getexif().get(ORIENTATION, 1) != 1:
        kind += " rotated"
    return kind
