"""Mean and principal components of the training set's colors, by one streaming pass kept beside the data."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from topfive.datasets import Images, Pixels
from topfive.loaders.torch_loader import evaluation
from topfive.mean_image import kept
from topfive.order import Share
from topfive.protocols import OneCrop

SIDE = 256  # photographs: the central square of this side, at this shorter side
CHUNK = 2000  # small images at once


class ColorStatistics(NamedTuple):
    """Over all pixels, on the scale 0..255, for c channels.

    mean, deviation: of every channel, (c,). deviations: along every principal component, (c,), the
    largest first (the roots of the eigenvalues); components: (c, c), one a row, its largest entry
    positive.
    """

    mean: Tensor
    deviation: Tensor
    deviations: Tensor
    components: Tensor


NAMES = ColorStatistics._fields


def color_statistics(
    images: Images, ids: np.ndarray, cache: Path, progress: bool
) -> ColorStatistics:
    """Of the samples `ids`, unreadable ones left out.

    Krizhevsky et al. 2012, section 4.1: PCA "on the set of RGB pixel values throughout the ImageNet
    training set", which is of 256 x 256 squares there (section 2). Kept under `cache`, named by a
    fingerprint of the files and the part.
    """
    part = hashlib.sha256(np.ascontiguousarray(ids).data).hexdigest()[:8]
    path = cache / f"colors-{images.fingerprint()}-{part}.npy"
    moments = kept(path, lambda: _moments(images, ids, progress))
    mean = moments[0]
    covariance = moments[1:] - np.outer(mean, mean)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    rows = vectors.T[::-1]  # eigh has the smallest first
    rows = rows * np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])[:, None]
    deviations = np.sqrt(eigenvalues[::-1].clip(min=0))
    found = (mean, np.sqrt(covariance.diagonal()), deviations, rows)
    return ColorStatistics(*(torch.from_numpy(values.copy()) for values in found))


def _moments(images: Images, ids: np.ndarray, progress: bool) -> np.ndarray:
    """The mean color in the first row, the mean of the products of channels below: (1 + c, c)."""
    channels = images.channels
    total, products, count = np.zeros(channels), np.zeros((channels, channels)), 0
    if isinstance(images, Pixels):
        chunks = (images.pixels[ids[k : k + CHUNK]] for k in range(0, len(ids), CHUNK))
        steps = -(-len(ids) // CHUNK)
    else:
        loader = evaluation(images, ids, OneCrop(SIDE, SIDE), 64, Share(), None, False)
        chunks = (batch.images[batch.labels >= 0].numpy() for batch in loader)
        steps = len(loader)
    told = "colors of the training set"
    for chunk in track(chunks, told, total=steps, disable=not progress):
        values = chunk.swapaxes(0, 1).reshape(channels, -1).astype(np.float64)
        total += values.sum(1)
        products += values @ values.T
        count += values.shape[1]
    return np.concatenate([total[None], products]) / max(1, count)
