"""A split in tar files of some hundred megabytes, as WebDataset reads them, beside an index of what is where.

NAME.shards/index.json   of which files they were made, their classes, and of every shard its name and size
NAME.shards/index.npz    of every image: file name, size, label, shard, place in it, checksum
NAME.shards/*.tar        of every image its file and its label: 00000017.jpeg, 00000017.cls
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from topfive.datasets import shard_streams
from topfive.datasets.images import decoded, fingerprint
from topfive.problems import Problem

SCHEMA = 1
COLUMNS = ("lengths", "labels", "shards", "offsets", "checksums")


@dataclass(frozen=True)
class Shards:
    """Images of a split in shards, or a part of them.

    tars: (file name, bytes) of every shard. files: what the images were made of; members: int64, by which number
    the tars name them; lengths, labels, shards, offsets: int64; checksums: uint32; each (n,). url: where the tars
    are if not in `folder` (topfive.datasets.shard_streams), cache: the folder that whole ones are then copied to.
    held: contents that were read ahead.
    """

    folder: Path
    tars: Sequence[tuple[str, int]]
    files: Sequence[str]
    members: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    shards: np.ndarray
    offsets: np.ndarray
    checksums: np.ndarray
    channels: int = 3
    url: str | None = None
    cache: Path | None = None
    held: Mapping[int, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.files)

    def content(self, index: int) -> bytes:
        """The bytes of image `index`; raises Problem where its shard cannot be had, or only in passing."""
        if index in self.held:
            return self.held[index]
        self.demand_any_order()
        return self.contents(np.array([index]))[index]

    def demand_any_order(self) -> None:
        """Raises Problem where images can only be read shard by shard."""
        if self.url is not None and self.cache is None:
            raise Problem(
                f"{self.url}: what reads these images in any order (a mean image, a minival, another loader) needs "
                f"whole shards on this machine: set loader.cache=FOLDER."
            )

    def contents(self, indices: np.ndarray) -> dict[int, bytes]:
        """The bytes of many, every shard opened once; raises Problem where one cannot be had or is damaged."""
        found: dict[int, bytes] = {}
        for shard in np.unique(self.shards[indices]):
            found |= self._of_shard(int(shard), indices[self.shards[indices] == shard])
        return found

    def _of_shard(self, shard: int, indices: np.ndarray) -> dict[int, bytes]:
        if self.url is not None and self.cache is None:
            wanted = {int(self.members[i]): (int(i), int(self.lengths[i])) for i in indices}
            return shard_streams.read(self.location(shard), wanted)
        path = self.local(shard)
        try:
            with path.open("rb") as file:
                return {
                    int(i): self._at(file, i) for i in indices[np.argsort(self.offsets[indices])]
                }
        except OSError as error:
            raise Problem(f"{path} cannot be read ({error.strerror}): {self._remedy}") from error

    def _at(self, file: Any, index: int) -> bytes:
        file.seek(int(self.offsets[index]))
        content: bytes = file.read(int(self.lengths[index]))
        return content

    def local(self, shard: int) -> Path:
        """The file of a shard, copied to the cache where it is elsewhere; raises Problem where it is not whole."""
        name, size = self.tars[shard]
        if self.url is None:
            path = self.folder / name
        else:
            assert self.cache is not None
            path = shard_streams.cached(self.location(shard), self.cache)
        try:
            found = path.stat().st_size
        except OSError as error:
            raise Problem(f"{path} cannot be read ({error.strerror}): {self._remedy}") from error
        if found != size:
            raise Problem(f"{path} has {found:,} bytes, expected {size:,}: {self._remedy}")
        return path

    def location(self, shard: int) -> str:
        """What WebDataset opens for a shard that is elsewhere."""
        assert self.url is not None
        return shard_streams.location(self.url, self.folder.name, self.tars[shard][0])

    @property
    def _remedy(self) -> str:
        if self.url is not None:
            return "look for the shard under loader.shards, and remove a copy that is not whole."
        return (
            f"copy it there again, name where the shards are with loader.shards=URL, or write them anew: "
            f"python data/folder/prepare.py --root {self.folder.parent} --shards."
        )

    def read(self, index: int) -> Image.Image:
        """Image `index` as Pillow decodes it; raises Unreadable where it does not, Problem as `content`."""
        return decoded(io.BytesIO(self.content(index)), self.channels, self.name(index))

    def take(self, indices: np.ndarray) -> "Shards":
        """A part of the images."""
        files = [self.files[index] for index in indices]
        columns = {name: getattr(self, name)[indices] for name in ("members", *COLUMNS)}
        return replace(self, files=files, **columns)

    def with_channels(self, channels: int) -> "Shards":
        """The same images, decoded to gray (1) or color (3)."""
        return replace(self, channels=channels)

    def name(self, index: int) -> str:
        """What to call image `index` in a message."""
        return f"{self.folder / self.tars[self.shards[index]][0]}: {self.files[index]}"

    def id(self, index: int) -> str:
        """The file that it was made of, below the split's folder."""
        return self.files[index]

    def fingerprint(self) -> str:
        """That of the files they were made of."""
        return fingerprint(self.channels, self.files, self.labels, self.lengths)


def report_of(folder: Path) -> Path:
    """The .json in a folder of shards."""
    return folder / "index.json"


def details_of(folder: Path) -> Path:
    """The .npz in a folder of shards."""
    return folder / "index.npz"


def report(folder: Path) -> dict[str, Any]:
    """What was written down of `folder`; raises Problem where it is missing, damaged or of another version."""
    try:
        found: dict[str, Any] = json.loads(report_of(folder).read_text())
        if found["schema"] == SCHEMA:
            return found
        why = f"has schema {found['schema']}, expected {SCHEMA}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"cannot be read ({type(error).__name__})"
    raise Problem(f"{report_of(folder)} {why}: write the shards anew.")


def load(folder: Path) -> Shards:
    """The whole split, its tars unread; raises Problem where the index is missing or damaged."""
    tars = [(str(tar["name"]), int(tar["bytes"])) for tar in report(folder)["shards"]]
    try:
        with np.load(details_of(folder)) as details:
            names, columns = details["names"], {name: details[name] for name in COLUMNS}
    except (OSError, ValueError, KeyError) as error:
        raise Problem(
            f"{details_of(folder)} cannot be read ({type(error).__name__}): write the shards anew."
        ) from error
    files = names.tobytes().decode().split("\n") if names.size else []
    lengths = {len(files), *(len(column) for column in columns.values())}
    if len(lengths) != 1 or columns["shards"].max(initial=-1) >= len(tars):
        raise Problem(
            f"{report_of(folder)} and {details_of(folder)} do not fit together: write the shards anew."
        )
    return Shards(folder, tars, files, np.arange(len(files)), **columns)
