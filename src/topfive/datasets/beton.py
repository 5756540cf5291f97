"""A split in one file of FFCV's format, beside what the file itself does not say.

NAME.beton        images and labels, readable by FFCV alone
NAME.beton.json   of which files it was made, how they are kept, what was found among them
NAME.beton.npz    of every image: file name, size of that file, row in the .beton, checksum
"""

import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from topfive.datasets import beton_format
from topfive.datasets.images import MODES, Unreadable, decoded, fingerprint
from topfive.problems import Problem

SCHEMA = 1
EXACT = ("lossless", "raw")  # storages that keep the very pixels
MISSING = -1  # the row of an image that could not be read when the file was written
CHANGED = "its bytes are no longer those that were written (prepare.py --check names all such)"


@dataclass(frozen=True)
class Beton:
    """Images of a .beton, or a part of them.

    files: what they were made of; lengths: int64, bytes of those files; rows: int64, in the .beton, or MISSING;
    labels: int64, each (n,). storage: how the images are kept, one of EXACT for the very pixels.
    """

    path: Path
    index: beton_format.Index
    files: Sequence[str]
    lengths: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    checksums: np.ndarray
    storage: str
    channels: int = 3

    def __len__(self) -> int:
        return len(self.rows)

    def content(self, index: int) -> bytes:
        """The stored bytes of image `index`; raises Unreadable where there are none."""
        row = int(self.rows[index])
        if row == MISSING:
            raise Unreadable(f"{self.name(index)}: could not be read when the file was written")
        with self.path.open("rb") as file:
            file.seek(int(self.index.pointers[row]))
            return file.read(int(self.index.sizes[row]))

    def read(self, index: int) -> Image.Image:
        """Image `index` as Pillow decodes it; raises Unreadable where it does not, or its bytes have changed."""
        content = self.content(index)
        if zlib.crc32(content) != self.checksums[index]:
            raise Unreadable(f"{self.name(index)}: {CHANGED}")
        entry = self.index.samples["f0"][self.rows[index]]
        if entry["mode"] != beton_format.RAW:
            return decoded(io.BytesIO(content), self.channels, self.name(index))
        try:
            size = int(entry["width"]), int(entry["height"])
            return Image.frombytes("RGB", size, content).convert(MODES[self.channels])
        except ValueError as error:
            raise Unreadable(f"{self.name(index)}: {error}") from error

    def take(self, indices: np.ndarray) -> "Beton":
        """A part of the images."""
        files = [self.files[index] for index in indices]
        parts = (self.lengths, self.rows, self.labels, self.checksums)
        sizes, rows, labels, checksums = (part[indices] for part in parts)
        return replace(
            self, files=files, lengths=sizes, rows=rows, labels=labels, checksums=checksums
        )

    def with_channels(self, channels: int) -> "Beton":
        """The same images, decoded to gray (1) or color (3)."""
        return replace(self, channels=channels)

    def name(self, index: int) -> str:
        """What to call image `index` in a message."""
        return f"{self.path}: {self.files[index]}"

    def id(self, index: int) -> str:
        """The file that it was made of, below the split's folder."""
        return self.files[index]

    def fingerprint(self) -> str:
        """That of the files it was made of, and where the pixels are not theirs, of how they are kept."""
        kept = "" if self.storage in EXACT else self.storage
        return fingerprint(self.channels, self.files, self.labels, self.lengths, kept)

    def changed(self) -> Iterator[tuple[int, bool]]:
        """(index, whether its bytes are no longer those that were written), image by image."""
        for index in np.flatnonzero(self.rows != MISSING):
            yield int(index), zlib.crc32(self.content(int(index))) != self.checksums[index]


def report_of(path: Path) -> Path:
    """The .json beside a .beton."""
    return path.with_name(path.name + ".json")


def details_of(path: Path) -> Path:
    """The .npz beside a .beton."""
    return path.with_name(path.name + ".npz")


def report(path: Path) -> dict[str, Any]:
    """What was written down of `path`; raises Problem where it is missing, damaged or of another version."""
    try:
        found: dict[str, Any] = json.loads(report_of(path).read_text())
        if found["schema"] == SCHEMA:
            return found
        why = f"has schema {found['schema']}, expected {SCHEMA}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"cannot be read ({type(error).__name__})"
    raise Problem(f"{report_of(path)} {why}: write the .beton anew.")


def load(path: Path, storage: str | None = None) -> Beton:
    """The whole split, kept as `storage` or else as its report says.

    Raises Problem where a file is missing or the three do not fit together.
    """
    storage = str(report(path)["storage"]) if storage is None else storage
    try:
        with np.load(details_of(path)) as details:
            names, sizes, rows, labels, checksums = (
                details[name] for name in ("names", "bytes", "rows", "labels", "checksums")
            )
    except (OSError, ValueError, KeyError) as error:
        raise Problem(
            f"{details_of(path)} cannot be read ({type(error).__name__}): write the .beton anew."
        ) from error
    files = names.tobytes().decode().split("\n") if names.size else []
    index = beton_format.read(path)
    lengths = {len(part) for part in (files, sizes, rows, labels, checksums)}
    if len(lengths) != 1 or rows.max(initial=MISSING) >= len(index.samples):
        raise Problem(f"{path} and {details_of(path)} do not fit together: write the .beton anew.")
    return Beton(path, index, files, sizes, rows, labels, checksums, storage)
