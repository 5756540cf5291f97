"""Addressed randomness: a random number is a function of where it is used, not of what went before.

A draw is named by (seed, purpose, when, index): the run's seed, what it is for ("crop", "color",
"dropout fc6"), the epoch or step, and the sample. The same sample therefore gets the same view in
either loader, on any number of devices and after any resume.

The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
2011), written once in 64-bit integer operations that NumPy and torch share, so that both give the
same bits.
"""

import zlib
from typing import TypeVar

import numpy as np
import torch

Ints = TypeVar("Ints", np.ndarray, torch.Tensor)
Array = np.ndarray | torch.Tensor

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)  # Salmon et al., Table 2 and Random123's philox.h
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10


def philox(counter: tuple[Ints, Ints, Ints, Ints], key: tuple[int, int]) -> tuple[Ints, ...]:
    """Four 32-bit words, held in int64, for every counter: four such words, of any one shape."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        # The products wrap around in int64; shifting and masking still yields their true halves.
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((p1 >> 32) & MASK) ^ c1 ^ k0,
            p1 & MASK,
            ((p0 >> 32) & MASK) ^ c3 ^ k1,
            p0 & MASK,
        )
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3


def bits(seed: int, purpose: str, when: Ints | int, index: Ints, draws: int) -> Ints:
    """Random 32-bit words in int64, shape (*index.shape, draws).

    `index` (int64, not negative) decides the library and the device; `when` is one epoch or step, or
    one per index. Seeds differ in their lowest 64 bits.
    """
    blocks = -(-draws // 4)
    index = index[..., None]
    if isinstance(index, torch.Tensor):
        block = torch.arange(blocks, device=index.device)
        zero = torch.zeros_like(index + block)
        when = when[..., None] if isinstance(when, torch.Tensor) else when
    else:
        block = np.arange(blocks)
        zero = np.zeros_like(index + block)
        when = when[..., None] if isinstance(when, np.ndarray) else when
    key = (seed & MASK, zlib.crc32(purpose.encode()))
    # The key has no room for the upper half of a seed, and no set fills the upper half of an index.
    upper = (index >> 32) ^ (seed >> 32 & MASK)
    counter = (zero + block, zero + when, zero + (index & MASK), zero + upper)
    stack = torch.stack if isinstance(index, torch.Tensor) else np.stack
    words = stack(philox(counter, key), -1)
    return words.reshape(*words.shape[:-2], blocks * 4)[..., :draws]


def uniform(seed: int, purpose: str, when: Ints | int, index: Ints, draws: int) -> Ints:
    """Numbers in the open interval (0, 1), float64, shape (*index.shape, draws)."""
    words = bits(seed, purpose, when, index, draws)
    # torch would make float32 of an int64 and a number, and float32 rounds the largest to 1.
    words = words.double() if isinstance(words, torch.Tensor) else words
    return (words + 0.5) * 2.0**-32


def normal(seed: int, purpose: str, when: Ints | int, index: Ints, draws: int) -> Ints:
    """Standard normal numbers (Box and Muller), float64, shape (*index.shape, draws)."""
    u = uniform(seed, purpose, when, index, 2 * draws)
    length, angle = u[..., :draws], 2.0 * np.pi * u[..., draws:]
    if isinstance(u, torch.Tensor):
        return torch.sqrt(-2.0 * torch.log(length)) * torch.cos(angle)
    numbers: np.ndarray = np.sqrt(-2.0 * np.log(length)) * np.cos(angle)
    return numbers


def permutation(seed: int, purpose: str, when: int, n: int) -> np.ndarray:
    """A permutation of 0 .. n - 1 that depends on (seed, purpose, when) alone."""
    words = bits(seed, purpose, when, np.arange(n, dtype=np.int64), 2)
    return np.argsort((words[:, 0] << 31) ^ words[:, 1], kind="stable")
