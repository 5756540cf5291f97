"""Whether what was exported computes what the network does."""

from collections.abc import Callable

import torch
from torch import Tensor

from topfive.export.program import noise
from topfive.problems import Problem
from topfive.trained import Trained

TOLERANCE = 1e-4  # of the range of the scores


@torch.no_grad()
def difference(
    trained: Trained, exported: Callable[[Tensor], Tensor], size: int, batch: int | None
) -> float:
    """The largest difference of a score on random images, as a part of the range of the scores.

    The range, because a difference that all classes share would change nothing, and in LeNet-5 that part
    of the scores is by far the largest. A free batch is tried at another number than it was traced with.
    Raises Problem where the difference is above TOLERANCE, or no number.
    """
    images = noise(trained.channels, size, batch or 3)
    expected, found = trained.scores(images), exported(images)
    spread = float(expected.max() - expected.min())
    largest = float((found - expected).abs().max())
    if not largest <= TOLERANCE * spread:
        raise Problem(
            f"what was exported gives other scores than {trained.name}: they differ by up to {largest:.3g}, and "
            f"range over {spread:.3g}. No file is written. Export to the other format, and please report this."
        )
    return largest / spread if spread else 0.0
