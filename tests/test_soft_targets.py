"""Smoothed, mixed and binary targets, by hand."""

import math

import pytest
import torch
from torch import nn

from topfive.binary_cross_entropy import BinaryCrossEntropy
from topfive.losses import Auxiliary, CrossEntropy

# Softmax gives 1/4 and 3/4.
QUARTERS = torch.tensor([[0.0, math.log(3)]])
A, B = math.log(4), math.log(4 / 3)  # what class 0 and class 1 cost then
LOSSES = [
    CrossEntropy(0.1),
    BinaryCrossEntropy(),
    BinaryCrossEntropy(0.2),
    Auxiliary(of=BinaryCrossEntropy()),
]


def test_smoothing_spreads_a_tenth_over_all_classes() -> None:
    # 0.1 / 2 = 0.05 for either class, 0.9 more for the right one.
    loss = CrossEntropy(0.1)(QUARTERS, torch.tensor([1]))
    assert loss.item() == pytest.approx(0.95 * B + 0.05 * A)


def test_shares_of_classes_cost_what_they_are() -> None:
    assert CrossEntropy()(QUARTERS, torch.tensor([[0.3, 0.7]])).item() == pytest.approx(
        0.3 * A + 0.7 * B
    )
    smoothed = CrossEntropy(0.1)(QUARTERS, torch.tensor([[0.3, 0.7]]))
    assert smoothed.item() == pytest.approx((0.27 + 0.05) * A + (0.63 + 0.05) * B)


def test_an_image_counts_as_much_as_its_readable_part() -> None:
    shares = torch.tensor([[1.0, 0.0], [0.0, 0.25]])
    twice = QUARTERS.repeat(2, 1)
    assert CrossEntropy()(twice, shares).item() == pytest.approx((A + 0.25 * B) / 1.25)
    # With scores of 0 every class costs log 2, whatever is there.
    binary = BinaryCrossEntropy()(torch.tensor([[0.0, 0.0], [math.log(3), math.log(3)]]), shares)
    second = (0.25 * -math.log(3 / 4) + 0.75 * -math.log(1 / 4) - math.log(1 / 4)) / 2
    assert binary.item() == pytest.approx((math.log(2) + 0.25 * second) / 1.25)


def test_binary_cross_entropy_asks_of_every_class_whether_it_is_there() -> None:
    # The sigmoid gives 3/4 and 1/2; class 0 is there and class 1 is not.
    scores = torch.tensor([[math.log(3), 0.0]])
    loss = BinaryCrossEntropy()(scores, torch.tensor([0]))
    assert loss.item() == pytest.approx((-math.log(3 / 4) - math.log(1 / 2)) / 2)


def test_above_the_threshold_a_class_is_wholly_there() -> None:
    scores = torch.tensor([[math.log(3)] * 3])  # 3/4 that it is there
    there, absent = -math.log(3 / 4), -math.log(1 / 4)
    loss = BinaryCrossEntropy(0.2)
    both = loss(scores, torch.tensor([[0.7, 0.3, 0.0]])).item()
    assert both == pytest.approx((2 * there + absent) / 3)
    one = loss(scores, torch.tensor([[0.9, 0.1, 0.0]])).item()
    assert one == pytest.approx((there + 2 * absent) / 3)


def test_auxiliary_heads_may_have_any_criterion() -> None:
    sure, even = torch.tensor([[50.0, -50.0]]), torch.zeros(1, 2)
    loss = Auxiliary(0.3, BinaryCrossEntropy())
    assert loss((sure, even, even), torch.tensor([0])).item() == pytest.approx(0.6 * math.log(2))
    assert loss((even, sure, sure), torch.tensor([[1.0, 0]])).item() == pytest.approx(math.log(2))
    assert loss(even, torch.tensor([0])).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("loss", [*LOSSES, CrossEntropy()])
def test_a_class_is_the_whole_share_of_it(loss: nn.Module) -> None:
    torch.manual_seed(0)
    scores, classes = torch.randn(5, 4, dtype=torch.float64), torch.tensor([3, -1, 0, 2, -1])
    shares = torch.zeros(5, 4, dtype=torch.float64)
    shares[[0, 2, 3], [3, 0, 2]] = 1
    torch.testing.assert_close(loss(scores, shares), loss(scores, classes), rtol=1e-12, atol=0)
    readable = classes >= 0
    expected = loss(scores[readable], classes[readable])
    torch.testing.assert_close(loss(scores, classes), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("targets", [torch.full((3,), -1), torch.zeros(3, 4)])
def test_a_batch_of_unreadable_images_has_no_loss_and_no_gradient(
    loss: nn.Module, targets: torch.Tensor
) -> None:
    scores = torch.randn(3, 4, requires_grad=True)
    value = loss(scores, targets)
    value.backward()
    assert value.item() == 0
    assert scores.grad is not None
    assert scores.grad.abs().max() == 0


def test_sixteen_bit_scores_are_averaged_over_more_images_than_sixteen_bits_count() -> None:
    scores = torch.zeros(1001, 2, dtype=torch.bfloat16)
    loss = BinaryCrossEntropy()(scores, torch.zeros(1001, dtype=torch.long))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(2))
