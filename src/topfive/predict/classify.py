"""From image files to the classes that a network gives them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from topfive.class_names import words
from topfive.datasets.images import Photographs, Unreadable
from topfive.evaluation.averages import Averages
from topfive.evaluation.plan import plan
from topfive.evaluation.scoring import Scoring
from topfive.evaluation.sources import made_of
from topfive.evaluation.waiting import Kind
from topfive.problems import Problem
from topfive.protocols import Protocol
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


@torch.inference_mode()
def predictions(
    trained: Trained,
    protocol: Protocol,
    files: Sequence[Path],
    top: int,
    batch: int,
    missed: list[Unreadable],
) -> Iterator[Prediction]:
    """Of each file, as its views are through; those that cannot be decoded are left out and put on the list `missed`.

    The probabilities are the mean of those of the views, of which the network is shown `batch` of training's
    size at a time. Raises Problem where it does not take views of that size, or gives no numbers.
    """
    done: list[tuple[int, Tensor, Tensor]] = []
    pixels = batch * trained.config["recipe"]["crop"]["size"] ** 2
    averages = Averages()
    scoring = Scoring(
        trained, (protocol,), averages, pixels, lambda *of: done.extend(zip(*of, strict=True))
    )
    images = Photographs(Path(), list(map(str, files)), np.zeros(len(files)), trained.channels)
    for number in range(len(files) + 1):
        last = number == len(files)
        if not last:
            try:
                image = images.read(number)
            except Unreadable as error:
                missed.append(error)
                continue
            asked = plan((protocol,), averages, image.height, image.width)
            made = (made_of(image, source, trained.filter) for source in asked.sources)
            scoring.take(number, asked, [torch.from_numpy(one) for one in made])
        while (kind := (scoring.queues.longest if last else scoring.queues.full)()) is not None:
            _run(scoring, kind)
        for file, ranking, probabilities in done:
            yield Prediction(files[file], _best(trained, ranking[0], probabilities[0], top))
        done.clear()


def _run(scoring: Scoring, kind: Kind) -> None:
    try:
        scoring.run(kind)
    except (RuntimeError, ValueError) as error:  # as torch says it
        height, width = kind.size
        raise Problem(
            f"{scoring.trained.name} does not take views of {width} x {height} pixels "
            f"({str(error).splitlines()[0].rstrip('.')}): leave --protocol out or choose another, and where "
            f"memory is short a smaller --batch."
        ) from error


def _best(trained: Trained, ranking: Tensor, probabilities: Tensor, top: int) -> list[Guess]:
    places = ranking.topk(min(top, len(ranking))).indices.tolist()
    classes = trained.classes
    names = [str(place) if classes is None else classes[place] for place in places]
    values = probabilities[places].tolist()
    return [Guess(*one) for one in zip(names, words(names), values, strict=True)]
