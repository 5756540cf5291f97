"""Losses against hand arithmetic and, for their derivatives, autograd in float64."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import hessian

from topfive.losses import Auxiliary, CrossEntropy, LeNetLoss, LeNetMAP, LeNetMSE, membership
from topfive.models.lenet import digit_codes

LENET_LOSSES = [LeNetMSE(), LeNetMAP(), LeNetMAP(j=8.0)]


def distances(features: Tensor, codes: Tensor) -> Tensor:
    return (features[:, None] - codes).square().sum(2)


def features_near_the_codes(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """States so near to several codes that classes and rubbish all have some probability."""
    torch.manual_seed(0)
    codes = digit_codes().to(dtype)
    mixed = torch.rand(n, 10, dtype=dtype).softmax(1) @ codes
    return 0.1 * mixed + 0.05 * torch.randn(n, 84, dtype=dtype)


def test_cross_entropy_by_hand() -> None:
    scores = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]])
    # Probabilities 1/4 and 3/4.
    loss = CrossEntropy()(scores, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_auxiliary_heads_count_with_0_3() -> None:
    even, sure = torch.zeros(2, 4), torch.tensor([[50.0, 0, 0, 0]] * 2)
    targets = torch.tensor([0, 0])
    # An even guess among 4 costs log 4, a sure and right one nothing.
    assert Auxiliary(0.3)((sure, even, even), targets).item() == pytest.approx(0.6 * math.log(4))
    assert Auxiliary(0.3)((even, sure, sure), targets).item() == pytest.approx(math.log(4))
    assert Auxiliary()(even, targets).item() == pytest.approx(math.log(4))  # in evaluation


def test_lenet_mse_is_the_mean_distance_from_the_correct_code() -> None:
    y = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert LeNetMSE()(-y, torch.tensor([0, 1])).item() == (1 + 4) / 2  # eq. 8


def test_lenet_map_by_hand() -> None:
    y = torch.tensor([[1.0, 2.0]])
    expected = 1 + math.log(math.exp(-0.1) + math.exp(-1) + math.exp(-2))  # eq. 9
    assert LeNetMAP(j=0.1)(-y, torch.tensor([0])).item() == pytest.approx(expected)


def test_lenet_map_of_far_states_does_not_overflow() -> None:
    y = torch.tensor([[1e4, 2e4]])
    # Every e^-y is 0, so that E = y_c - j.
    assert LeNetMAP(j=0.1)(-y, torch.tensor([1])).item() == pytest.approx(2e4 - 0.1, rel=1e-6)


@pytest.mark.parametrize("loss", [CrossEntropy(), LeNetMSE(), LeNetMAP()])
def test_unreadable_samples_are_left_out_of_the_mean(loss: torch.nn.Module) -> None:
    torch.manual_seed(0)
    scores = -torch.rand(5, 10)
    targets = torch.tensor([3, -1, 9, -1, 0])
    readable = targets >= 0
    expected = loss(scores[readable], targets[readable])
    torch.testing.assert_close(loss(scores, targets), expected)


@pytest.mark.parametrize("loss", [CrossEntropy(), LeNetMSE(), LeNetMAP()])
def test_a_batch_of_unreadable_samples_has_no_loss_and_no_gradient(loss: torch.nn.Module) -> None:
    scores = torch.randn(3, 10, requires_grad=True)
    value = loss(scores, torch.full((3,), -1))
    value.backward()
    assert value.item() == 0
    assert scores.grad is not None
    assert scores.grad.abs().max() == 0


@pytest.mark.parametrize("loss", LENET_LOSSES)
def test_the_slope_is_the_derivative_by_the_scores(loss: LeNetLoss) -> None:
    scores = -distances(features_near_the_codes(6), digit_codes().double()) / 40
    scores.requires_grad_()
    targets = torch.tensor([0, 3, 3, 9, 1, 7])
    (expected,) = torch.autograd.grad(loss.per_sample(scores, targets).sum(), scores)
    slope = loss.slope(scores, membership(scores, targets))
    torch.testing.assert_close(slope, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", LENET_LOSSES)
def test_the_curvature_is_the_diagonal_of_the_hessian_by_the_states_of_f6(loss: LeNetLoss) -> None:
    # Codes a tenth as long: then no probability is near 0 or 1, and every term of it counts.
    features, codes = features_near_the_codes(4), 0.1 * digit_codes().double()
    targets = torch.tensor([0, 3, 9, 7])
    curvature = loss.curvature(features, codes, targets)
    for n in range(4):
        full = hessian(
            lambda x, n=n: loss(-distances(x[None], codes), targets[n : n + 1]), features[n]
        )
        torch.testing.assert_close(curvature[n], full.diag(), rtol=1e-10, atol=1e-12)


def test_the_curvature_of_the_mse_is_two() -> None:
    curvature = LeNetMSE().curvature(torch.zeros(2, 84), digit_codes(), torch.tensor([4, 5]))
    assert curvature.unique().tolist() == [2]


@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 100.0])
def test_the_curvature_of_map_is_never_negative(scale: float) -> None:
    torch.manual_seed(0)
    features = scale * torch.randn(500, 84)
    for j in (0.1, 80.0):
        curvature = LeNetMAP(j).curvature(
            features, digit_codes(), torch.zeros(500, dtype=torch.long)
        )
        assert curvature.min() >= 0


@pytest.mark.parametrize("loss", LENET_LOSSES)
def test_an_unreadable_sample_has_no_curvature_and_no_loss(loss: LeNetLoss) -> None:
    features, codes, targets = features_near_the_codes(2), digit_codes(), torch.tensor([-1, 2])
    assert loss.curvature(features, codes, targets).sum(1).gt(0).tolist() == [False, True]
    assert loss.per_sample(-distances(features, codes), targets)[0] == 0
