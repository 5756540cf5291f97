"""Which samples make up which training batch: an endless sequence of epochs, addressed by the step.

Epochs follow one another without a seam: a batch may hold the last samples of one epoch and the first
of the next, so that every sample is seen exactly once an epoch, no batch is short, and iteration k
means the same whatever the number of devices. (He et al. 2015 count in iterations: 64,000 x 128 images
are 163.84 epochs of CIFAR-10.)
"""

from dataclasses import dataclass, field

import numpy as np

from topfive import streams
from topfive.problems import Problem


@dataclass
class TrainingOrder:
    """The samples of every step.

    ids: the training part, as indices of the whole training set; batch: images a step, over all
    devices. reshuffle=False keeps one random order for all epochs (LeNet-5: LeCun et al. 1998,
    section III-B). crop_shared_by: how many neighbors in the order share one crop and mirror, 1 or more;
    raises Problem otherwise.
    """

    ids: np.ndarray
    batch: int
    seed: int
    reshuffle: bool = True
    crop_shared_by: int = 1
    _epochs: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.crop_shared_by, int) or self.crop_shared_by < 1:
            raise Problem(
                f"recipe.crop_shared_by={self.crop_shared_by}: expected a count of images, 1 or more, that "
                f"share a crop; 1 gives every image its own."
            )

    @property
    def crop_purpose(self) -> str:
        """What crops are drawn for: positions must not meet the draws of samples of the same number."""
        return "crop" if self.crop_shared_by == 1 else "shared crop"

    def epoch(self, number: int) -> np.ndarray:
        """The ids in the order of epoch `number`."""
        number = number if self.reshuffle else 0
        if number not in self._epochs:
            # Two epochs are kept, because a batch can lie in both.
            self._epochs = {k: v for k, v in self._epochs.items() if k == number - 1}
            self._epochs[number] = self.shuffled(number)
        return self._epochs[number]

    def shuffled(self, number: int) -> np.ndarray:
        """The ids in an order that is drawn for epoch `number`."""
        ids: np.ndarray = self.ids[streams.permutation(self.seed, "order", number, len(self.ids))]
        return ids

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(epochs, ids, crops) of the samples of `step`, each (batch,), int64.

        `crops` addresses the draw of the crop: the id, or where it is shared the position in the epoch
        over `crop_shared_by`, so that neighbors share it however a step is divided.
        """
        position = np.arange(step * self.batch, (step + 1) * self.batch)
        epochs = position // len(self.ids)
        ids = np.concatenate(
            [self.epoch(int(e))[position[epochs == e] % len(self.ids)] for e in np.unique(epochs)]
        )
        shared = self.crop_shared_by > 1
        return epochs, ids, position % len(self.ids) // self.crop_shared_by if shared else ids


@dataclass(frozen=True)
class Share:
    """The part of every global batch that one device takes, in `accumulate` rounds."""

    rank: int = 0
    world: int = 1
    accumulate: int = 1

    def rows(self, batch: int, turn: int) -> slice:
        """Rows of the global batch in round `turn` of the step; consecutive rows stay together."""
        size = batch // (self.world * self.accumulate)
        first = (turn * self.world + self.rank) * size
        return slice(first, first + size)
