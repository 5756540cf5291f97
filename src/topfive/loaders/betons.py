"""Which splits are read from a .beton: where there is one, made of the very files, and FFCV to read it."""

import logging
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_only

from topfive.datasets import Dataset, Images, Missing, Photographs, Pixels, beton
from topfive.datasets.beton import Beton
from topfive.problems import Problem

INSTALL = (
    "uv sync --extra ffcv, once a C++ compiler, pkg-config and libturbojpeg's headers are there (apt-get install g++ "
    "pkg-config libturbojpeg0-dev; conda install -c conda-forge compilers pkg-config libjpeg-turbo; brew install "
    "pkg-config jpeg-turbo)"
)

log = logging.getLogger(__name__)


@cache
def absence() -> str | None:
    """What of FFCV is missing and how to have it; None where it works. The first call imports it: seconds."""
    try:
        import topfive.loaders.ffcv_loader  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: a shared library that is gone
        return f"FFCV cannot be used ({error}): {INSTALL}."
    return None


def is_installed() -> bool:
    """Whether it is worth importing."""
    return all(find_spec(package) for package in ("ffcv", "jpeg_tiles"))


def in_betons(
    dataset: Dataset, name: str, kind: str, folder: str | None, obstacle: str | None
) -> Dataset:
    """`dataset` with every split from its .beton that loader=`kind` reads from one.

    They lie in `folder`: train.beton and the like; of sets in memory, which share a folder, with the
    set's `name` before it. `obstacle` is what in the recipe speaks against FFCV. loader=auto says in a
    line why a set of photographs is not read so; for loader=ffcv the same is a Problem.
    """
    if kind not in ("auto", "ffcv") or (
        kind == "auto" and isinstance(dataset.train, Pixels | Missing)
    ):
        return dataset
    prefix = f"{name}." if isinstance(dataset.train, Pixels) else ""
    splits = {"train": dataset.train, dataset.reported_name: dataset.reported}
    try:
        why_not = obstacle or (None if is_installed() else absence())
        if why_not:
            raise Problem(why_not)
        train, reported = (_stored(of, folder, prefix + split) for split, of in splits.items())
        if why_not := absence():
            raise Problem(why_not)
    except Problem as problem:
        if kind == "ffcv":
            raise Problem(f"loader=ffcv: {problem}") from problem
        _say(problem)
        return dataset
    return replace(dataset, train=train, reported=reported)


def storage_departures(dataset: Dataset) -> list[str]:
    """One line for every split whose pixels are not those of the files, as a record lists it."""
    splits = {"train": dataset.train, dataset.reported_name: dataset.reported}
    return [
        f"data.{name} kept as {images.storage} (paper: the files as they are)"
        for name, images in splits.items()
        if isinstance(images, Beton) and images.storage not in beton.EXACT
    ]


def _stored(images: Images, folder: str | None, name: str) -> Beton:
    """`images` from their .beton; raises Problem where it is missing, damaged or of other images."""
    if isinstance(images, Beton):
        return images
    if folder is None:
        raise Problem(
            "these images are not read from a folder that could hold a .beton: choose loader=auto."
        )
    path = Path(folder) / f"{name}.beton"
    if not path.exists():
        raise Problem(f"{path} does not exist: {_remedy(images, folder)}.")
    if beton.report(path)["source"] != images.fingerprint():
        raise Problem(
            f"{path} was made of other images than there are now: {_remedy(images, folder)}."
        )
    return beton.load(path)


def _remedy(images: Images, folder: str) -> str:
    script = "data/folder" if isinstance(images, Photographs) else "data/cifar10"
    return f"python {script}/prepare.py --root {folder} writes it"


@rank_zero_only
def _say(problem: Problem) -> None:
    log.warning(
        "%s The torch loader takes over, which decodes every image whole: about four times the processor time.",
        problem,
    )
