"""What the parts of predictions must agree in; a file that says otherwise would give a wrong number."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topfive.problems import Problem

if TYPE_CHECKING:
    from topfive.predictions.file import Predictions

SUM = 0.01  # how far from 1 a row may add up: float16 rounds each of 1,000 by up to 1 in 2,000
REMEDY = "Repeat the test: python -m topfive.evaluate."


def check(predictions: "Predictions", path: Path) -> None:
    """Raises Problem where shapes, kinds or values contradict each other; `path` is for its words."""
    for part in (_about, _shapes, _names, _labels, _probabilities, _ranks):
        if found := part(predictions):
            raise Problem(f"{path} contradicts itself: {found}. {REMEDY}")


def _about(given: "Predictions") -> str | None:
    if not hasattr(given.about, "keys"):
        return f"`about` is {given.about!r}, expected keys and values"
    missing = [key for key in ("split", "protocol") if not isinstance(given.about.get(key), str)]
    return f"`about` does not say its {' and '.join(missing)}" if missing else None


def _shapes(given: "Predictions") -> str | None:
    n, classes = len(given.images), len(given.classes)
    expected = {
        "labels": (np.int64, (n,)),
        "readable": (np.bool_, (n,)),
        "top5": (np.int16, (n, min(5, classes))),
        "probabilities": (np.float16, (n, classes)),
    }
    for name, (kind, shape) in expected.items():
        array = getattr(given, name)
        if (array.dtype, array.shape) != (np.dtype(kind), shape):
            return f"{name} are {array.dtype} {array.shape}, expected {np.dtype(kind)} {shape}"
    return None if n and classes else f"it has {n} images and {classes} classes, expected some"


def _names(given: "Predictions") -> str | None:
    for name in ("images", "classes"):
        text, times = Counter(getattr(given, name)).most_common(1)[0]
        if times > 1:
            return f"{times} of its {name} are called {text}"
    return None


def _labels(given: "Predictions") -> str | None:
    classes = len(given.classes)
    for name in ("labels", "top5"):
        array = getattr(given, name)
        if array.min() < 0 or array.max() >= classes:
            return f"{name} go from {array.min()} to {array.max()}, and there are {classes} classes"
    return None


def _probabilities(given: "Predictions") -> str | None:
    sums = given.probabilities.sum(axis=1, dtype=np.float32)
    off = ~(np.abs(sums - given.readable) <= SUM)  # a NaN is off too
    off |= given.probabilities.min(axis=1) < 0
    if not off.any():
        return None
    first = int(off.argmax())
    kind = "readable" if given.readable[first] else "unreadable"
    return (
        f"the probabilities of {off.sum():,} images are none, the first of them {given.images[first]}, {kind}, "
        f"which add up to {sums[first]:g}"
    )


def _ranks(given: "Predictions") -> str | None:
    """Rounding keeps an order or makes ties, so that no class can be above those that were largest before."""
    values = np.take_along_axis(given.probabilities, given.top5.astype(np.int64), axis=1)
    last = values[:, -1:]
    above = (given.probabilities > last).sum(axis=1) != (values > last).sum(axis=1)
    ordered = np.sort(given.top5, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    rising = (values[:, 1:] > values[:, :-1]).any(axis=1)
    wrong = (above | twice | rising) & given.readable
    if not wrong.any():
        return None
    name = given.images[int(wrong.argmax())]
    return f"top5 are not the largest of the probabilities, as of {name}"
