"""Networks averaged: the arithmetic mean of their probabilities, as all the papers' ensembles are."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from topfive.predictions.file import Predictions
from topfive.problems import Problem
from topfive.results import Json
from topfive.runs import CHECKPOINT

STEP = 2.0**-36  # far below what float16 tells apart, so that means closer than this are ties
MOST = 1_000
BLOCK = 1024  # images; bounds the working memory


def ensemble(members: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
    """The mean of the probabilities of `members`, which are aligned; equal weights unless they are given.

    Members keep float16, which calls many small probabilities equal. Among classes of equal mean, those come
    first that the members ranked higher, so that an ensemble of one is that one. An image that one member
    could not read counts as unreadable. Raises Problem where the weights are no such.
    """
    given = _checked(weights, len(members))
    readable = np.logical_and.reduce([one.readable for one in members])
    first = members[0]
    top5, probabilities = np.empty_like(first.top5), np.empty_like(first.probabilities)
    for start in range(0, len(readable), BLOCK):
        rows = slice(start, start + BLOCK)
        top5[rows], probabilities[rows] = _mean(members, given, rows)
    probabilities[~readable] = 0
    return Predictions(
        images=first.images,
        labels=first.labels,
        readable=readable,
        top5=top5,
        probabilities=probabilities,
        classes=first.classes,
        about=_about(members, given),
    )


def networks(members: Sequence[Mapping[str, Json]]) -> int:
    """How many networks were averaged: one that was tested under two protocols counts once.

    members: what files say about themselves; those in an ensemble are counted one by one. Under one protocol, every
    file is a network of its own.
    """
    tests = Counter((network(one), str(one.get("protocol"))) for one in _single(members))
    most: dict[tuple[str, ...], int] = {}
    for (tested, _), count in tests.items():
        most[tested] = max(count, most.get(tested, 0))
    return sum(most.values())


def network(about: Mapping[str, Json]) -> tuple[str, ...]:
    """What tells a network from others in what a file says about itself.

    A file without `origin` is of the end of a training, which is its last checkpoint.
    """
    origin = str(about.get("origin", CHECKPOINT))
    return (*(str(about.get(key)) for key in ("model", "identity", "seed")), origin)


def shared(members: Sequence[Mapping[str, Json]], key: str) -> str:
    """What the single members say under `key`; where they differ, all of it: crops150_and_dense_256_384_512."""
    return "_and_".join(sorted({str(one[key]) for one in _single(members) if key in one}))


def _checked(weights: Sequence[float] | None, count: int) -> NDArray[np.float64]:
    given = np.ones(count) if weights is None else np.array(weights, np.float64)
    if len(given) != count:
        raise Problem(f"{len(given)} weights for {count} files: give one for each, in their order.")
    usable = np.isfinite(given).all() and given.min() > 0 and given.max() <= MOST * given.min()
    if not usable:
        raise Problem(
            f"weights {', '.join(f'{one:g}' for one in given)}: expected positive numbers, none more than "
            f"{MOST:,} times another. Leave out the file that is not to count."
        )
    scaled: NDArray[np.float64] = given / given.min()  # equal ones are exactly 1
    return scaled


def _mean(
    members: Sequence[Predictions], weights: NDArray[np.float64], rows: slice
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ranks (images, 5) and probabilities (images, classes) of some images."""
    shape = members[0].probabilities[rows].shape
    sums, votes = np.zeros(shape), np.zeros(shape)
    for one, weight in zip(members, weights, strict=True):
        # In float64 sums of float16 are exact, hence the same in any order of the members.
        sums += weight * one.probabilities[rows].astype(np.float64)
        ranked = one.top5[rows].astype(np.int64)
        places = np.arange(ranked.shape[1], 0, -1)
        np.put_along_axis(
            votes, ranked, np.take_along_axis(votes, ranked, 1) + weight * places, axis=1
        )
    steps = np.rint(sums / weights.sum() / STEP)
    ties = votes / (8 * weights.sum())  # less than one step
    ranks = np.argsort(-(steps + ties), axis=1, kind="stable")
    return ranks[:, : members[0].top5.shape[1]], steps * STEP


def _about(members: Sequence[Predictions], weights: NDArray[np.float64]) -> dict[str, Json]:
    about = [dict(one.about) for one in members]
    keys = ("model", "data", "split", "protocol")
    resized = shared(about, "filter")
    return {
        **{key: shared(about, key) for key in keys},
        **({"filter": resized} if resized else {}),
        "networks": networks(about),
        "members": about,
        "weights": weights.tolist(),
    }


def _single(members: Sequence[Mapping[str, Json]]) -> Iterator[Mapping[str, Json]]:
    for one in members:
        inner = one.get("members")
        if isinstance(inner, Sequence) and not isinstance(inner, str):
            yield from _single([each for each in inner if isinstance(each, Mapping)])
        else:
            yield one
