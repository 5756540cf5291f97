"""The training set's mean image, by one streaming pass that is cached beside the data."""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from topfive.datasets import Images, Pixels
from topfive.loaders.torch_loader import evaluation
from topfive.order import Share
from topfive.protocols import OneCrop


def mean_image(
    images: Images, ids: np.ndarray, size: int, shorter: int | None, cache: Path, progress: bool
) -> Tensor:
    """Mean over the samples `ids`, float32 on the scale 0..255, (channels, height, width).

    Pixels are averaged as they are; photographs (and pixels that a recipe enlarges: `shorter` given) at
    their central `size` square after a resize of the shorter side. The latter is kept under `cache`, named
    by a fingerprint of the files, the geometry and the part.
    """
    if isinstance(images, Pixels) and shorter is None:
        return torch.from_numpy(images.pixels[ids].mean(0, dtype=np.float64)).float()
    assert shorter is not None, "photographs differ in size: the recipe's crop resizes them"
    part = hashlib.sha256(np.ascontiguousarray(ids)).hexdigest()[:8]
    path = cache / f"mean-{images.fingerprint()}-{shorter}-{size}-{part}.npy"
    if path.exists():
        return torch.from_numpy(np.load(path))
    total: np.ndarray | None = None
    count = 0
    loader = evaluation(images, ids, OneCrop(size, shorter), 64, Share(), None, False)
    for batch in track(loader, "mean image of the training set", disable=not progress):
        readable = batch.images[batch.labels >= 0, 0].double().sum(0).numpy()
        total = readable if total is None else total + readable
        count += int((batch.labels >= 0).sum())
    mean = (total / max(1, count)).astype(np.float32)  # type: ignore[operator]
    cache.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.npy")
    np.save(temporary, mean)
    os.replace(temporary, path)
    return torch.from_numpy(mean)
