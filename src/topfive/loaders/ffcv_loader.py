"""The loader for large sets: .beton files, FFCV's thread, and a decoder that reads what a crop needs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from topfive.crops import Crop
from topfive.datasets.beton import Beton
from topfive.loaders.batch import Batch
from topfive.loaders.ffcv_epoch import Loader
from topfive.loaders.native_views import TrainingViews, WatchedViews, slices
from topfive.loaders.torch_loader import Addresses, Sizes
from topfive.order import Share, TrainingOrder
from topfive.protocols import SquareViews


class FFCVTraining:
    """Batches of this device from step `first` on; every pass begins there anew."""

    def __init__(
        self,
        images: Beton,
        crop: Crop,
        seed: int,
        order: TrainingOrder,
        share: Share,
        steps: int,
        first: int,
        threads: int,
        device: torch.device,
        sizes: Sizes | None = None,
    ):
        self.rounds = Addresses(order, share, steps, first, sizes)
        views = TrainingViews(images, crop, seed, order.crop_purpose, threads, device)
        self.loader = Loader(images.path, self.rounds, views)

    def __len__(self) -> int:
        return len(self.rounds)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.loader)


class FFCVEvaluation:
    """Every sample of `ids` exactly once over all devices, in the view of a protocol of one."""

    def __init__(
        self,
        images: Beton,
        ids: np.ndarray,
        protocol: SquareViews,
        batch: int,
        share: Share,
        threads: int,
        device: torch.device,
    ):
        self.mine, self.size = ids[share.rank :: share.world], batch
        self.images, self.views = images, WatchedViews(images, protocol, threads, device)

    def __len__(self) -> int:
        return -(-len(self.mine) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        rounds: Any = slices(self.mine, self.size)
        return iter(Loader(self.images.path, rounds, self.views))
