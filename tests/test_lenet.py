"""LeNet-5 against LeCun et al. 1998, section II-B, Table I and Appendix A."""

import pytest
import torch
import torch.nn.functional as F

from topfive.models.lenet import LeNet5, PartialConv2d, Subsampling, digit_codes, squash
from topfive.problems import Problem

# Table I as printed: row i, column m has an X where map m of C3 sees map i of S2.
TABLE_1 = """
X . . . X X X . . X X X X . X X
X X . . . X X X . . X X X X . X
X X X . . . X X X . . X . X X X
. X X X . . X X X X . . X . X X
. . X X X . . X X X X . X X . X
. . . X X X . . X X X X . X X X
"""


@pytest.fixture
def net() -> LeNet5:
    torch.manual_seed(0)
    return LeNet5()


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_lenet5_has_60_000_trainable_parameters_distributed_as_in_section_ii_b() -> None:
    with torch.device("meta"):
        net = LeNet5()
    layers = [count(layer) for layer in (net.c1, net.s2, net.c3, net.s4, net.c5, net.f6)]
    assert layers == [156, 12, 1516, 32, 48120, 10164]
    assert count(net) == 60_000


def test_the_maps_are_28_14_10_5_and_1_pixels_wide(net: LeNet5) -> None:
    shapes = []
    for layer in net.layers():
        layer.register_forward_hook(lambda layer, x, a: shapes.append(tuple(a.shape[1:])))
    assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    assert shapes == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84,)]


def test_c3_sees_the_maps_of_table_1_and_no_others(net: LeNet5) -> None:
    seen = [row.split() for row in TABLE_1.split("\n") if row]
    before = net.c3(torch.zeros(1, 6, 14, 14))
    for i in range(6):
        x = torch.zeros(1, 6, 14, 14)
        x[0, i] = 1
        changed = (net.c3(x) != before)[0].any(-1).any(-1)
        assert ["X" if c else "." for c in changed] == seen[i]


def test_c3_is_a_convolution_of_its_own_maps_for_each_output() -> None:
    torch.manual_seed(0)
    layer = PartialConv2d(((0, 2), (1,)), in_maps=3).double()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 7, 7, dtype=torch.float64)
    first = F.conv2d(x[:, [0, 2]], layer.weight[None, 0:2], layer.bias[0:1])
    second = F.conv2d(x[:, [1]], layer.weight[None, 2:3], layer.bias[1:2])
    torch.testing.assert_close(layer(x), torch.cat([first, second], 1))


def test_subsampling_sums_four_inputs_then_scales_and_shifts() -> None:
    layer = Subsampling(1)
    torch.nn.init.constant_(layer.coefficient, 0.5)
    torch.nn.init.constant_(layer.bias, -1.0)
    x = torch.tensor([[[[1.0, 2.0, 0.0, 0.0], [3.0, 4.0, 0.0, 8.0]]]])
    assert layer(x).tolist() == [[[[4.0, 3.0]]]]  # 0.5 * 10 - 1, 0.5 * 8 - 1


def test_the_squashing_function_maps_one_to_one() -> None:
    # Appendix A: A = 1.7159 and S = 2/3 are chosen so that f(1) = 1 and f(-1) = -1.
    assert squash(torch.tensor([1.0, -1.0, 0.0])).tolist() == pytest.approx([1, -1, 0], abs=2e-5)


def test_every_layer_is_squashed(net: LeNet5) -> None:
    x, states = torch.randn(1, 1, 32, 32), []
    for layer in net.layers():
        layer.register_forward_hook(lambda layer, x, a: states.append((x[0], a)))
    features = net.features(x)
    inputs = [x for x, _ in states[1:]] + [features]
    for (_, a), following in zip(states, inputs, strict=True):
        torch.testing.assert_close(following.flatten(), squash(a).flatten())


def test_scores_are_minus_the_squared_distances_from_the_codes(
    net: LeNet5, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = digit_codes()
    monkeypatch.setattr(net, "features", lambda x: codes[[3, 8]])
    scores = net(torch.empty(2, 1, 32, 32))
    assert scores.argmax(1).tolist() == [3, 8]
    assert scores.amax(1).tolist() == [0, 0]
    pixels_that_differ = int((codes[3] != codes[8]).sum())
    assert scores[0, 8] == -4 * pixels_that_differ  # (1 - -1)^2 for each


def test_the_codes_are_ten_bitmaps_of_7_by_12_and_not_trained(net: LeNet5) -> None:
    codes = digit_codes()
    assert codes.shape == (10, 7 * 12)
    assert codes.abs().unique().tolist() == [1]
    assert len(codes.unique(dim=0)) == 10
    assert "codes" in net.state_dict()
    assert "codes" not in dict(net.named_parameters())
    drawn = codes.view(10, 12, 7)
    for symmetric in (0, 8):  # a row that is cut or shifted would not be
        assert torch.equal(drawn[symmetric], drawn[symmetric].flip(1))


@pytest.mark.parametrize(
    ("name", "bound"),
    # 2.4 / F_i for 25, 4, 4, 400 and 120 inputs (Appendix A)
    [("c1", 0.096), ("s2", 0.6), ("s4", 0.6), ("c5", 0.006), ("f6", 0.02)],
)
def test_initial_weights_lie_within_2_4_over_the_number_of_inputs(
    net: LeNet5, name: str, bound: float
) -> None:
    values = torch.cat([p.flatten() for p in getattr(net, name).parameters()])
    assert values.abs().max() <= bound
    assert values.abs().max() > 0.6 * bound
    assert values.min() < 0 < values.max()


def test_initial_weights_of_c3_depend_on_how_many_maps_each_of_its_maps_sees(net: LeNet5) -> None:
    kernels = net.c3.weight.detach().split([3] * 6 + [4] * 9 + [6])
    for weight, bias in zip(kernels, net.c3.bias.detach(), strict=True):
        bound = 2.4 / {3: 75, 4: 100, 6: 150}[len(weight)]
        assert 0.9 * bound < weight.abs().max() <= bound
        assert bias.abs() <= bound


def test_fewer_classes_take_the_first_codes() -> None:
    assert torch.equal(LeNet5(num_classes=4).codes, digit_codes()[:4])


@pytest.mark.parametrize("classes", [0, 11, 1000])
def test_more_than_ten_classes_are_refused(classes: int) -> None:
    with pytest.raises(Problem, match=rf"ten digits only, and num_classes is {classes}: .*mnist"):
        LeNet5(num_classes=classes)
