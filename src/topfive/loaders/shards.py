"""Which splits are read from shards, and where their shards are."""

from dataclasses import replace
from pathlib import Path

from topfive.datasets import Dataset, Images, Pixels, shards
from topfive.datasets.shards import Shards
from topfive.problems import Problem


def in_shards(
    dataset: Dataset, kind: str, folder: str | None, url: str | None, cache: str | None
) -> Dataset:
    """`dataset` with every split from `folder`/SPLIT.shards, for loader=webdataset or where nothing else is there.

    url, cache: conf/loader's `shards` and `cache`, of the split that trains; the reported one, which tests read in
    any order, lies on this machine. Raises Problem where shards are missing, damaged or of other images.
    """
    splits = {"train": dataset.train, dataset.reported_name: dataset.reported}
    if kind != "webdataset" and not any(isinstance(images, Shards) for images in splits.values()):
        return dataset
    train, reported = (_stored(images, folder, name) for name, images in splits.items())
    if url is not None:
        local = "://" not in url and not url.startswith("pipe:")
        train = (
            replace(train, folder=Path(url) / train.folder.name)
            if local
            else replace(train, url=url, cache=None if cache is None else Path(cache))
        )
    for split in (train, reported):
        if split.url is None:
            for number in range(len(split.tars)):
                split.local(number)
    return replace(dataset, train=train, reported=reported)


def _stored(images: Images, folder: str | None, name: str) -> Shards:
    """`images` from their shards; raises Problem where they are missing, damaged or of other images."""
    if isinstance(images, Shards):
        return images
    if isinstance(images, Pixels) or folder is None:
        raise Problem(
            "loader=webdataset reads photographs from shards, and these images are not read from class folders: "
            "choose loader=auto."
        )
    path = Path(folder) / f"{name}.shards"
    remedy = f"python data/folder/prepare.py --root {folder} --shards writes it"
    if not path.is_dir():
        raise Problem(f"loader=webdataset: {path} does not exist: {remedy}.")
    if shards.report(path)["source"] != images.fingerprint():
        raise Problem(
            f"loader=webdataset: {path} was made of other images than there are now: {remedy}."
        )
    return shards.load(path)
