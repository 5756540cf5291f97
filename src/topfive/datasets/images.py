"""Two of the ways in which a set holds its images: all pixels in memory, or photographs on disk."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from topfive.problems import Problem

MODES = {1: "L", 3: "RGB"}


class Unreadable(Exception):
    """An image file that cannot be decoded; the message names it."""


class Images(Protocol):
    """A split: what every way of holding images offers."""

    @property
    def labels(self) -> np.ndarray:
        """int64, (n,)."""
        ...

    @property
    def channels(self) -> int:
        """1 (gray) or 3 (color)."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> Image.Image:
        """Image `index` as Pillow holds it; raises Unreadable where it cannot be decoded."""
        ...

    def take(self, indices: np.ndarray) -> "Images":
        """A part of the images."""
        ...

    def with_channels(self, channels: int) -> "Images":
        """The same images in gray (1) or color (3)."""
        ...

    def name(self, index: int) -> str:
        """What to call image `index` in a message."""
        ...

    def id(self, index: int) -> str:
        """What tells image `index` from the others of its split, wherever the split lies."""
        ...

    def fingerprint(self) -> str:
        """A digest that changes with what the images are."""
        ...


@dataclass(frozen=True)
class Pixels:
    """Images of one size, resident in memory.

    pixels: uint8, (n, channels, height, width); labels: int64, (n,).
    """

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        """1 (gray) or 3 (color)."""
        return int(self.pixels.shape[1])

    def read(self, index: int) -> Image.Image:
        """Image `index` as Pillow holds it."""
        pixels = self.pixels[index]
        whole = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(whole))

    def take(self, indices: np.ndarray) -> "Pixels":
        """A part of the images."""
        return Pixels(self.pixels[indices], self.labels[indices])

    def with_channels(self, channels: int) -> "Pixels":
        """The same images in gray (1) or color (3): color to luma as Pillow does (ITU-R 601-2)."""
        have = self.pixels.shape[1]
        if have == channels:
            return self
        if channels == 3:
            return Pixels(np.repeat(self.pixels, 3, axis=1), self.labels)
        weights = np.array([19595, 38470, 7471], dtype=np.int32)  # Pillow's, in units of 2 ** -16
        luma = (np.einsum("nchw,c->nhw", self.pixels, weights, dtype=np.int32) + 0x8000) >> 16
        return Pixels(luma.astype(np.uint8)[:, None], self.labels)

    def name(self, index: int) -> str:
        """What to call image `index` in a message."""
        return f"image {index}"

    def id(self, index: int) -> str:
        """Its number."""
        return str(index)

    def fingerprint(self) -> str:
        """A digest that changes with any pixel or label."""
        digest = hashlib.sha256(np.ascontiguousarray(self.pixels).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Photographs:
    """Image files of any size, decoded when asked for.

    files: paths relative to `root`; labels: int64, (n,).
    """

    root: Path
    files: Sequence[str]
    labels: np.ndarray
    channels: int = 3

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Image.Image:
        """Image `index`, decoded; raises Unreadable for a truncated file or one that is no image."""
        path = self.root / self.files[index]
        return decoded(path, self.channels, str(path))

    def take(self, indices: np.ndarray) -> "Photographs":
        """A part of the images."""
        files = [self.files[index] for index in indices]
        return Photographs(self.root, files, self.labels[indices], self.channels)

    def with_channels(self, channels: int) -> "Photographs":
        """The same photographs, decoded to gray (1) or color (3)."""
        return Photographs(self.root, self.files, self.labels, channels)

    def name(self, index: int) -> str:
        """What to call image `index` in a message."""
        return str(self.root / self.files[index])

    def id(self, index: int) -> str:
        """Its file, below the split's folder."""
        return self.files[index]

    def fingerprint(self) -> str:
        """A digest that changes with any file's name, class or size, and with the channels."""
        sizes = ((self.root / file).stat().st_size for file in self.files)
        return fingerprint(self.channels, self.files, self.labels, sizes)


class Missing:
    """Stands for a split that is not there: whoever asks for its images gets a Problem that says `why`."""

    def __init__(self, why: str):
        self._why = why

    def __len__(self) -> int:
        raise Problem(self._why)

    def __getattr__(self, name: str) -> Any:
        raise Problem(self._why)

    def with_channels(self, channels: int) -> "Missing":
        """The same."""
        return self


@dataclass(frozen=True)
class Dataset:
    """A training set and the set that errors are reported on.

    `reported` is named as the papers name it: "test" (MNIST, CIFAR) or "val" (ImageNet, whose test
    labels are hidden).
    """

    classes: Sequence[str]
    train: Images
    reported: Images
    reported_name: str


def decoded(source: Path | io.BytesIO, channels: int, name: str) -> Image.Image:
    """What Pillow makes of an image file in gray (1) or color (3); raises Unreadable, with `name`, where nothing."""
    try:
        with Image.open(source) as image:
            return image.convert(MODES[channels])
    except Exception as error:  # Pillow's decoders raise whatever the bytes make them stumble over
        reason = "is not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise Unreadable(f"{name}: {reason}") from error


def fingerprint(
    channels: int, files: Sequence[str], labels: np.ndarray, sizes: Iterable[int], kept: str = ""
) -> str:
    """A digest of image files by name, class and size in bytes; `kept`: as what, where not as they were."""
    digest = hashlib.sha256(MODES[channels].encode())
    for file, label, size in zip(files, labels, sizes, strict=True):
        digest.update(f"{file}\t{label}\t{size}\n".encode())
    digest.update(kept.encode())
    return digest.hexdigest()[:16]
