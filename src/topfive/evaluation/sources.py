"""Images of a split, each decoded once and resized to all that its views are cut from."""

import logging
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from topfive.crops import Filter
from topfive.datasets import Images, Pixels, Unreadable
from topfive.evaluation.averages import Averages
from topfive.evaluation.plan import Plan, plan
from topfive.loaders.torch_loader import leave_ctrl_c_to_the_trainer, workers
from topfive.loaders.views import resized
from topfive.protocols import Protocol, View

TOGETHER = 4  # images that a worker hands over at once

log = logging.getLogger(__name__)


class Sourced(NamedTuple):
    """An image's number in its split, its (height, width) and its sources, uint8 (channels, height, width).

    shape is None, and there are no sources, where it could not be decoded.
    """

    image: int
    shape: tuple[int, int] | None
    sources: tuple[Tensor, ...]


class Sources(Dataset[Sourced]):
    """Row r: image `ids[r]`. `plan` says of each shape what to make of it."""

    def __init__(
        self,
        images: Images,
        ids: np.ndarray,
        protocols: tuple[Protocol, ...],
        averages: Averages,
        filter: Filter,
    ):
        self.images, self.ids, self.filter = images, ids, filter
        self.protocols, self.averages = protocols, averages

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> Sourced:
        index = int(self.ids[row])
        try:
            image = self.images.read(index)
        except Unreadable as error:
            log.warning("%s", error)
            return Sourced(index, None, ())
        shape = image.height, image.width
        made = (
            torch.from_numpy(made_of(image, source, self.filter))
            for source in self.plan(shape).sources
        )
        return Sourced(index, shape, tuple(made))

    def plan(self, shape: tuple[int, int]) -> Plan:
        """The plan of every image of one shape, made once."""
        return _plan(self.protocols, self.averages, shape)


@lru_cache(maxsize=4096)
def _plan(protocols: tuple[Protocol, ...], averages: Averages, shape: tuple[int, int]) -> Plan:
    return plan(protocols, averages, *shape)


def made_of(image: Image.Image, source: View, filter: Filter) -> np.ndarray:
    """The source's pixels, uint8 (channels, height, width); zero beyond an image that is not resized."""
    if source.frame == (image.height, image.width) and (source.height, source.width) == source.size:
        corner = (source.left, source.top)
        part = image.crop((*corner, source.left + source.width, source.top + source.height))
    else:
        part = resized(image, source.box(image.height, image.width), source.size, filter)
    pixels = np.asarray(part)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return pixels.transpose(2, 0, 1).copy()


def loader(sources: Sources, num_workers: int | None) -> DataLoader[Sourced]:
    """Lists of images, in order."""
    return DataLoader(
        sources,
        batch_size=TOGETHER,
        collate_fn=list,
        num_workers=0 if isinstance(sources.images, Pixels) else workers(num_workers),
        worker_init_fn=leave_ctrl_c_to_the_trainer,
    )
