import numpy as np
import pytest
import torch

from topfive import streams

# Random123's known answers for philox4x32 with 10 rounds (tests/kat_vectors): counter, key, words.
KNOWN_ANSWERS = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]
MANY = np.arange(100_000)


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_philox_gives_the_known_answers_of_random123(
    counter: str, key: str, answer: str, library: str
) -> None:
    make = np.array if library == "numpy" else torch.tensor
    c0, c1, c2, c3 = (make([word]) for word in words(counter))
    k0, k1 = words(key)
    assert [int(word[0]) for word in streams.philox((c0, c1, c2, c3), (k0, k1))] == words(answer)


@pytest.mark.parametrize("draws", [1, 3, 4, 5, 13])
def test_numpy_and_torch_give_the_same_numbers(draws: int) -> None:
    index = np.arange(60).reshape(3, 20) * 1_000_003 + 2**33
    when = index // 7 % 1000
    ours = streams.uniform(2**40 + 5, "crop", when, index, draws)
    theirs = streams.uniform(
        2**40 + 5, "crop", torch.from_numpy(when), torch.from_numpy(index), draws
    )
    assert ours.shape == (3, 20, draws)
    assert theirs.dtype == torch.float64
    assert np.array_equal(ours, theirs.numpy())
    normal = streams.normal(9, "color", 4, torch.from_numpy(index), draws).numpy()
    # Only the logarithm and the cosine may round differently.
    np.testing.assert_allclose(
        normal, streams.normal(9, "color", 4, index, draws), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_uniform_numbers_never_reach_zero_or_one(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = np.array if library == "numpy" else torch.tensor
    monkeypatch.setattr(streams, "bits", lambda *_: make([0, 2**32 - 1]))
    smallest, largest = streams.uniform(0, "", 0, make([0]), 2).tolist()
    assert (smallest, largest) == (2.0**-33, 1 - 2.0**-33)


ADDRESS = {"seed": 3, "purpose": "crop", "when": 5, "index": 7}


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"seed": 3 + 2**32},
        {"seed": 3 + 2**63},
        {"seed": (1 << 32 | 3) ^ 1},  # its halves combine to 3
        {"seed": -3},
        {"purpose": "color"},
        {"purpose": "crop "},
        {"when": 6},
        {"when": 7, "index": 5},
        {"index": 8},
        {"index": 7 + 2**32},
        {"index": 7 + 2**40},
    ],
)
def test_a_draw_depends_on_every_part_of_its_address(change: dict[str, int | str]) -> None:
    def draw(seed: int, purpose: str, when: int, index: int) -> set[int]:
        return set(streams.bits(seed, purpose, when, np.array([index]), 8)[0].tolist())

    assert not draw(**ADDRESS) & draw(**(ADDRESS | change))


def test_a_draw_depends_on_nothing_but_its_address() -> None:
    together = streams.bits(1, "crop", 2, np.array([5, 3, 9, 3]), 7)
    alone = [streams.bits(1, "crop", 2, np.array([i]), 7)[0] for i in (3, 9, 5)]
    assert np.array_equal(together, np.stack([alone[2], alone[0], alone[1], alone[0]]))
    assert np.array_equal(together[:, :3], streams.bits(1, "crop", 2, np.array([5, 3, 9, 3]), 3))
    one_each = streams.bits(1, "crop", np.array([2, 8]), np.array([5, 5]), 7)
    assert np.array_equal(one_each[0], together[0])
    assert np.array_equal(one_each[1], streams.bits(1, "crop", 8, np.array([5]), 7)[0])


def test_no_word_is_drawn_twice_over_a_whole_epoch() -> None:
    # 100,000 x 2 words of 32 bits: n^2 / 2^33 = 4.7 repeats by chance, 18 is six deviations above.
    drawn = streams.bits(0, "crop", 0, MANY, 2)
    assert drawn.size - len(np.unique(drawn)) <= 18


def test_uniform_numbers_have_the_moments_of_the_unit_interval() -> None:
    u = streams.uniform(0, "crop", 0, MANY, 3)
    # The mean of n has the deviation sqrt(1/12 / n), the variance sqrt((1/80 - 1/144) / n); five of each.
    assert np.abs(u.mean(0) - 1 / 2).max() < 5 * np.sqrt(1 / 12 / len(MANY))
    assert np.abs(u.var(0) - 1 / 12).max() < 5 * np.sqrt(1 / 180 / len(MANY))


def test_normal_numbers_have_the_moments_of_the_normal_distribution() -> None:
    x = streams.normal(0, "color", 0, MANY, 3)
    n = len(MANY)
    # Deviations of the sample moments: of x 1, of x^2 sqrt(2), of x^4 sqrt(105 - 9).
    assert np.abs(x.mean(0)).max() < 5 / np.sqrt(n)
    assert np.abs((x**2).mean(0) - 1).max() < 5 * np.sqrt(2 / n)
    assert np.abs((x**4).mean(0) - 3).max() < 5 * np.sqrt(96 / n)


def test_neighboring_draws_do_not_correlate() -> None:
    u = streams.uniform(0, "crop", 0, MANY, 2)
    later = streams.uniform(0, "crop", 1, MANY, 2)
    for a, b in [(u[:, 0], u[:, 1]), (u[:-1, 0], u[1:, 0]), (u[:, 0], later[:, 0])]:
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(len(MANY))


@pytest.mark.parametrize("shift", [0, 24])
def test_the_lowest_and_the_highest_byte_are_uniform(shift: int) -> None:
    byte = streams.bits(0, "crop", 0, MANY, 1)[:, 0] >> shift & 255
    expected = len(MANY) / 256
    chi_square = ((np.bincount(byte, minlength=256) - expected) ** 2 / expected).sum()
    assert abs(chi_square - 255) < 5 * np.sqrt(2 * 255)


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_a_permutation_holds_every_number_once(n: int) -> None:
    assert sorted(streams.permutation(2, "order", 3, n)) == list(range(n))


def test_permutations_differ_with_seed_purpose_and_epoch() -> None:
    addresses = [
        (0, "order", 0),
        (1, "order", 0),
        (0, "minival", 0),
        (0, "order", 1),
        (2**32, "order", 0),
    ]
    drawn = {tuple(streams.permutation(*address, 20).tolist()) for address in addresses}
    assert len(drawn) == len(addresses)
    assert np.array_equal(
        streams.permutation(0, "order", 1, 20), streams.permutation(0, "order", 1, 20)
    )


def test_all_orders_are_equally_likely() -> None:
    drawn = [tuple(streams.permutation(0, "order", when, 3).tolist()) for when in range(1200)]
    counts = [drawn.count(order) for order in set(drawn)]
    # Each of 3! = 6 is expected 200 times, with a deviation of sqrt(1200 x 1/6 x 5/6) = 12.9.
    assert len(counts) == 6
    assert max(abs(count - 200) for count in counts) < 5 * 12.9
