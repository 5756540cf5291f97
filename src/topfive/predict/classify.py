"""From image files to the classes that a network gives them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from topfive.class_names import words
from topfive.datasets.images import Photographs, Unreadable
from topfive.predict.views import views_of
from topfive.problems import Diverged, Problem
from topfive.protocols import SquareViews
from topfive.trained import Trained


class Guess(NamedTuple):
    """A class by its name in the data set, what that means in words, and its probability."""

    class_name: str
    words: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image, the first of them first."""

    image: Path
    guesses: Sequence[Guess]


class Seen(NamedTuple):
    image: Path
    views: Tensor  # uint8 (views, channels, size, size)


def predictions(
    trained: Trained,
    protocol: SquareViews,
    files: Sequence[Path],
    top: int,
    batch: int,
    missed: list[Unreadable],
) -> Iterator[Prediction]:
    """Of each file in order; those that cannot be decoded are left out and put on the list `missed`.

    The probabilities are the mean of those of the views, of which the network is shown `batch` at a
    time. Raises Problem where the network does not take views of that size, or gives no numbers.
    """
    seen = _seen(trained, protocol, files, missed)
    for together in _batches(seen, batch):
        views = torch.cat([one.views for one in together])
        each = torch.cat([_probabilities(trained, part) for part in torch.split(views, batch)])
        counts = [len(one.views) for one in together]
        for one, of_views in zip(together, torch.split(each, counts), strict=True):
            yield Prediction(one.image, _best(trained, of_views.mean(0), top))


def _seen(
    trained: Trained,
    protocol: SquareViews,
    files: Sequence[Path],
    missed: list[Unreadable],
) -> Iterator[Seen]:
    no_labels = np.full(len(files), -1)
    images = Photographs(Path(), [str(file) for file in files], no_labels, trained.channels)
    for number, file in enumerate(files):
        try:
            image = images.read(number)
        except Unreadable as error:
            missed.append(error)
            continue
        yield Seen(file, views_of(image, protocol, trained.filter))


def _batches(seen: Iterable[Seen], batch: int) -> Iterator[list[Seen]]:
    """Neighbors whose views have one shape, up to `batch` views or one image more."""
    together: list[Seen] = []
    for one in seen:
        full = sum(len(other.views) for other in together) >= batch
        if together and (full or one.views.shape[1:] != together[0].views.shape[1:]):
            yield together
            together = []
        together.append(one)
    if together:
        yield together


@torch.inference_mode()
def _probabilities(trained: Trained, views: Tensor) -> Tensor:
    device = next(trained.net.parameters()).device
    try:
        scores = trained.scores(views.to(device))
    except (RuntimeError, ValueError) as error:  # as torch says it
        raise Problem(
            f"{trained.name} does not take views of {views.shape[2]} x {views.shape[3]} pixels "
            f"({str(error).splitlines()[0].rstrip('.')}): leave --protocol out or choose another, and where "
            f"memory is short a smaller --batch."
        ) from error
    if not scores.isfinite().all():
        raise Diverged(
            f"the scores of {trained.name} are not finite: its training diverged. Name another run or "
            f"other weights."
        )
    return scores.float().softmax(1).cpu()


def _best(trained: Trained, probabilities: Tensor, top: int) -> list[Guess]:
    values, places = probabilities.topk(min(top, len(probabilities)))
    classes = trained.classes
    names = [str(place) if classes is None else classes[place] for place in places.tolist()]
    return [Guess(*one) for one in zip(names, words(names), values.tolist(), strict=True)]
