"""ZCA whitening of small images, fitted on the part that trains and kept beside the data."""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from topfive.batch_transforms import Pipeline
from topfive.crops import Crop
from topfive.datasets import Images, Pixels
from topfive.loaders.batch import Batch
from topfive.mean_image import kept
from topfive.problems import Problem

CHUNK = 2000  # images whose products are summed at once


class Whitening(nn.Module):
    """Subtracts `mean`, (d,), and multiplies by the symmetric `matrix`, (d, d): d values an image.

    As pylearn2's script for maxout networks does on CIFAR, which Lin et al. 2013 (section 4.1) and
    Springenberg et al. 2014 (section 3) follow. Training views are whitened as they are cropped, padding
    and mirror included: the papers do not say, and the network sees what the statistics were made for.
    Both buffers travel with the checkpoint, 38 MB in float32 for 3 x 32 x 32, because eigenvectors differ
    between machines (pylearn2 warns of it) and a trained network must be tested on what it was trained
    on. Raises Problem for views of another size.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, mean: Tensor, matrix: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)

    def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
        if x[0].numel() != len(self.mean):
            raise Problem(
                f"whitening was fitted on {len(self.mean)} values an image, and views of "
                f"{_size(x.shape[1:])} have {x[0].numel()}: choose a protocol of the images' own size "
                f"(protocol=one_view), or train without whitening (recipe.whitening=null)."
            )
        last = x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        # Large components cancel in the sum, which mixed precision would not survive.
        with torch.autocast(x.device.type, enabled=False):
            white = (x.flatten(1) - self.mean) @ self.matrix
        return white.view(x.shape).contiguous(memory_format=layout)


def fitted(
    images: Images,
    ids: np.ndarray,
    crop: Crop,
    prepare: Pipeline,
    settings: dict[str, Any],
    bias: float,
    cache: Path,
    progress: bool,
) -> Whitening:
    """The whitening of the samples `ids` as `prepare` hands them over, not augmented.

    W = V diag(1 / sqrt(eigenvalue + bias)) V^T, over the covariance (divided by n) of all the values of
    an image. It is kept under `cache`, named by a fingerprint of the pixels, the part, the bias and the
    `settings` that `prepare` was built from. Raises Problem where images are not pixels of the crop's
    size, or the bias is not positive.
    """
    if isinstance(images, Pixels):
        whole = images.pixels.shape[2:] == (crop.size, crop.size) and not crop.resizes
        found = f"images of {_size(images.pixels.shape[1:])} under a crop of {crop.size} pixels"
    else:
        whole, found = False, "photographs, which differ in size"
    if not whole or not isinstance(images, Pixels):
        raise Problem(
            f"recipe.whitening takes small images of one size, uncropped and not resized, and these are "
            f"{found}: choose data=cifar10 or data=cifar100, or train without it (recipe.whitening=null)."
        )
    if bias <= 0:
        raise Problem(f"recipe.whitening.bias={bias} must be positive: the papers' is 0.1.")
    asked = json.dumps([settings, bias], sort_keys=True).encode()
    part = hashlib.sha256(np.ascontiguousarray(ids).tobytes() + asked).hexdigest()[:12]
    path = cache / f"whitening-{images.fingerprint()}-{part}.npy"
    fit = kept(path, partial(_fit, images, ids, prepare, bias, progress))
    return Whitening(torch.from_numpy(fit[0]), torch.from_numpy(fit[1:]))


def _fit(
    images: Pixels, ids: np.ndarray, prepare: Pipeline, bias: float, progress: bool
) -> np.ndarray:
    """The mean in the first row, the matrix below it: float32, (1 + d, d)."""
    values = int(np.prod(images.pixels.shape[1:]))
    total = torch.zeros(values, dtype=torch.float64)
    products = torch.zeros(values, values, dtype=torch.float64)
    starts = range(0, len(ids), CHUNK)
    told = "whitening: the covariance, then its eigenvectors (about as long)"
    for start in track(starts, told, disable=not progress):
        pixels = torch.from_numpy(images.pixels[ids[start : start + CHUNK]])
        x = prepare(pixels, None, torch.float64).flatten(1)
        total += x.sum(0)
        products.addmm_(x.T, x)
    mean = total / len(ids)
    covariance = products / len(ids) - torch.outer(mean, mean)
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    # Of n images at most n - 1 eigenvalues are not zero; rounding makes some of the others negative.
    matrix = vectors * (eigenvalues.clamp(min=0) + bias).rsqrt() @ vectors.T
    return torch.cat([mean[None], matrix]).float().numpy()


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
