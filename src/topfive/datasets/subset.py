"""Parts of a training set, drawn by a fixed seed: a fraction, so many a class, or the minival held out."""

import numpy as np

from topfive import streams
from topfive.datasets.images import Images
from topfive.problems import Problem


def draw(images: Images, seed: int, fraction: float | None, per_class: int | None) -> np.ndarray:
    """Sorted indices of the part that `data.fraction` or `data.per_class` asks for; all where neither does.

    A fraction takes the same share of every class (rounded), so that small parts stay balanced.
    """
    if fraction is not None and per_class is not None:
        raise Problem("data.fraction and data.per_class exclude each other: give one of them.")
    if per_class is not None:
        return _take(images, seed, "subset", lambda _: per_class)
    if fraction is None or fraction == 1.0:
        return np.arange(len(images))
    if not 0.0 < fraction < 1.0:
        raise Problem(f"data.fraction={fraction} is not within 0 and 1: 0.1 trains on a tenth.")
    return _take(images, seed, "subset", lambda n: max(1, round(fraction * n)))


def hold_out(
    images: Images, part: np.ndarray, seed: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(what trains, the minival of about `count`), both sorted: the same number of every class."""
    classes = len(np.unique(images.labels))
    each = max(1, round(count * len(part) / len(images) / classes))
    minival = np.intersect1d(_take(images, seed, "minival", lambda _: each, part), part)
    return np.setdiff1d(part, minival), minival


def _take(
    images: Images, seed: int, purpose: str, how_many, part: np.ndarray | None = None
) -> np.ndarray:
    """The first so many of every class in an order drawn by (seed, purpose)."""
    order = streams.permutation(seed, purpose, 0, len(images))
    if part is not None:
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
