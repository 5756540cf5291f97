"""Mixed images, their shares, and that neither devices nor earlier draws move them."""

import random

import numpy as np
import pytest
import torch
from torch import Tensor

from topfive.batch_transforms import Pipeline
from topfive.classifier import Classifier
from topfive.clock import Clock
from topfive.config import compose
from topfive.mixup import Mixup
from topfive.problems import Problem

LABELS = torch.tensor([0, 1, 2, -1])
BLEND, PASTE = Mixup(7, 3, mixup=1, cutmix=0), Mixup(7, 3, mixup=0, cutmix=1)
BOTH = Mixup(7, 3, mixup=0.1, cutmix=1)


def constant(*values: float) -> Tensor:
    """One image of every value, (n, 2, 8, 8)."""
    return (
        torch.tensor(values, dtype=torch.float32)[:, None, None, None].expand(-1, 2, 8, 8).clone()
    )


def test_mixup_blends_neighbors_and_their_classes_in_the_same_shares() -> None:
    images, shares = BLEND(constant(1, 10, 100, 0), LABELS, step=3)
    s = shares[0, 0].item()
    assert 0 < s < 1
    expected = torch.tensor([[s, 1 - s, 0], [1 - s, s, 0], [0, 0, s], [0, 0, 1 - s]])
    # The last image could not be read: it has no share, and is black.
    torch.testing.assert_close(shares, expected)
    values = torch.tensor([s + 10 * (1 - s), 10 * s + 1 - s, 100 * s, 100 * (1 - s)])
    torch.testing.assert_close(images, constant(*values.tolist()))


def test_cutmix_pastes_a_rectangle_as_large_as_its_share() -> None:
    partial = 0
    for step in range(20):
        images, shares = PASTE(constant(0, 1, 2, 3), torch.tensor([0, 1, 0, 1]), step)
        own, pasted = images[0, 0] == 0, images[0, 0] == 1
        assert torch.equal(own, ~pasted)
        rows, columns = pasted.any(1).sum(), pasted.any(0).sum()
        assert pasted.sum() == rows * columns  # one rectangle
        assert shares[0, 1].item() == pytest.approx(pasted.float().mean().item())
        assert torch.equal(images[1, 0] == 0, pasted)
        assert torch.equal(images[2, 0] == 3, pasted)
        partial += 0 < pasted.sum() < 64
    assert partial > 10


def test_the_share_is_beta_distributed_and_cutmix_as_likely_as_mixup() -> None:
    pair, labels, steps = constant(0, 1), torch.tensor([0, 1]), range(500)
    shares = [BLEND(pair, labels, step)[1][0, 0].item() for step in steps]
    assert np.mean(shares) == pytest.approx(1 / 2, abs=0.052)  # 4 deviations of 0.29 / sqrt(500)
    assert np.var(shares) == pytest.approx(1 / 12, abs=0.01)  # Beta(1, 1) is uniform
    either = Mixup(7, 2, mixup=5, cutmix=5)  # Beta(5, 5) does not come near 0 or 1
    blended = [bool(((x > 0) & (x < 1)).all()) for x in (either(pair, labels, s)[0] for s in steps)]
    assert np.mean(blended) == pytest.approx(1 / 2, abs=0.09)  # 4 deviations of 0.5 / sqrt(500)


@pytest.mark.parametrize("mixer", [BLEND, PASTE, BOTH])
@pytest.mark.parametrize("parts", [2, 4])
def test_any_number_of_devices_mixes_alike(mixer: Mixup, parts: int) -> None:
    images, labels = torch.rand(8, 3, 6, 6), torch.tensor([0, 1, 2, -1, 0, 2, 1, 0])
    whole = mixer(images, labels, 11)
    shared = [
        mixer(*rows, 11) for rows in zip(images.chunk(parts), labels.chunk(parts), strict=True)
    ]
    for all_at_once, pieces in zip(whole, zip(*shared, strict=True), strict=True):
        assert torch.equal(torch.cat(pieces), all_at_once)


def test_a_mixture_is_a_function_of_seed_and_step_and_moves_no_generator() -> None:
    images = torch.rand(4, 3, 6, 6)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    kept = images.clone()
    first = BLEND(images, LABELS, 5)[0]
    assert torch.equal(images, kept)
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before  # noqa: NPY002
    BLEND(images, LABELS, 6)
    assert torch.equal(BLEND(images, LABELS, 5)[0], first)
    assert not torch.equal(BLEND(images, LABELS, 6)[0], first)
    assert not torch.equal(Mixup(8, 3, mixup=1, cutmix=0)(images, LABELS, 5)[0], first)


def test_the_layout_of_memory_is_kept() -> None:
    images = torch.rand(4, 3, 6, 6).to(memory_format=torch.channels_last)
    mixed = BLEND(images, LABELS, 5)[0]
    assert mixed.is_contiguous(memory_format=torch.channels_last)


def test_an_odd_number_of_images_is_refused() -> None:
    with pytest.raises(Problem, match=r"mixes pairs, but a device has 3 images .*trainer\.devices"):
        BLEND(torch.rand(3, 3, 6, 6), LABELS[:3], 0)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0, 0), (-1, 1)])
def test_alphas_that_mix_nothing_are_refused(mixup: float, cutmix: float) -> None:
    with pytest.raises(Problem, match=r"mixup=.* cutmix=.*~recipe\.mixup"):
        Mixup(7, 3, mixup, cutmix)


def test_images_that_train_one_by_one_have_no_partner() -> None:
    key = "+recipe.mixup={_target_:topfive.mixup.Mixup,mixup:1,cutmix:0}"
    recipe = compose(["model=lenet5", key])["recipe"]
    with pytest.raises(
        Problem, match=r"recipe\.mixup mixes pairs .*recipe\.online.*~recipe\.mixup"
    ):
        Classifier(torch.nn.Linear(2, 2), Pipeline([]), recipe, Clock(100, 1), 10, 0, 0.0, 1)
