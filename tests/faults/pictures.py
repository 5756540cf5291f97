"""JPEGs of one size in class folders, for the trainings whose data are harmed."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32
# The small network on them: 40 steps over 60 images of two classes.
PICTURES = (
    "data=folder", "data.per_class=null", "data.max_unreadable=0.05", "protocol=one_crop", f"protocol.size={SIDE}",
    "trainer.check_every=4", f"protocol.shorter={SIDE}", f"recipe.crop.size={SIDE}", f"recipe.mean.shorter={SIDE}",
)  # fmt: skip


def draw(root: Path) -> Path:
    """train/ of 60 and val/ of 20 images: grain, reddish or bluish."""
    for split, count in (("train", 30), ("val", 10)):
        for label, name in enumerate(("ant", "bee")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                random = np.random.default_rng((number, label, len(split)))
                pixels = random.normal((158 - 60 * label, 128, 128), 40, (SIDE, SIDE, 3))
                picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                picture.save(folder / f"{number:02}.JPEG", quality=95)
    return root


def files(root: Path) -> list[Path]:
    return sorted((root / "train").rglob("*.JPEG"))
