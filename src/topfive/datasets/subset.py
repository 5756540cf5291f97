"""Parts of a training set, drawn by a fixed seed: a fraction, so many a class, or the minival."""

from collections.abc import Callable

import numpy as np

from topfive import streams
from topfive.datasets.images import Images
from topfive.problems import Problem


def draw(images: Images, seed: int, fraction: float | None, per_class: int | None) -> np.ndarray:
    """Sorted indices of the part that `data.fraction` or `data.per_class` asks for; else all.

    A fraction takes the same share of every class (rounded, at least one), so that small parts stay
    balanced. Raises Problem where the part cannot be had.
    """
    if fraction is not None and per_class is not None:
        raise Problem("data.fraction and data.per_class exclude each other: give one of them.")
    if per_class is not None:
        if per_class < 1:
            raise Problem(f"data.per_class={per_class} is not a number of images: 1 or more.")
        return _take(images, np.arange(len(images)), seed, "subset", lambda _: per_class)
    if fraction is None or fraction == 1.0:
        return np.arange(len(images))
    if not 0.0 < fraction < 1.0:
        raise Problem(f"data.fraction={fraction} is not within 0 and 1: 0.1 trains on a tenth.")
    part = np.arange(len(images))
    return _take(images, part, seed, "subset", lambda n: max(1, round(fraction * n)))


def hold_out(
    images: Images, part: np.ndarray, seed: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(what trains, the minival), both sorted: `part` without and with the same number of every class.

    The minival is the share of `part` that `count` is of the whole set, so that a small part keeps most
    of its images for training. Raises Problem where a class would be left without any.
    """
    classes = len(np.unique(images.labels))
    each = max(1, round(count * len(part) / len(images) / classes))
    smallest = int(np.unique(images.labels[part], return_counts=True)[1].min())
    if each >= smallest:
        raise Problem(
            f"the minival takes {each} images of every class, and the smallest class has {smallest}: lower "
            f"data.minival, or train on a larger part."
        )
    minival = _take(images, part, seed, "minival", lambda _: each)
    return np.setdiff1d(part, minival), minival


def _take(
    images: Images, part: np.ndarray, seed: int, purpose: str, how_many: Callable[[int], int]
) -> np.ndarray:
    """The first so many of every class of `part`, in an order drawn by (seed, purpose)."""
    order = streams.permutation(seed, purpose, 0, len(images))
    order = order[np.isin(order, part)]
    chosen = []
    for label in np.unique(images.labels):
        members = order[images.labels[order] == label]
        wanted = how_many(len(members))
        if wanted > len(members):
            raise Problem(
                f"class {label} has {len(members)} images, {wanted} were asked for: lower data.per_class."
            )
        chosen.append(members[:wanted])
    return np.sort(np.concatenate(chosen))
