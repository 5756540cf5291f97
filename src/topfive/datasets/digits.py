"""The digits that come with scikit-learn: 1,797 real handwritten ones, 8 x 8 pixels, 17 gray levels.

They are the test part of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI
Machine Learning Repository, 1998. Nothing is downloaded, so they serve for a first run. The first
1,437 train, the last 360 (other writers, for the greater part) test. Each is enlarged to 20 x 20 and
centered in 28 x 28, as MNIST's are, so that whatever takes MNIST takes these.
"""

import numpy as np
from PIL import Image

from topfive.datasets.images import Dataset, Pixels

TRAIN = 1437


def load() -> Dataset:
    """1,437 training and 360 test digits, (n, 1, 28, 28)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.zeros((len(bunch.images), 1, 28, 28), dtype=np.uint8)
    for canvas, digit in zip(pixels, bunch.images, strict=True):
        # Gray levels 0 to 16 become 0 to 255.
        small = Image.fromarray(np.round(digit * (255 / 16)).astype(np.uint8))
        canvas[0, 4:24, 4:24] = np.asarray(small.resize((20, 20), Image.Resampling.BILINEAR))
    labels = bunch.target.astype(np.int64)
    return Dataset(
        [str(d) for d in range(10)],
        Pixels(pixels[:TRAIN], labels[:TRAIN]),
        Pixels(pixels[TRAIN:], labels[TRAIN:]),
        "test",
    )
