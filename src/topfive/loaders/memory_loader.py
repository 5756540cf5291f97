"""Small sets resident in device memory: a crop is one gather there, with no worker and no copy."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from topfive import streams
from topfive.crops import Shift
from topfive.datasets import Pixels
from topfive.loaders.batch import Batch, still
from topfive.order import Share, TrainingOrder


def _windows(images: Pixels, size: int, by: int, device: torch.device) -> tuple[Tensor, int, int]:
    """Every `size` window of every image as a view without copies, and the offsets of window (0, 0)."""
    pixels = torch.from_numpy(images.pixels).to(device)
    height, width = pixels.shape[2:]
    left, top = (width - size) // 2 - by, (height - size) // 2 - by
    # Room for windows -by .. +by around the centered one: zeros are added, or edges cut away.
    margins = (
        -left,
        size + by + (width - size) // 2 - width,
        -top,
        size + by + (height - size) // 2 - height,
    )
    padded = torch.nn.functional.pad(pixels, margins)
    return padded.unfold(2, size, 1).unfold(3, size, 1), left, top


class MemoryTraining:
    """Batches of this device from step `first` on, for the whole-pixel crop `Shift`."""

    def __init__(
        self,
        images: Pixels,
        crop: Shift,
        seed: int,
        order: TrainingOrder,
        share: Share,
        steps: int,
        first: int,
        device: torch.device,
    ):
        self.crop, self.seed, self.order, self.share = crop, seed, order, share
        self.steps, self.first, self.device = steps, first, device
        self.windows, self.left, self.top = _windows(images, crop.size, crop.by, device)
        self.labels = torch.from_numpy(images.labels).to(device)

    def __len__(self) -> int:
        # All rounds of the run, the ones before `first` included: Lightning counts from the run's start.
        return self.steps * self.share.accumulate

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.first, self.steps):
            addresses = self.order[step]
            for turn in range(self.share.accumulate):
                rows = self.share.rows(self.order.batch, turn)
                epoch, sample, crop = (
                    torch.from_numpy(a[rows]).to(self.device, non_blocking=True) for a in addresses
                )
                yield self.batch(epoch, sample, crop)

    def batch(self, epoch: Tensor, sample: Tensor, crop: Tensor) -> Batch:
        """The views of samples (image + copy x images) in epochs `epoch`, cropped as `crop` addresses.

        All are int64, (batch,).
        """
        index, copy = sample % len(self.labels), sample // len(self.labels)
        u = streams.uniform(self.seed, self.order.crop_purpose, epoch, crop, self.crop.draws)
        places = 2 * self.crop.by + 1
        x, y = ((u[:, k] * places).long().clamp_(max=places - 1) for k in (0, 1))
        images = self.windows[index, :, y, x]
        flip = (u[:, 2] < 0.5) & self.crop.flip
        images = torch.where(flip[:, None, None, None], images.flip(3), images)
        return Batch(
            images, self.labels[index], index, copy, epoch, self.left + x, self.top + y, flip
        )


class MemoryEvaluation:
    """Every sample of `ids` exactly once over all devices, seen whole and centered."""

    def __init__(
        self,
        images: Pixels,
        ids: np.ndarray,
        size: int,
        batch: int,
        share: Share,
        device: torch.device,
    ):
        self.ids, self.size = ids[share.rank :: share.world], batch
        self.windows, _, _ = _windows(images, size, 0, device)
        self.labels = torch.from_numpy(images.labels).to(device)

    def __len__(self) -> int:
        return -(-len(self.ids) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.ids), self.size):
            index = torch.from_numpy(self.ids[start : start + self.size]).to(self.labels.device)
            yield still(self.windows[index, :, 0, 0], self.labels[index], index)
