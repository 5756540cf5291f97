"""Class folders of photographs, as ImageNet is kept: root/train/CLASS/*.JPEG, root/val/CLASS/*.JPEG."""

import os
from pathlib import Path
from types import ModuleType
from typing import cast

import numpy as np

from topfive.datasets import beton, shards
from topfive.datasets.images import Dataset, Images, Missing, Photographs
from topfive.problems import Problem

ENDINGS = (".jpeg", ".jpg", ".png", ".webp")
ILSVRC_CLASSES = 1000
SPLITS = ("train", "val")
STORED: dict[str, ModuleType] = {"beton": beton, "shards": shards}


def load(root: str | None, expect_classes: int | None = None, remedy: str = "") -> Dataset:
    """Classes are the folders of root/train in alphabetical order: WordNet ids sort as ILSVRC's do.

    Where the folders have gone and root/train.beton and root/val.beton are there, they are the set, else
    root/train.shards and root/val.shards. root/val alone is a set that can be tested on: its `train` is Missing.
    Raises Problem where a folder is missing or empty, the number of classes is not `expect_classes`, or
    train and val disagree about the classes; `remedy` closes the message.
    """
    if root is None:
        raise Problem("no folder is named: set data.root=FOLDER, which holds train/ and val/.")
    base = Path(root)
    ending = None if (base / "train").is_dir() else _ending(base)
    alone = ending is None and not (base / "train").is_dir() and (base / "val").is_dir()
    classes: dict[str, list[str]] = {
        split: STORED[ending].report(base / f"{split}.{ending}")["classes"]
        if ending
        else _classes(base / split, remedy)
        for split in (SPLITS[1:] if alone else SPLITS)
    }
    first, names = next(iter(classes.items()))
    if classes["val"] != names:
        odd = sorted(set(names) ^ set(classes["val"]))
        raise Problem(
            f"{base}/train and {base}/val hold different classes: {', '.join(odd[:5])}"
            f"{' and more' if len(odd) > 5 else ''}. Both must have the same folders. {remedy}".rstrip()
        )
    if expect_classes is not None and len(names) != expect_classes:
        raise Problem(
            f"{base}/{first} holds {len(names)} class folders, expected {expect_classes}. "
            f"{remedy or 'Name the right folder with data.root=FOLDER.'}"
        )
    images: dict[str, Images] = {
        split: STORED[ending].load(base / f"{split}.{ending}")
        if ending
        else _photographs(base / split, names, remedy)
        for split in classes
    }
    if alone:
        images["train"] = cast(Images, Missing(_absence(base / "train", remedy)))
    return Dataset(names, images["train"], images["val"], "val")


def imagenet(root: str) -> Dataset:
    """ILSVRC-2012: 1,000 classes, WordNet ids as folder names; `data/imagenet/prepare.py` arranges it."""
    remedy = "data/imagenet/prepare.py arranges and checks ImageNet (see data/README.md)."
    return load(root, ILSVRC_CLASSES, remedy)


def _ending(base: Path) -> str | None:
    """As which of STORED the set lies there, if as any."""
    for ending in STORED:
        if all((base / f"{split}.{ending}").exists() for split in SPLITS):
            return ending
    return None


def _classes(folder: Path, remedy: str) -> list[str]:
    if not folder.is_dir():
        raise Problem(_absence(folder, remedy))
    classes = sorted(e.name for e in os.scandir(folder) if e.is_dir() and _is_visible(e.name))
    if not classes:
        raise Problem(
            f"{folder.resolve()} holds no class folder. Set data.root=FOLDER to the folder that holds "
            f"train/CLASS/ and val/CLASS/. {remedy}".rstrip()
        )
    return classes


def _absence(folder: Path, remedy: str) -> str:
    return (
        f"{folder.resolve()} does not exist. Set data.root=FOLDER to the folder that holds train/ and "
        f"val/; relative folders start where you stand: run from the repository's root. {remedy}".rstrip()
    )


def _photographs(folder: Path, classes: list[str], remedy: str) -> Photographs:
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(
            f"{name}/{entry.name}"
            for entry in os.scandir(folder / name)
            if entry.name.lower().endswith(ENDINGS) and _is_visible(entry.name)
        )
        if not found:
            raise Problem(
                f"{folder / name} holds no image ({', '.join(ENDINGS)}): fill the folder, or remove it from "
                f"train/ and val/. {remedy}".rstrip()
            )
        files += found
        labels += [label] * len(found)
    return Photographs(folder, files, np.array(labels, dtype=np.int64))


def _is_visible(name: str) -> bool:
    # Not .ipynb_checkpoints, and not the ._NAME.JPEG that macOS leaves in archives.
    return not name.startswith(".")
