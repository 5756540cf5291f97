"""Class folders of photographs: root/train/CLASS/*.JPEG and root/val/CLASS/*.JPEG, as ImageNet is kept."""

import os
from pathlib import Path

import numpy as np

from topfive.datasets.images import Dataset, Photographs
from topfive.problems import Problem

ENDINGS = (".jpeg", ".jpg", ".png", ".webp")
ILSVRC_CLASSES = 1000


def load(root: str, expect_classes: int | None = None, remedy: str = "") -> Dataset:
    """Classes are the folders of root/train in alphabetical order, which sorts WordNet ids as ILSVRC does.

    Raises Problem where a folder is missing, the number of classes is not `expect_classes`, or train and
    val disagree about the classes; `remedy` closes the message.
    """
    base = Path(root)
    classes = {split: _classes(base / split, remedy) for split in ("train", "val")}
    if classes["train"] != classes["val"]:
        odd = sorted(set(classes["train"]) ^ set(classes["val"]))
        raise Problem(
            f"{base}/train and {base}/val hold different classes: {', '.join(odd[:5])}"
            f"{' and more' if len(odd) > 5 else ''}. Both must have the same folders. {remedy}".rstrip()
        )
    if expect_classes is not None and len(classes["train"]) != expect_classes:
        raise Problem(
            f"{base}/train holds {len(classes['train'])} class folders, expected {expect_classes}. "
            f"{remedy or 'Name the right folder with data.root=FOLDER.'}"
        )
    train, val = (
        _photographs(base / split, classes["train"], remedy) for split in ("train", "val")
    )
    return Dataset(classes["train"], train, val, "val")


def imagenet(root: str) -> Dataset:
    """ILSVRC-2012: 1,000 classes, WordNet ids as folder names; `data/imagenet/prepare.py` arranges it."""
    remedy = "data/imagenet/prepare.py arranges and checks ImageNet (see data/README.md)."
    return load(root, ILSVRC_CLASSES, remedy)


def _classes(folder: Path, remedy: str) -> list[str]:
    if not folder.is_dir():
        raise Problem(
            f"{folder.resolve()} does not exist. Set data.root=FOLDER to the folder that holds train/ and val/; "
            f"relative folders start where you stand: run from the repository's root. {remedy}".rstrip()
        )
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())


def _photographs(folder: Path, classes: list[str], remedy: str) -> Photographs:
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(
            f"{name}/{entry.name}"
            for entry in os.scandir(folder / name)
            if entry.name.lower().endswith(ENDINGS)
        )
        if not found:
            raise Problem(
                f"{folder / name} holds no image ({', '.join(ENDINGS)}). {remedy}".rstrip()
            )
        files += found
        labels += [label] * len(found)
    return Photographs(folder, files, np.array(labels, dtype=np.int64))
