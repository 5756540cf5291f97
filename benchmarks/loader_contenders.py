"""The loaders that benchmarks/loaders.py times: each a function of what is to be delivered, to passes over it.

All deliver a random crop of GoogLeNet's distribution (8 to 100 % of the area, aspect 3/4 to 4/3, in ten tries) brought
to `size`, mirrored by chance: uint8, or float32 less the mean over the deviation. They differ in how they draw it,
and in layout.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

Passes = Callable[[], Iterable[Any]]  # every call is a pass; what is built once stays built

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Wish:
    """root holds train/CLASS/*.JPEG and what `loaders.py` wrote of it; batches of `batch` by `workers`."""

    root: Path
    batch: int
    workers: int
    size: int
    normalized: bool


def normalized(images: torch.Tensor) -> torch.Tensor:
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, DEVIATION))
    # In place: the pages of a new tensor cost as much again.
    return images.float().sub_(mean).div_(deviation)


def ours(name: str) -> Callable[[Wish], Passes]:
    def build(wish: Wish) -> Passes:
        from topfive.crops import AreaAspect
        from topfive.datasets import beton
        from topfive.loaders.ffcv_loader import FFCVTraining
        from topfive.order import Share, TrainingOrder

        images = beton.load(wish.root / name)
        order = TrainingOrder(np.arange(len(images)), wish.batch, 0)
        steps = len(images) // wish.batch
        loader = FFCVTraining(
            images,
            AreaAspect(wish.size),
            0,
            order,
            Share(),
            steps,
            0,
            wish.workers,
            torch.device("cpu"),
        )
        finish = normalized if wish.normalized else torch.Tensor.detach
        return lambda: (finish(batch.images) for batch in loader)

    return build


def ours_in_torch(wish: Wish) -> Passes:
    """Our torch loader: Pillow decodes the whole image."""
    from topfive.crops import AreaAspect
    from topfive.datasets import folders
    from topfive.loaders import torch_loader
    from topfive.order import Share, TrainingOrder

    images = folders.load(str(wish.root)).train
    order = TrainingOrder(np.arange(len(images)), wish.batch, 0)
    steps = len(images) // wish.batch
    loader = torch_loader.training(
        images, AreaAspect(wish.size), 0, order, Share(), steps, 0, wish.workers, False
    )
    finish = normalized if wish.normalized else torch.Tensor.detach
    return lambda: (finish(batch.images) for batch in loader)


def ours_from_shards(wish: Wish) -> Passes:
    """Our loader of tar shards: the same views, read in sequence, a lane for every worker."""
    from topfive.crops import AreaAspect
    from topfive.datasets import shards
    from topfive.lanes import LaneOrder
    from topfive.loaders.shards_loader import ShardTraining
    from topfive.order import Share

    images, lanes = shards.load(wish.root / "train.shards"), max(1, wish.workers)
    order = LaneOrder(
        np.arange(len(images)), wish.batch, 0, shards=images.shards, lanes=lanes, window=4
    )
    steps = len(images) // wish.batch
    loader = ShardTraining(
        images, AreaAspect(wish.size), 0, order, Share(), steps, 0, wish.workers, False
    )
    finish = normalized if wish.normalized else torch.Tensor.detach
    return lambda: (finish(batch.images) for batch in loader)


def stock(name: str) -> Callable[[Wish], Passes]:
    """FFCV as its ImageNet scripts use it."""

    def build(wish: Wish) -> Passes:
        from ffcv.fields.decoders import IntDecoder, RandomResizedCropRGBImageDecoder
        from ffcv.loader import Loader, OrderOption
        from ffcv.transforms import (
            NormalizeImage,
            RandomHorizontalFlip,
            Squeeze,
            ToTensor,
            ToTorchImage,
        )

        pipeline = [
            RandomResizedCropRGBImageDecoder((wish.size, wish.size)),
            RandomHorizontalFlip(),
        ]
        if wish.normalized:  # on the CPU before ToTensor, after which nothing is compiled
            pipeline.append(NormalizeImage(np.array(MEAN), np.array(DEVIATION), np.float32))
        pipeline += [ToTensor(), ToTorchImage()]
        loader = Loader(
            str(wish.root / name),
            wish.batch,
            wish.workers,
            os_cache=True,
            order=OrderOption.RANDOM,
            seed=0,
            drop_last=True,
            pipelines={"image": pipeline, "label": [IntDecoder(), ToTensor(), Squeeze()]},
        )
        return lambda: (images for images, _ in loader)

    return build


def folder_of(wish: Wish, transform: Any, loader: Any = None) -> Passes:
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    options = {} if loader is None else {"loader": loader}
    images = ImageFolder(wish.root / "train", transform, **options)
    batches = DataLoader(images, wish.batch, True, num_workers=wish.workers, drop_last=True)
    return lambda: (batch for batch, _ in batches)


def pillow(wish: Wish) -> Passes:
    from torchvision import transforms as v1

    steps = [v1.RandomResizedCrop(wish.size, antialias=True), v1.RandomHorizontalFlip()]
    if wish.normalized:
        steps += [
            v1.ToTensor(),
            v1.Normalize([m / 255 for m in MEAN], [d / 255 for d in DEVIATION]),
        ]
    else:
        steps.append(v1.PILToTensor())
    return folder_of(wish, v1.Compose(steps))


def decode_jpeg(wish: Wish) -> Passes:
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    steps = [v2.RandomResizedCrop(wish.size, antialias=True), v2.RandomHorizontalFlip()]
    if wish.normalized:
        steps += [v2.ToDtype(torch.float32), v2.Normalize(MEAN, DEVIATION)]
    return folder_of(wish, v2.Compose(steps), lambda path: decode_image(path, ImageReadMode.RGB))


def timm_loader(wish: Wish) -> Passes:
    from timm.data import create_dataset, create_loader

    images = create_dataset("", str(wish.root / "train"))
    loader = create_loader(
        images,
        (3, wish.size, wish.size),
        wish.batch,
        is_training=True,
        use_prefetcher=not wish.normalized,  # without it, timm normalizes on the CPU
        color_jitter=None,
        interpolation="bilinear",
        num_workers=wish.workers,
        persistent_workers=False,
        device=torch.device("cpu"),
    )
    chosen = loader if wish.normalized else loader.loader
    return lambda: (batch for batch, _ in chosen)


def dali(wish: Wish) -> Passes:
    from nvidia.dali import fn, pipeline_def, types
    from nvidia.dali.plugin.pytorch import DALIGenericIterator, LastBatchPolicy

    @pipeline_def(batch_size=wish.batch, num_threads=wish.workers, device_id=None)
    def crops() -> Any:
        data, labels = fn.readers.file(
            file_root=str(wish.root / "train"), random_shuffle=True, name="files"
        )
        images = fn.decoders.image_random_crop(data, device="cpu", output_type=types.RGB)
        images = fn.resize(images, size=[wish.size, wish.size], interp_type=types.INTERP_TRIANGULAR)
        mirror = fn.random.coin_flip()
        if wish.normalized:
            options = {"mean": MEAN, "std": DEVIATION, "output_layout": "CHW"}
            return fn.crop_mirror_normalize(
                images, mirror=mirror, dtype=types.FLOAT, **options
            ), labels
        return fn.flip(images, horizontal=mirror), labels

    policy = LastBatchPolicy.DROP
    batches = DALIGenericIterator(
        crops(), ["images", "labels"], reader_name="files", last_batch_policy=policy
    )
    return lambda: (batch[0]["images"] for batch in batches)


def webdataset(wish: Wish) -> Passes:
    import webdataset
    from torchvision import transforms as v1

    steps = [
        v1.RandomResizedCrop(wish.size, antialias=True),
        v1.RandomHorizontalFlip(),
        v1.PILToTensor(),
    ]
    if wish.normalized:
        steps += [v1.Lambda(normalized)]
    shards = sorted(str(shard) for shard in wish.root.glob("shards/*.tar"))
    images = webdataset.WebDataset(shards, shardshuffle=len(shards), empty_check=False).shuffle(500)
    images = images.decode("pil").to_tuple("jpeg", "cls").map_tuple(v1.Compose(steps), int)
    batches = webdataset.WebLoader(
        images.batched(wish.batch, partial=False), batch_size=None, num_workers=wish.workers
    )
    return lambda: (batch for batch, _ in batches)


# By the name in the table: what is read, and by what.
CONTENDERS: dict[str, Callable[[Wish], Passes]] = {
    "ours, lossless tiles": ours("lossless.beton"),
    "ours, 500 px q90 tiles": ours("q90.beton"),
    "ffcv, 500 px q90": stock("stock_jpg.beton"),
    "ffcv, 500 px, half raw": stock("stock_half.beton"),
    "ours in torch, originals": ours_in_torch,
    "ours from shards, originals": ours_from_shards,
    "DataLoader + Pillow, originals": pillow,
    "DataLoader + decode_jpeg + v2, originals": decode_jpeg,
    "timm, originals": timm_loader,
    "DALI on the CPU, originals": dali,
    "webdataset, originals": webdataset,
}
