"""Makes ImageNet (ILSVRC-2012) ready: unpack, sort the validation set, count, check every file.

The result is root/{train,val}/<WordNet id>/*.JPEG and root/prepared.json, which says what is there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from topfive import whole_files
from topfive.datasets import imagenet_classes, imagenet_labels, imagenet_unpack
from topfive.datasets.imagenet_check import Expected, Report, check
from topfive.problems import Problem

__all__ = ["Expected", "Report", "prepare"]

REPORT = "prepared.json"
LABEL_FILES = (imagenet_labels.DEVKIT, "LOC_val_solution.csv", "val_labels.txt")


def prepare(
    root: Path,
    train_tar: Path | None = None,
    val_tar: Path | None = None,
    labels: Path | None = None,
    synsets: Path | None = None,
    expected: Expected | None = None,
    check_only: bool = False,
    progress: bool = True,
) -> Report:
    """Unpack and sort whatever is not yet in place, check all, and write root/prepared.json.

    Archives and labels that lie in `root` under their official names need not be named. labels and
    synsets are as in `imagenet_labels.read`. check_only changes nothing on disk.
    Raises Problem where anything is missing, too much or damaged; a report on what is there is
    written all the same, with the complaints under "problems".
    """
    wanted = expected or Expected()
    train, val = root / "train", root / "val"
    train_tar = train_tar or _present(root, imagenet_unpack.TRAIN_TAR)
    val_tar = val_tar or _present(root, imagenet_unpack.VAL_TAR)
    labels = labels or _present(root, *LABEL_FILES)
    if check_only:
        train_tar = val_tar = None
    have = {"train": train_tar or train.is_dir(), "val": val_tar or val.is_dir()}
    _require(root, {split: have[split] for split in wanted.splits})

    if wanted.train and train_tar:
        imagenet_unpack.train_archive(train_tar, train, progress)
    elif wanted.train and not check_only:
        imagenet_unpack.loose_class_archives(train, progress)
    wordnet_ids = _wordnet_ids(root / wanted.splits[0], wanted)
    flat = bool(val_tar) or imagenet_unpack.lies_flat(val)
    label_of = _labels(labels, synsets, wordnet_ids, wanted) if labels else {}
    if flat and not label_of and not check_only:
        raise Problem(_unlabeled(root))
    if val_tar:
        imagenet_unpack.val_archive(val_tar, val, label_of, progress)
    if not check_only:
        imagenet_unpack.sort_into_classes(val, label_of)
        _sweep(root)

    report = check(root, wanted, label_of, progress)
    if check_only and flat:
        report.problems.append(f"{val} holds images outside class folders: run without --check.")
    if not check_only:
        whole_files.write(root / REPORT, (json.dumps(asdict(report), indent=1) + "\n").encode())
    if report.problems:
        raise Problem("\n  ".join([f"{root} is not as expected:", *report.problems]))
    return report


def _present(root: Path, *names: str) -> Path | None:
    return next((root / name for name in names if (root / name).is_file()), None)


def _require(root: Path, have: Mapping[str, object]) -> None:
    missing = " and ".join(split for split, there in have.items() if not there)
    if missing:
        raise Problem(
            f"ImageNet's {missing} was not found in {root}: neither a folder nor its archive.\n"
            "Nothing is downloaded for you: it is for non-commercial research and education.\n"
            "  1. Register and accept the terms at https://image-net.org/download.php\n"
            f"  2. From ILSVRC-2012, download {imagenet_unpack.TRAIN_TAR} (138 GiB),\n"
            f"     {imagenet_unpack.VAL_TAR} (6.3 GiB) and {imagenet_labels.DEVKIT} (2.5 MB)\n"
            f"     to {root}\n"
            f"  3. python data/imagenet/prepare.py --root {root}\n"
            "To test trained networks, val is enough: --expect-train 0"
        )


def _unlabeled(root: Path) -> str:
    return (
        f"the validation images of {root} are not in class folders, and no labels were given to "
        f"sort them by. Put {imagenet_labels.DEVKIT} (https://image-net.org/download.php) or "
        f"Kaggle's LOC_val_solution.csv into {root}, or name a label file, and run: "
        f"python data/imagenet/prepare.py --root {root} --labels FILE"
    )


def _wordnet_ids(split: Path, expected: Expected) -> Sequence[str]:
    """In the order of the class index: ILSVRC's own, or for fewer classes those of `split`."""
    official = imagenet_classes.wordnet_ids()
    if expected.classes == len(official):
        return official
    if not split.is_dir():
        raise Problem(
            f"{split} does not exist, and nothing else says which classes it has: sort the images into class folders "
            f"there, or leave out --expect-classes for all of ILSVRC-2012."
        )
    return sorted(folder.name for folder in split.iterdir() if folder.is_dir())


def _labels(
    path: Path, synsets: Path | None, wordnet_ids: Sequence[str], expected: Expected
) -> dict[str, str]:
    labels = imagenet_labels.read(path, wordnet_ids, synsets)
    if len(labels) != expected.val:
        raise Problem(
            f"{path} labels {len(labels):,} images, expected {expected.val:,}: name another file "
            "with --labels FILE, or the number of images with --expect-val NUMBER."
        )
    return labels


def _sweep(root: Path) -> None:
    """Remove what a killed run has left half written."""
    for part in root.glob(f"*/*/.*{whole_files.SUFFIX}"):
        part.unlink(missing_ok=True)
