"""Small photographs in class folders, and shards of them, for the tests of both."""

from pathlib import Path

import numpy as np
from PIL import Image

from topfive.datasets import Dataset, folders, prepare_shards

COUNTS = {"train": (14, 13, 14), "val": (3, 4, 4)}  # 41 and 11 images of three classes


def write_folders(root: Path) -> Path:
    """root/{train,val}/{ant,bee,cat}/*.jpeg; one is gray, one a PNG with another ending."""
    random = np.random.default_rng(0)
    for split, counts in COUNTS.items():
        for name, count in zip(("ant", "bee", "cat"), counts, strict=True):
            (root / split / name).mkdir(parents=True)
            for k in range(count):
                height, width = (int(side) for side in random.integers(40, 70, 2))
                pixels = random.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
                picture = Image.fromarray(pixels).resize((width, height))
                picture = picture.convert("L") if (name, k) == ("bee", 1) else picture
                path = root / split / name / f"{k:02}.jpeg"
                picture.save(path.with_suffix(".png") if (name, k) == ("cat", 2) else path)
    return root


def write_shards(root: Path, count: int = 9) -> Dataset:
    """root/{train,val}.shards beside the folders; the data set of the folders."""
    dataset = folders.load(str(root))
    prepare_shards.write_all(dataset, root, count, 1, False)
    return dataset
