"""Views of a .beton by jpeg_tiles: the crops of the papers, each decoded no further than it reaches."""

import logging
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import jpeg_tiles
from topfive import streams
from topfive.crops import Box, Crop
from topfive.datasets.beton import CHANGED, MISSING, Beton
from topfive.datasets.beton_format import RAW
from topfive.loaders.batch import UNREADABLE, Batch, still
from topfive.loaders.torch_loader import Address
from topfive.protocols import SquareViews

NO_BYTES = np.uint64(np.iinfo(np.uint64).max)  # a place outside of any file

log = logging.getLogger(__name__)


class NativeViews:
    """Cuts boxes out of the images of one .beton; a view that cannot be had is black, and told."""

    def __init__(self, images: Beton, threads: int, device: torch.device):
        self.images, self.device = images, device
        self.decoder = jpeg_tiles.Decoder(threads)
        self.pool = ThreadPoolExecutor(threads)
        entries, known = images.index.samples["f0"], images.rows != MISSING
        rows = np.where(known, images.rows, 0)
        self.raw = np.where(known, entries["mode"][rows] == RAW, 0).astype(np.uint8)
        self.widths = np.where(known, entries["width"][rows], 1).astype(np.uint16)
        self.heights = np.where(known, entries["height"][rows], 1).astype(np.uint16)
        self.pointers = np.where(known, images.index.pointers[rows], NO_BYTES).astype(np.uint64)
        self.sizes = np.where(known, images.index.sizes[rows], 0).astype(np.uint64)
        self.compared = ~known  # with their checksums, once in the life of this process

    def cut(
        self,
        file: np.ndarray,
        index: np.ndarray,
        boxes: Sequence[Box],
        size: int,
        resizes: bool,
    ) -> tuple[Tensor, Tensor]:
        """(views, labels), a box of every image `index`: uint8 (images, 3, size, size) and int64 (images,)."""
        pinned = self.device.type == "cuda"
        out = torch.empty((len(index), 3, size, size), dtype=torch.uint8, pin_memory=pinned)
        filters = [jpeg_tiles.FILTERS.index(b.filter if resizes else "copy") for b in boxes]
        changed = self._changed(file, index)
        pointers = self.pointers[index]
        pointers[changed] = NO_BYTES
        failed = self.decoder.views(
            file=file,
            pointers=pointers,
            sizes=self.sizes[index],
            widths=self.widths[index],
            heights=self.heights[index],
            raw=self.raw[index],
            boxes=np.array([box[:4] for box in boxes], np.float64),
            filters=np.array(filters, np.uint8),
            mirrored=np.array([box.flip for box in boxes], np.uint8),
            out=out.numpy()[:, None],
            views=1,
            size=size,
        )
        labels = torch.from_numpy(self.images.labels[index])
        for row, reason in failed:
            labels[row] = UNREADABLE
            if self.images.rows[index[row]] == MISSING:
                reason = "could not be read when the file was written"
            elif row in changed:
                reason = CHANGED
            log.warning("%s: %s", self.images.name(int(index[row])), reason)
        return out, labels

    def _changed(self, file: np.ndarray, index: np.ndarray) -> list[int]:
        """The rows of `index` whose bytes have changed: a flipped bit decodes, to other pixels.

        An image that was as it should be when it was first read is not read whole again.
        """
        rows = np.flatnonzero(~self.compared[index])
        images: list[int] = index[rows].tolist()
        sound = np.array(list(self.pool.map(partial(self._sound, file), images)), np.bool_)
        self.compared[index[rows[sound]]] = True
        changed: list[int] = rows[~sound].tolist()
        return changed

    def _sound(self, file: np.ndarray, image: int) -> bool:
        start = int(self.pointers[image])
        content = file[start : start + int(self.sizes[image])]
        return zlib.crc32(content.data) == int(self.images.checksums[image])

    def placed(self, batch: Batch) -> Batch:
        """On the device; there the copy runs beside the training."""
        return Batch(*(tensor.to(self.device, non_blocking=True) for tensor in batch))


class TrainingViews(NativeViews):
    """One batch of training views from its addresses."""

    def __init__(self, images: Beton, crop: Crop, seed: int, crop_purpose: str, *where: Any):
        super().__init__(images, *where)
        self.crop, self.seed, self.crop_purpose = crop, seed, crop_purpose

    def __call__(self, addresses: Sequence[Address], file: np.ndarray) -> Batch:
        epoch, sample, draw, *sizes = np.array(addresses).T
        crop: Any = self.crop
        crop = replace(crop, size=int(sizes[0][0])) if sizes else crop
        copy, index = np.divmod(sample, len(self.images))
        u = streams.uniform(self.seed, self.crop_purpose, epoch, draw, crop.draws)
        shapes = list(zip(self.heights[index].tolist(), self.widths[index].tolist(), strict=True))
        boxes = [crop(*shape, numbers) for shape, numbers in zip(shapes, u.tolist(), strict=True)]
        views, labels = self.cut(file, index, boxes, crop.size, crop.resizes)
        places = [crop.place(*shape, box) for shape, box in zip(shapes, boxes, strict=True)]
        where = torch.tensor([(*p, b.flip) for p, b in zip(places, boxes, strict=True)])
        where[labels == UNREADABLE] = 0
        left, top, flip = where.T
        index_, copy_, epoch_ = (torch.from_numpy(of) for of in (index, copy, epoch))
        return self.placed(Batch(views, labels, index_, copy_, epoch_, left, top, flip.bool()))


class WatchedViews(NativeViews):
    """The view of a protocol of one, of the images with the given numbers."""

    def __init__(self, images: Beton, protocol: SquareViews, *where: Any):
        super().__init__(images, *where)
        self.protocol = protocol

    def __call__(self, index: np.ndarray, file: np.ndarray) -> Batch:
        shapes = zip(self.heights[index].tolist(), self.widths[index].tolist(), strict=True)
        boxes = [box for shape in shapes for box in self.protocol(*shape)]
        views, labels = self.cut(file, index, boxes, self.protocol.size, self.protocol.resizes)
        return self.placed(still(views, labels, torch.from_numpy(index)))


def slices(ids: np.ndarray, size: int) -> Iterable[np.ndarray]:
    """`ids` in pieces of `size`, the last as long as what is left."""
    return (ids[start : start + size] for start in range(0, len(ids), size))
