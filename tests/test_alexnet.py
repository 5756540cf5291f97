import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from topfive.layers import Dropout, LocalResponseNorm
from topfive.models.alexnet import AlexNet


def on_meta(**options):
    with torch.device("meta"):
        return AlexNet(**options)


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def multiply_adds(net):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, 224, 224, device="meta"))
    return {
        name.removeprefix("AlexNet."): sum(flops.values()) // 2
        for name, flops in counter.get_flop_counts().items()
    }


def narrow(**options):
    """The net with 64 units in fc6 and fc7, which hold nine tenths of its parameters."""
    net = on_meta(num_classes=3, **options)
    net.fc6, net.fc7, net.fc8 = nn.Linear(9216, 64), nn.Linear(64, 64), nn.Linear(64, 3)
    net.to_empty(device="cpu")
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()
    return net


@pytest.fixture(scope="module")
def net():
    return narrow()


def test_every_layer_has_the_parameters_of_the_two_gpu_net():
    net = on_meta()
    # Krizhevsky et al. 2012, section 3.5 and Fig. 2, by hand: (inputs seen x kernel + 1) x maps
    assert {n: parameters(m) for n, m in net.named_children() if parameters(m)} == {
        "conv1": (3 * 11 * 11 + 1) * 96,
        "conv2": (48 * 5 * 5 + 1) * 256,
        "conv3": (256 * 3 * 3 + 1) * 384,
        "conv4": (192 * 3 * 3 + 1) * 384,
        "conv5": (192 * 3 * 3 + 1) * 256,
        "fc6": (9216 + 1) * 4096,
        "fc7": (4096 + 1) * 4096,
        "fc8": (4096 + 1) * 1000,
    }
    assert parameters(net) == 60_965_224


def test_every_layer_has_the_multiply_adds_of_the_two_gpu_net():
    found = multiply_adds(on_meta())
    expected = {
        "conv1": 105_415_200,
        "conv2": 223_948_800,
        "conv3": 149_520_384,
        "conv4": 112_140_288,
        "conv5": 74_760_192,
        "fc6": 37_748_736,
        "fc7": 16_777_216,
        "fc8": 4_096_000,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["Global"] == 724_406_816


def test_without_groups_the_net_would_have_62_378_344_parameters():
    net = on_meta(groups=1)
    assert parameters(net) == 62_378_344
    assert multiply_adds(net)["Global"] == 1_135_256_096


def shapes(net):
    found = {}
    for name, child in net.named_children():
        child.register_forward_hook(
            lambda module, inputs, output, name=name: found.update({name: tuple(output.shape[1:])})
        )
    net(torch.empty(1, 3, 224, 224, device="meta"))
    return found


def test_the_layers_have_the_output_sizes_of_the_paper():
    found = shapes(on_meta())
    assert found["conv1"] == (96, 55, 55)
    assert found["pool1"] == (96, 27, 27)
    assert found["conv2"] == (256, 27, 27)
    assert found["pool2"] == (256, 13, 13)
    assert found["conv3"] == found["conv4"] == (384, 13, 13)
    assert found["conv5"] == (256, 13, 13)
    assert found["pool5"] == (256, 6, 6)
    assert found["fc6"] == found["fc7"] == (4096,)
    assert found["fc8"] == (1000,)


def test_non_overlapping_pooling_keeps_6_x_6():
    net = on_meta(overlapping=False)
    found = shapes(net)
    assert [found[f"pool{k}"] for k in (1, 2, 5)] == [(96, 28, 28), (256, 13, 13), (256, 6, 6)]
    assert [net.pool1.kernel_size, net.pool1.stride] == [2, 2]
    assert parameters(net) == 60_965_224


def test_the_last_pixels_lie_in_the_field_that_rounding_up_reaches(net):
    """1 + ceil((224 - 11) / 4) = 55 windows; the last one, from pixel 216, holds 8 pixels."""
    x = torch.zeros(1, 3, 224, 224)
    x[..., 223, 223] = 1000
    seen = []
    with net.conv1.register_forward_hook(lambda module, inputs, output: seen.append(output)):
        net(x)
    moved = (seen[0] - net.conv1.bias.view(1, -1, 1, 1)).abs().sum((0, 1))
    assert moved.nonzero().tolist() == [[54, 54]]


@pytest.mark.parametrize("layer", ["conv2", "conv4", "conv5"])
def test_a_map_of_one_half_changes_that_half_only(net, layer):
    conv = getattr(net, layer)
    x = torch.randn(1, conv.in_channels, 7, 7)
    y = conv(x)
    half = conv.out_channels // 2
    x[:, 0] += 1
    changed = (conv(x) - y).abs().amax((0, 2, 3))
    assert changed[:half].min() > 0
    assert changed[half:].max() == 0


def test_conv3_sees_both_halves(net):
    x = torch.randn(1, 256, 7, 7)
    y = net.conv3(x)
    x[:, 0] += 1
    assert (net.conv3(x) - y).abs().amax((0, 2, 3)).min() > 0


def test_the_order_of_layers_is_relu_normalization_pooling(net):
    """Section 3.5: normalization follows ReLU in conv1 and conv2, pooling follows normalization."""
    net = copy.deepcopy(net).double().eval()
    x = torch.randn(1, 3, 224, 224, dtype=torch.float64) * 50

    def norm(a):
        halves = [F.local_response_norm(h, 5, 1e-4, 0.75, 2.0) for h in a.chunk(2, 1)]
        return torch.cat(halves, 1)

    with torch.no_grad():
        y = F.conv2d(F.pad(x, (0, 3, 0, 3)), net.conv1.weight, net.conv1.bias, 4)
        y = F.max_pool2d(norm(F.relu(y)), 3, 2)
        y = F.conv2d(y, net.conv2.weight, net.conv2.bias, 1, 2, 1, 2)
        y = F.max_pool2d(norm(F.relu(y)), 3, 2)
        y = F.relu(F.conv2d(y, net.conv3.weight, net.conv3.bias, 1, 1))
        y = F.relu(F.conv2d(y, net.conv4.weight, net.conv4.bias, 1, 1, 1, 2))
        y = F.relu(F.conv2d(y, net.conv5.weight, net.conv5.bias, 1, 1, 1, 2))
        y = F.max_pool2d(y, 3, 2).flatten(1)
        y = 0.5 * F.relu(net.fc6(y))  # section 4.2: outputs times 0.5 at test time
        y = 0.5 * F.relu(net.fc7(y))
        torch.testing.assert_close(net(x), net.fc8(y), rtol=1e-10, atol=1e-12)


def test_normalization_is_after_conv1_and_conv2_and_a_value_removes_it():
    with_, without = on_meta(), on_meta(lrn=False)
    found = [n for n, m in with_.named_children() if isinstance(m, LocalResponseNorm)]
    assert found == ["norm1", "norm2"]
    assert all(with_.get_submodule(n).groups == 2 for n in found)
    assert not any(isinstance(m, LocalResponseNorm) for m in without.modules())


def test_dropout_of_one_half_is_on_fc6_and_fc7_under_names_of_their_own():
    dropouts = [m for m in on_meta().modules() if isinstance(m, Dropout)]
    assert [m.p for m in dropouts] == [0.5, 0.5]  # section 4.2
    assert len({m.name for m in dropouts}) == 2


@pytest.mark.parametrize("options", [{}, {"lrn": False, "overlapping": False, "groups": 1}])
def test_gradients_reach_every_parameter(options):
    net = narrow(**options)
    net(torch.randn(2, 3, 224, 224)).square().sum().backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
