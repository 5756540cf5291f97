"""ReaL labels: all classes that people see in the validation images of ILSVRC-2012, none or several in some.

L. Beyer et al., "Are we done with ImageNet?", arXiv:2006.07159, 2020; real.json of
github.com/google-research/reassessed-imagenet, of which timm carries a copy.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.datasets import imagenet_classes
from topfive.predictions.file import Predictions
from topfive.predictions.tables import Row, Table, rate
from topfive.problems import Problem

IMAGES = 50_000
CLASSES = 1_000
_NAME = re.compile(r"ILSVRC2012_val_(\d{8})")
SOURCE = "real.json of github.com/google-research/reassessed-imagenet; without --labels, timm's copy is read"


def real(given: Predictions, file: Path | None = None) -> Table:
    """The top-1 error by ReaL labels, and by ILSVRC's on the same images; images without a ReaL label are left out.

    file: None for timm's copy. Raises Problem where the file is missing or no such, or the predictions are not of
    validation images of ILSVRC-2012 and its 1,000 classes in their order.
    """
    labels = read_labels(imagenet_classes.real_labels_file() if file is None else file)
    if tuple(given.classes) != imagenet_classes.wordnet_ids():
        raise Problem(
            f"these predictions are of {len(given.classes):,} classes, {given.classes[0]} the first: ReaL labels are "
            f"of the {CLASSES:,} of ILSVRC-2012, by WordNet id in alphabetical order. Name a test of data=imagenet."
        )
    sets = [labels[_number(name) - 1] for name in given.images]
    rated = np.array([bool(one) for one in sets])
    if not rated.any():
        raise Problem("none of these images has a ReaL label: name a test of more images.")
    found = np.array(
        [answer in one for answer, one in zip(given.top5[:, 0].tolist(), sets, strict=True)]
    )
    rows = [
        _row("ReaL", ~(found & given.readable)[rated]),
        _row("ILSVRC-2012", given.errors(1)[rated]),
    ]
    left_out = (
        f"{int((~rated).sum()):,} of {len(rated):,} images have no ReaL label and are left out."
    )
    title = "Whether the first answer is among the labels"
    notes = [left_out, "In %, with Wilson's 95% interval over the images."]
    return Table("real", title, rows, notes)


def read_labels(file: Path) -> list[list[int]]:
    """Of every validation image, in the order of the file names, the class indices; empty where nobody agreed."""
    try:
        labels = json.loads(file.read_bytes())
    except OSError as error:
        raise Problem(f"{file} cannot be read: {error.strerror}. It is {SOURCE}.") from error
    except ValueError as error:
        raise Problem(f"{file} is not JSON ({error}). It is {SOURCE}.") from error
    if not (isinstance(labels, list) and len(labels) == IMAGES and all(map(_is_set, labels))):
        raise Problem(
            f"{file} holds no ReaL labels: expected a list of {IMAGES:,} lists of class numbers below "
            f"{CLASSES:,}. It is {SOURCE}."
        )
    return labels


def _is_set(one: Any) -> bool:
    return isinstance(one, list) and all(type(k) is int and 0 <= k < CLASSES for k in one)


def _number(name: str) -> int:
    match = _NAME.match(Path(name).name)
    if match is None or not 1 <= int(match[1]) <= IMAGES:
        raise Problem(
            f"{name} is no validation image of ILSVRC-2012: expected names such as ILSVRC2012_val_00000293.JPEG, "
            f"whose number says which ReaL labels are its own. Name a test of split val of data=imagenet."
        )
    return int(match[1])


def _row(labels: str, wrong: NDArray[np.bool_]) -> Row:
    return {
        "labels": labels,
        "n": len(wrong),
        "top1_error": rate(wrong),
        "top1_accuracy": float(1 - wrong.mean()),
    }
