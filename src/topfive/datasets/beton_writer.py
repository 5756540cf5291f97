"""Writes a .beton page by page, so that an interrupted run goes on with the page it was at.

    NAME.part           the pages so far
    NAME.part.entries   of every image of the pages that are whole: where it lies, what it is
    NAME.part.json      of what images and how stored; another wish starts anew

The file depends on the images and the storage alone, not on how many processes wrote it or how often it
was interrupted.
"""

import json
import os
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from topfive import whole_files
from topfive.datasets import beton_format
from topfive.datasets.storage import HOW, Stored
from topfive.problems import Problem

# `how` is a place in HOW; an image that could not be read has no bytes.
ENTRY = np.dtype(
    [
        ("ptr", "<u8"),
        ("size", "<u8"),
        ("width", "<u2"),
        ("height", "<u2"),
        ("how", "u1"),
        ("crc", "<u4"),
        ("label", "<i8"),
        ("kind", "S32"),
    ]
)
UNREADABLE = HOW.index("unreadable")
SMALLEST_PAGE = 1 << 21  # FFCV's bounds
LARGEST_PAGE = 1 << 31


class BetonWriter:
    """Takes images in their order; `done` of them are already in from an earlier, interrupted run.

    An image larger than a page is refused with a Problem that names the remedy.
    """

    def __init__(self, path: Path, images: int, wish: dict[str, object], page_size: int):
        if page_size & (page_size - 1) or not SMALLEST_PAGE <= page_size <= LARGEST_PAGE:
            raise Problem(f"page_size={page_size}: FFCV's pages are powers of two from 2 MiB on.")
        self.path, self.images, self.page_size = path, images, page_size
        self.part = path.with_name(path.name + whole_files.SUFFIX)
        self.entries_file = self.part.with_name(self.part.name + ".entries")
        self.wish_file = self.part.with_name(self.part.name + ".json")
        self.wish = json.dumps({**wish, "images": images, "page_size": page_size}, sort_keys=True)
        self.start = beton_format.first_page(images, page_size)
        resumed = self._resumed()
        self.entries, self.written = [resumed], len(resumed)
        self.page, self.pending = bytearray(), list[tuple[object, ...]]()
        last = int(resumed["ptr"].max(initial=0))
        self.pages = (last - self.start) // page_size + 1 if last else 0
        self.sink = self._opened()

    def _resumed(self) -> np.ndarray:
        nothing = np.empty(0, ENTRY)
        try:
            if self.wish_file.read_text() != self.wish or not self.part.exists():
                return nothing
            content = self.entries_file.read_bytes()
        except OSError:
            return nothing
        return np.frombuffer(content[: len(content) // ENTRY.itemsize * ENTRY.itemsize], ENTRY)

    def _opened(self) -> IO[bytes]:
        if not self.written:
            self.entries_file.unlink(missing_ok=True)
            self.part.write_bytes(b"")
            self.wish_file.write_text(self.wish)
        sink = self.part.open("r+b")
        sink.truncate(self.start + self.pages * self.page_size)
        sink.seek(0, os.SEEK_END)
        with self.entries_file.open("ab") as journal:
            journal.truncate(self.written * ENTRY.itemsize)
        return sink

    @property
    def done(self) -> int:
        """Images that need not be given again."""
        return self.written + len(self.pending)

    def add(self, stored: Stored | None, label: int) -> None:
        """The next image; None where it could not be read."""
        if stored is None:
            self.pending.append((0, 0, 0, 0, UNREADABLE, 0, label, b""))
            return
        size = len(stored.content)
        if size > self.page_size:
            raise Problem(
                f"an image takes {size:,} bytes, a page {self.page_size:,}: write with a larger page "
                f"(--page-size) or smaller images (--max-side)."
            )
        if len(self.page) + size > self.page_size:
            self.flush()
        pointer = self.start + self.pages * self.page_size + len(self.page)
        self.page += stored.content
        how, crc = HOW.index(stored.how), zlib.crc32(stored.content)
        shape, kind = (stored.width, stored.height), stored.kind.encode()
        self.pending.append((pointer, size, *shape, how, crc, label, kind))

    def flush(self) -> None:
        """The page so far to the disk, and then the entries that point into it."""
        if self.page:
            self.sink.write(self.page.ljust(self.page_size, b"\0"))
            self.sink.flush()
            os.fsync(self.sink.fileno())
            self.pages += 1
            self.page = bytearray()
        if self.pending:
            entries = np.array(self.pending, ENTRY)
            with self.entries_file.open("ab") as journal:
                journal.write(entries.tobytes())
                journal.flush()
                os.fsync(journal.fileno())
            self.entries.append(entries)
            self.written, self.pending = self.written + len(entries), []

    def finish(self) -> np.ndarray:
        """Completes the file, not yet under its name; returns the entries of all images."""
        self.flush()
        assert self.written == self.images
        whole = np.concatenate(self.entries)
        kept = np.flatnonzero(whole["size"])
        samples = np.zeros(len(kept), beton_format.SAMPLE)
        places = np.zeros(len(kept), beton_format.ALLOCATION)
        entries = whole[kept]
        raw = entries["how"] == HOW.index("raw")
        samples["f0"]["mode"] = np.where(raw, beton_format.RAW, beton_format.JPEG)
        for name in ("width", "height"):
            samples["f0"][name] = entries[name]
        samples["f0"]["data_ptr"], samples["f1"] = entries["ptr"], entries["label"]
        places["sample_id"] = np.arange(len(kept))
        places["ptr"], places["size"] = entries["ptr"], entries["size"]
        table = self.start + self.pages * self.page_size
        self.sink.write(places.tobytes())
        self.sink.seek(0)
        self.sink.write(beton_format.preamble(len(kept), self.page_size, samples, table))
        self.sink.flush()
        os.fsync(self.sink.fileno())
        self.sink.close()
        return whole

    def publish(self) -> None:
        """Under its name, once all that describes the file is in place."""
        os.replace(self.part, self.path)
        self.entries_file.unlink(missing_ok=True)
        self.wish_file.unlink(missing_ok=True)

    def close(self) -> None:
        """Keeps the pages that are whole for the next run."""
        self.sink.close()
