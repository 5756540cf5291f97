import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topfive.order import Share, TrainingOrder


def stretch(order: TrainingOrder, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and ids of the first `steps` steps in one row."""
    epochs, ids, _ = zip(*(order[step] for step in range(steps)), strict=True)
    return np.concatenate(epochs), np.concatenate(ids)


@given(n=st.integers(1, 40), batch=st.integers(1, 90), seed=st.integers(0, 2**64 - 1))
def test_every_epoch_holds_every_sample_exactly_once(n: int, batch: int, seed: int) -> None:
    samples = np.arange(n) * 3 + 1
    epochs, ids = stretch(TrainingOrder(samples, batch, seed), 1 + 4 * n // batch)
    assert (np.diff(epochs) >= 0).all()
    for epoch in range(epochs[-1]):  # the last one may be cut short
        assert sorted(ids[epochs == epoch]) == samples.tolist()


def test_a_batch_may_straddle_two_epochs_and_none_is_short() -> None:
    order = TrainingOrder(np.arange(10), batch=4, seed=0)
    epochs = [order[step][0].tolist() for step in range(5)]
    assert epochs == [[0] * 4, [0] * 4, [0, 0, 1, 1], [1] * 4, [1] * 4]


def test_a_batch_may_be_larger_than_the_set() -> None:
    epochs, ids, _ = TrainingOrder(np.arange(3), batch=7, seed=0)[0]
    assert epochs.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert sorted(ids[:3]) == sorted(ids[3:6]) == [0, 1, 2]


def test_iteration_64000_of_the_cifar_recipe_lies_in_epoch_163() -> None:
    # He et al. 2015, section 4.2: 64,000 x 128 = 8,192,000 = 163.84 x 50,000 images.
    epochs, ids, _ = TrainingOrder(np.arange(50_000), batch=128, seed=0)[63_999]
    assert epochs.tolist() == [163] * 128
    assert len(set(ids.tolist())) == 128


@pytest.mark.parametrize("reshuffle", [True, False])
@pytest.mark.parametrize(("n", "batch"), [(10, 4), (3, 7), (8, 8), (50, 1)])
def test_any_step_can_be_asked_for_directly(n: int, batch: int, reshuffle: bool) -> None:
    whole = TrainingOrder(np.arange(n), batch, 5, reshuffle)
    sequence = [whole[step] for step in range(12)]
    for step in (11, 0, 7, 6, 2, 7):
        epochs, ids, _ = TrainingOrder(np.arange(n), batch, 5, reshuffle)[step]
        again = whole[step]  # out of turn, from one that has moved on
        assert np.array_equal(epochs, sequence[step][0])
        assert np.array_equal(ids, sequence[step][1])
        assert np.array_equal(again[1], ids)


def test_epochs_are_shuffled_anew_unless_told_otherwise() -> None:
    fresh = TrainingOrder(np.arange(30), 30, 0, reshuffle=True)
    fixed = TrainingOrder(np.arange(30), 30, 0, reshuffle=False)
    assert len({tuple(fresh[step][1]) for step in range(5)}) == 5
    # LeCun et al. 1998, section III-B: one random order in all passes; its epochs still count.
    assert len({tuple(fixed[step][1]) for step in range(5)}) == 1
    assert fixed[3][0].tolist() == [3] * 30
    assert fixed[0][1].tolist() != list(range(30))


def test_the_seed_decides_the_order() -> None:
    first, second = (TrainingOrder(np.arange(30), 30, seed)[0][1].tolist() for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_shares_of_all_devices_and_rounds_partition_the_batch(
    world: int, accumulate: int
) -> None:
    rows = np.arange(16)
    shares = [
        rows[Share(rank, world, accumulate).rows(16, turn)]
        for turn in range(accumulate)
        for rank in range(world)
    ]
    assert {len(share) for share in shares} == {16 // world // accumulate}
    assert np.concatenate(shares).tolist() == rows.tolist()


def test_rows_go_round_by_round_and_then_device_by_device() -> None:
    # 8 images, 2 devices, 2 rounds: (round 0: 01 | 23), (round 1: 45 | 67).
    assert Share(1, 2, 2).rows(8, 0) == slice(2, 4)
    assert Share(0, 2, 2).rows(8, 1) == slice(4, 6)
    assert Share().rows(8, 0) == slice(0, 8)
