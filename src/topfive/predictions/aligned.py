"""Tests of the same images, brought into one order."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from topfive.predictions.file import Predictions
from topfive.problems import Problem

Tested = tuple[Path, Predictions]


def aligned(tests: Sequence[Tested]) -> list[Predictions]:
    """The predictions of `tests` with their images in the order of the first.

    Raises Problem, which names the two files and what differs, where they are not of the same images with the
    same labels, or their classes are others or in another order.
    """
    first = tests[0]
    return [first[1], *(_reordered(other, first) for other in tests[1:])]


def _reordered(other: Tested, like: Tested) -> Predictions:
    path, given = other
    expected = like[1]
    if list(given.classes) != list(expected.classes):
        one = next(iter(set(given.classes) ^ set(expected.classes)), "their order")
        raise _differing(path, like[0], f"they differ in their classes ({one})")
    missing, superfluous = (
        sorted(set(these) - set(those))
        for these, those in ((expected.images, given.images), (given.images, expected.images))
    )
    if missing or superfluous:
        one = (missing + superfluous)[0]
        count = f"{len(missing):,} images are only in the second and {len(superfluous):,} only in the first"
        raise _differing(path, like[0], f"{count} ({one})")
    if list(given.images) != list(expected.images):
        place = {name: row for row, name in enumerate(given.images)}
        rows = np.array([place[name] for name in expected.images])
        arrays = {
            name: getattr(given, name)[rows]
            for name in ("labels", "readable", "top5", "probabilities")
        }
        given = replace(given, images=expected.images, **arrays)
    other_labels = given.labels != expected.labels
    if other_labels.any():
        one = expected.images[int(other_labels.argmax())]
        raise _differing(path, like[0], f"{other_labels.sum():,} images have another label ({one})")
    return given


def _differing(path: Path, first: Path, what: str) -> Problem:
    return Problem(
        f"{path} and {first} are not of the same images: {what}. Name tests of one split of one data set."
    )
