"""MNIST, CIFAR-10 and CIFAR-100 from torchvision's files, under `root` or downloaded when asked."""

from pathlib import Path

import numpy as np

from topfive.datasets.images import Dataset, Pixels
from topfive.problems import Problem


def _fetch(
    name: str, root: str, train: bool, download: bool
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    from torchvision import datasets

    try:
        found = getattr(datasets, name)(root, train=train, download=download)
    except RuntimeError as error:
        if download:
            raise Problem(
                f"{name} could not be downloaded to {Path(root).resolve()} ({error}). Put torchvision's "
                f"files there by hand (see data/README.md) or set data.root=FOLDER."
            ) from error
        raise Problem(
            f"{name} was not found under {Path(root).resolve()}. Set data.root=FOLDER (or TOPFIVE_DATA) to "
            f"where torchvision's files lie, or let them be fetched: data.download=true. "
            f"Relative folders start where you stand: run from the repository's root."
        ) from error
    except OSError as error:  # no network: urllib's URLError is an OSError
        raise Problem(
            f"{name} could not be downloaded to {Path(root).resolve()} ({error}). Without a network, copy "
            f"torchvision's files there (see data/README.md) or set data.root=FOLDER."
        ) from error
    return np.asarray(found.data), np.asarray(found.targets, dtype=np.int64), list(found.classes)


def _load(name: str, root: str, download: bool) -> Dataset:
    splits = []
    for train in (True, False):
        data, labels, classes = _fetch(name, root, train, download)
        # MNIST comes as (n, 28, 28), CIFAR as (n, 32, 32, 3).
        data = data[:, None] if data.ndim == 3 else data.transpose(0, 3, 1, 2)
        splits.append(Pixels(np.ascontiguousarray(data), labels))
    return Dataset(classes, splits[0], splits[1], "test")


def mnist(root: str, download: bool = False) -> Dataset:
    """60,000 training and 10,000 test digits, (n, 1, 28, 28); raises Problem where they are absent."""
    return _load("MNIST", root, download)


def cifar10(root: str, download: bool = False) -> Dataset:
    """50,000 training and 10,000 test images, (n, 3, 32, 32); raises Problem where they are absent."""
    return _load("CIFAR10", root, download)


def cifar100(root: str, download: bool = False) -> Dataset:
    """As CIFAR-10, with 100 classes."""
    return _load("CIFAR100", root, download)
