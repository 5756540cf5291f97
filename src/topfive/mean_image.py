"""The training set's mean image, by one streaming pass that is cached beside the data."""

import hashlib
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from topfive.datasets import Images, Pixels
from topfive.loaders.torch_loader import evaluation
from topfive.order import Share
from topfive.problems import Problem
from topfive.protocols import OneCrop, SquareViews, WarpedCrop

log = logging.getLogger(__name__)


def mean_image(
    images: Images,
    ids: np.ndarray,
    size: int,
    shorter: int | None,
    cache: Path,
    progress: bool,
    warped: bool = False,
) -> Tensor:
    """Mean over the samples `ids`, float32 on the scale 0..255, (channels, height, width).

    Pixels are averaged as they are; photographs (and pixels that a recipe enlarges: `shorter` given) at
    their central `size` square after a resize of the shorter side (`warped`: of both sides, whatever the
    shape) to `shorter`, unreadable ones left out. The latter is kept under `cache`, named by a
    fingerprint of the files, the geometry and the part. Raises Problem where photographs come without
    `shorter`.
    """
    if isinstance(images, Pixels) and shorter is None:
        return torch.from_numpy(images.pixels[ids].mean(0, dtype=np.float64)).float()
    if shorter is None:
        raise Problem(
            "this recipe takes the mean of images of one size, and photographs differ in theirs: "
            "recipe.mean.shorter=256 resizes them first, or choose a recipe for photographs."
        )
    part = hashlib.sha256(np.ascontiguousarray(ids).data).hexdigest()[:8]
    protocol = WarpedCrop(size, shorter) if warped else OneCrop(size, shorter)
    geometry = f"{'warped-' if warped else ''}{shorter}-{size}"
    path = cache / f"mean-{images.fingerprint()}-{geometry}-{part}.npy"
    return torch.from_numpy(kept(path, partial(_mean, images, ids, protocol, progress)))


def _mean(images: Images, ids: np.ndarray, protocol: SquareViews, progress: bool) -> np.ndarray:
    size = protocol.size
    total, count = np.zeros((images.channels, size, size)), 0
    loader = evaluation(images, ids, protocol, 64, Share(), None, False)
    for batch in track(loader, "mean image of the training set", disable=not progress):
        readable = batch.images[batch.labels >= 0]
        total += readable.sum(0).numpy()
        count += len(readable)
    mean: np.ndarray = (total / max(1, count)).astype(np.float32)
    return mean


def kept(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array in the file `path`, or what `make` gives, which is kept there for the next start.

    It is written whole or not at all, whoever else does; a folder that refuses costs a warning.
    """
    if path.exists():
        found: np.ndarray = np.load(path)
        return found
    array = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.npy")
        np.save(temporary, array)
        os.replace(temporary, path)
    except OSError as error:  # a shared data folder may be read-only
        log.warning("%s could not be kept, every start takes the pass anew: %s", path.name, error)
    return array
