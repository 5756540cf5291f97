"""What several test files read: the real data sets where they are, and a drawn folder where not."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

# As topfive.loaders.ffcv_epoch asks, for the tests that import FFCV before it.
os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")
# A loaded machine is slow, and a failing example must fail again.
settings.register_profile("tests", deadline=None, database=None, derandomize=True)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data: MNIST/raw, cifar-10-batches-py, imagenet_samples, imagenette224."""
    named = os.environ.get("TOPFIVE_DATA")
    if not named:
        pytest.skip("needs the real data: set TOPFIVE_DATA to the folder that holds it")
    if not Path(named).is_dir():
        pytest.skip(f"needs the real data: TOPFIVE_DATA={named} is not a folder")
    return Path(named)


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ and val/ of two classes, JPEGs of many shapes, one of them gray. Read it, do not write.

    Class 0 (ant) is reddish, class 1 (bee) bluish: 4 and 3 images train, 2 and 2 validate.
    """
    root = tmp_path_factory.mktemp("class_folders")
    shapes = [(97, 141), (160, 81), (100, 100), (75, 203)]
    for split, counts in {"train": {"ant": 4, "bee": 3}, "val": {"ant": 2, "bee": 2}}.items():
        for label, (name, count) in enumerate(counts.items()):
            (root / split / name).mkdir(parents=True)
            for k in range(count):
                picture = Image.fromarray(draw_photograph(*shapes[k], label, seed=len(split) + k))
                picture = (
                    picture.convert("L") if (split, name, k) == ("train", "bee", 1) else picture
                )
                picture.save(root / split / name / f"{k}.JPEG", quality=95)
    return root


def draw_photograph(height: int, width: int, label: int, seed: int) -> np.ndarray:
    """Waves, an edge and grain, uint8, (height, width, 3)."""
    random = np.random.default_rng((seed, label))
    y, x = np.mgrid[0:height, 0:width]
    waves = 60 * np.sin(
        x[..., None] / random.uniform(3, 9, 3) + y[..., None] / random.uniform(4, 9, 3)
    )
    edge = 50 * (x + 2 * y > height + width / 2)[..., None]
    tint = np.array([60, 0, -40]) if label == 0 else np.array([-40, 0, 60])
    return np.clip(
        100 + waves + edge + tint + random.normal(0, 8, (height, width, 3)), 0, 255
    ).astype(np.uint8)
