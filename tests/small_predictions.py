"""Predictions made by hand, for the tests of what is kept in a file and read from it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from topfive.predictions import Predictions

SIX = "abcdef"
FALLING = (0.40, 0.25, 0.15, 0.10, 0.06, 0.04)  # a is likeliest, f least


def predictions(
    probabilities: Sequence[Sequence[float]],
    labels: Sequence[int],
    readable: Sequence[bool] | None = None,
    **about: Any,
) -> Predictions:
    """Of images 0, 1, ... and classes a, b, ...; a row of an unreadable image is made zero."""
    seen = [True] * len(labels) if readable is None else list(readable)
    rows = [row if ok else [0.0] * len(row) for row, ok in zip(probabilities, seen, strict=True)]
    ranked = [sorted(range(len(row)), key=lambda k, row=row: -row[k])[:5] for row in rows]
    return Predictions(
        images=[str(k) for k in range(len(labels))],
        labels=np.array(labels, np.int64),
        readable=np.array(seen),
        top5=np.array(ranked, np.int16),
        probabilities=np.array(rows, np.float16),
        classes=[chr(ord("a") + k) for k in range(len(rows[0]))],
        about={"split": "val", "protocol": "one_crop"} | about,
    )


def answering(answers: Sequence[int], labels: Sequence[int], **about: Any) -> Predictions:
    """Of six classes: the answer has 0.5, the others 0.1 each."""
    rows = [[0.5 if k == answer else 0.1 for k in range(6)] for answer in answers]
    return predictions(rows, labels, **about)
