"""timm's augmentations of a training view: policies of color and geometry, drawn for every sample.

They work on the finished uint8 crop, mirrored or not, and leave its size. What moves into the view
from outside, by a shear, a translation or a rotation, has the color `fill`, one value a channel, on
the scale 0..255. A view stays a function of its address, whatever was drawn before.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from timm.data.auto_augment import (
    AugmentOp,
    auto_augment_transform,
    posterize,
    rand_augment_transform,
)

from topfive.global_generators import addressed
from topfive.problems import Problem

Policy = Callable[[Image.Image], Image.Image]


class _OfPolicy:
    policy: Policy

    def __init__(self, fill: Sequence[int]):
        self.fill = tuple(fill)

    def __call__(self, view: np.ndarray, seed: int, epoch: int, sample: int) -> np.ndarray:
        """The view of `sample` in `epoch`, uint8, (channels, size, size), changed."""
        if len(view) != len(self.fill):
            raise Problem(
                f"recipe.augment.fill has {len(self.fill)} values and the images {len(view)} channels: give "
                f"one value a channel."
            )
        image = Image.fromarray(np.ascontiguousarray(view.transpose(1, 2, 0)).squeeze())
        with addressed(seed, "augment", epoch, sample):
            changed = np.asarray(self.policy(image))
        return np.ascontiguousarray(changed.reshape(*view.shape[1:], len(view)).transpose(2, 0, 1))


class RandAugment(_OfPolicy):
    """Operations at random (Cubuk et al., arXiv:1909.13719), as timm writes and has them.

    "rand-m7-mstd0.5-inc1": two operations, each applied with probability 1/2, at magnitude 7 of 10
    with a deviation of 0.5, and all growing stronger with it.
    """

    def __init__(self, policy: str, fill: Sequence[int]):
        super().__init__(fill)
        self.policy = made = rand_augment_transform(policy, {"img_mean": self.fill})
        _let_no_bit_be_black(made.ops)


class AutoAugment(_OfPolicy):
    """One of 25 learned pairs of operations (Cubuk et al., arXiv:1805.09501), as timm names them.

    "v0" is the policy of EfficientNet's code, "original" the paper's.
    """

    def __init__(self, policy: str, fill: Sequence[int]):
        super().__init__(fill)
        self.policy = made = auto_augment_transform(policy, {"img_mean": self.fill})
        for pair in made.policy:
            _let_no_bit_be_black(pair)


def _let_no_bit_be_black(operations: Iterable[AugmentOp]) -> None:
    """An image of 0 bits is black, as it is in EfficientNet's code; Pillow refuses the number."""
    for operation in operations:
        if operation.aug_fn is posterize:
            operation.aug_fn = _posterize


def _posterize(image: Image.Image, bits_to_keep: int, **options: Any) -> Image.Image:
    if bits_to_keep == 0:
        return Image.new(image.mode, image.size)
    kept: Image.Image = posterize(image, bits_to_keep, **options)  # type: ignore[no-untyped-call]
    return kept
