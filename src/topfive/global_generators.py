"""Libraries that draw from Python's and NumPy's global generators, made to draw by address.

timm's augmentations do. Inside `addressed` those generators are seeded from the address alone;
afterwards they stand where they stood, so that nothing else is moved.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from topfive import streams


@contextmanager
def addressed(seed: int, purpose: str, when: int, index: int = 0) -> Iterator[None]:
    """`random` and `numpy.random` as a function of (seed, purpose, when, index), and then as before."""
    words = streams.bits(seed, purpose, when, np.array([index]), 8)[0]
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    # Two generators of one kind (MT19937), so each has words of its own.
    random.seed(int.from_bytes(words[:4].astype(np.uint32).tobytes(), "little"))
    np.random.seed(words[4:].astype(np.uint32))  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
