import math
from collections import OrderedDict

import pytest
import torch
from torch import nn

from topfive.architecture import architecture
from topfive.build import network
from topfive.config import compose
from topfive.initializers import (
    caffe_xavier,
    efficientnet,
    gaussian,
    glorot_uniform,
    he_normal,
    truncated_normal,
)
from topfive.models.resnet import CifarResNet
from topfive.problems import Problem
from topfive.warm_starts import from_net_a


def assert_normal(weight, std):
    """Mean and deviation of so many draws, each within five standard errors."""
    values = weight.detach().double().flatten()
    n = len(values)
    assert abs(values.mean()) < 5 * std / n**0.5
    assert abs(values.std() / std - 1) < 5 / (2 * n) ** 0.5
    inside = (values.abs() < std).double().mean()
    assert abs(inside - math.erf(0.5**0.5)) < 5 * 0.47 / n**0.5  # 68.3 % of a Gaussian


def assert_uniform(weight, bound):
    """Within the bound, up to it, and of a third of its square in variance."""
    values = weight.detach().double().flatten()
    n = len(values)
    assert bound * (1 - 20 / n) < values.abs().max() <= bound * (1 + 1e-6)
    assert abs(values.mean()) < 5 * bound / (3 * n) ** 0.5
    assert abs(values.std() * 3**0.5 / bound - 1) < 5 / (5 * n) ** 0.5


def named(**layers):
    return nn.Sequential(OrderedDict(layers))


class LocallyConnected(nn.Module):
    """Weights and biases of their own at every place, as cuda-convnet's local layers."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((32, 64, 3, 3, 4, 4), 7.0))
        self.bias = nn.Parameter(torch.full((32, 4, 4), 7.0))


@pytest.mark.parametrize("fan", ["fan_in", "fan_out"])
def test_he_normal_draws_every_weight_with_variance_two_over_the_fan(fan):
    torch.manual_seed(0)
    net = CifarResNet(20, "B")
    he_normal(net, fan)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            maps = module.in_channels if fan == "fan_in" else module.out_channels
            assert_normal(module.weight, (2 / (maps * module.kernel_size[0] ** 2)) ** 0.5)
    assert_normal(net.fc.weight, (2 / (64 if fan == "fan_in" else 10)) ** 0.5)


def test_he_normal_counts_the_inputs_unless_told_otherwise():
    torch.manual_seed(0)
    layer = nn.Linear(50, 2000)
    he_normal(layer)
    assert_normal(layer.weight, 0.2)


def test_he_normal_sets_biases_to_0_and_normalization_to_scale_1_and_shift_0():
    net = CifarResNet(20, "B")
    for parameter in net.parameters():
        nn.init.constant_(parameter, 7)
    he_normal(net)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()  # the last one of a block too: no zero start
            assert (module.bias == 0).all()
    assert (net.fc.bias == 0).all()


def test_gaussian_has_deviations_and_biases_by_name():
    torch.manual_seed(0)
    net = named(conv1=nn.Conv2d(3, 64, 5), conv2=nn.Conv2d(64, 64, 5), fc=nn.Linear(64, 500))
    gaussian(net, 0.01, stds={"conv2": 0.3}, biases={"conv2": 1, "fc": 0.1})
    assert_normal(net.conv1.weight, 0.01)
    assert_normal(net.conv2.weight, 0.3)
    assert_normal(net.fc.weight, 0.01)
    assert net.conv1.bias.unique().tolist() == [0]
    assert net.conv2.bias.unique().tolist() == [1]
    assert net.fc.bias.unique().tolist() == [pytest.approx(0.1)]


def test_locally_connected_layers_are_drawn_too():
    torch.manual_seed(0)
    net = named(local3=LocallyConnected(), local4=LocallyConnected())
    gaussian(net, 0.01, stds={"local3": 0.04}, biases={"local4": 1})
    assert_normal(net.local3.weight, 0.04)
    assert_normal(net.local4.weight, 0.01)
    assert net.local3.bias.unique().tolist() == [0]
    assert net.local4.bias.unique().tolist() == [1]


BY_LAYER = [
    lambda net: gaussian(net, 0.01),
    caffe_xavier,
    glorot_uniform,
    truncated_normal,
    efficientnet,
]


@pytest.mark.parametrize("initialize", BY_LAYER)
def test_a_normalization_is_left_alone_and_a_bias_may_be_missing(initialize):
    net = named(
        conv=nn.Conv2d(3, 4, 3, bias=False), bn=nn.BatchNorm2d(4), norm=nn.LayerNorm([4, 8, 8])
    )
    nn.init.constant_(net.conv.weight, 7)
    initialize(net)
    assert (net.conv.weight != 7).all()
    for norm in (net.bn, net.norm):
        assert (norm.weight == 1).all()
        assert (norm.bias == 0).all()


def test_caffes_xavier_counts_the_inputs_alone():
    torch.manual_seed(0)
    net = named(conv=nn.Conv2d(12, 2000, 5, groups=4), fc=nn.Linear(300, 40), aux=nn.Linear(9, 40))
    caffe_xavier(net, 0.2, biases={"fc": 0})
    assert_uniform(net.conv.weight, 0.2)  # (3 / (3 x 5 x 5))^0.5
    assert_uniform(net.fc.weight, 0.1)
    assert net.conv.bias.unique().tolist() == [pytest.approx(0.2)]
    assert net.aux.bias.unique().tolist() == [pytest.approx(0.2)]
    assert net.fc.bias.unique().tolist() == [0]


def test_glorots_bound_is_the_root_of_six_over_both_fans():
    torch.manual_seed(0)
    net = named(conv=nn.Conv2d(50, 100, 2), fc=nn.Linear(100, 500))
    glorot_uniform(net)
    assert_uniform(net.conv.weight, 0.1)  # (6 / (4 x 50 + 4 x 100))^0.5
    assert_uniform(net.fc.weight, 0.1)
    assert net.conv.bias.unique().tolist() == net.fc.bias.unique().tolist() == [0]


CUT = 0.8796257  # the deviation that is left of 1 after a cut at +-2


def assert_truncated(weight, std):
    values = weight.detach().double().flatten()
    n = len(values)
    assert 1.9 * std < values.abs().max() <= 2 * std * (1 + 1e-6)
    assert abs(values.mean()) < 5 * CUT * std / n**0.5
    assert abs(values.std() / (CUT * std) - 1) < 5 / (2 * n) ** 0.5
    inside = (values.abs() < std).double().mean()
    assert abs(inside - 0.6827 / 0.9545) < 5 * 0.46 / n**0.5


def test_googlenets_classifiers_alone_have_biases_of_0_with_and_without_heads():
    for auxiliary in (True, False):
        config = compose(["model=googlenet", f"model.auxiliary={str(auxiliary).lower()}"])
        config["model"]["input_size"] = 96
        biases = {n: p for n, p in network(config, 7).named_parameters() if n.endswith("bias")}
        zero = {name for name, bias in biases.items() if not bias.any()}
        assert zero == ({"fc.bias"} | ({"aux1.fc.bias", "aux2.fc.bias"} if auxiliary else set()))
        rest = [bias for name, bias in biases.items() if name not in zero]
        assert len(rest) == 57 + 4 * auxiliary  # 57 convolutions; conv and hidden of each head
        assert all((bias == torch.tensor(0.2)).all() for bias in rest)


def test_truncated_normal_has_hes_variance_but_where_a_pattern_says():
    torch.manual_seed(0)
    mixed = named(
        reduce3x3=nn.Conv2d(100, 100, 1), conv3x3=nn.Conv2d(10, 100, 3), proj=nn.Conv2d(100, 90, 1)
    )
    net = named(conv1=nn.Conv2d(3, 100, 7), mixed=mixed, fc=nn.Linear(100, 90))
    truncated_normal(net, {"conv1": 1.0, "*.reduce*": 0.09, "*.proj": 0.1, "mixed.*": 5.0})
    assert_truncated(net.conv1.weight, 1.0)
    assert_truncated(net.mixed.reduce3x3.weight, 0.09)  # the first pattern that fits counts
    assert_truncated(net.mixed.proj.weight, 0.1)
    assert_truncated(net.mixed.conv3x3.weight, 5.0)
    assert_truncated(net.fc.weight, (1.3 * 2 / 100) ** 0.5)
    assert net.fc.weight.var().item() == pytest.approx(2 / 100, rel=0.05)
    assert net.fc.bias.unique().tolist() == [0]


def test_efficientnets_convolutions_count_their_outputs_a_depthwise_one_its_kernel():
    torch.manual_seed(0)
    net = named(
        stem=nn.Conv2d(3, 32, 5),
        depthwise=nn.Conv2d(2000, 2000, 5, groups=2000),
        fc=nn.Linear(80, 100),
    )
    efficientnet(net)
    assert_normal(net.stem.weight, 0.05)  # (2 / (5 x 5 x 32))^0.5
    assert_normal(net.depthwise.weight, 0.2828427)  # (2 / (5 x 5))^0.5
    assert_uniform(net.fc.weight, 0.1)  # variance (1 / 3) / 100
    assert net.stem.bias.unique().tolist() == net.fc.bias.unique().tolist() == [0]


@pytest.mark.parametrize(
    ("initialize", "message"),
    [
        (lambda net: gaussian(net, 1, biases={"conv1": 1, "fc6": 1}), r"called fc6: .*\.biases"),
        (lambda net: gaussian(net, 1, stds={"fc6": 1, "c": 1}), r"called c, fc6: .*\.stds"),
        (lambda net: caffe_xavier(net, biases={"aux.fc": 0}), r"called aux\.fc: .*\.biases"),
        (lambda net: truncated_normal(net, {"*.proj*": 1}), r"called \*\.proj\*: .*\.stds"),
        (lambda net: from_net_a(net, 1, "run", ["conv9"]), r"called conv9: .*\.layers"),
    ],
)
def test_a_layer_that_the_network_lacks_is_refused_by_name_and_key(initialize, message):
    with pytest.raises(Problem, match=message + r", of conv1, conv2_x\.0\.conv1, .*, \.\.\.\.$"):
        initialize(CifarResNet(20))


@pytest.mark.parametrize("initialize", [he_normal, *BY_LAYER])
def test_the_weights_are_a_function_of_torchs_seed(initialize):
    nets = [CifarResNet(8) for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        torch.manual_seed(seed)
        initialize(net)
    assert torch.equal(nets[0].conv1.weight, nets[1].conv1.weight)
    assert not torch.equal(nets[0].conv1.weight, nets[2].conv1.weight)


@pytest.mark.parametrize("model", ["resnet18", "resnet50", "resnet20"])
def test_zero_gamma_begins_every_residual_block_as_its_shortcut(model):
    """Goyal et al., arXiv:1706.02677: the last scale of each block is 0, all others stay 1."""
    net = architecture(compose([f"model={model}"]))
    he_normal(net, zero_gamma=True)
    last = "bn3" if model == "resnet50" else "bn2"
    scales = {
        name: set(module.weight.tolist())
        for name, module in net.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    blocks = {"resnet18": 2 + 2 + 2 + 2, "resnet50": 3 + 4 + 6 + 3, "resnet20": 3 * 3}[model]
    assert sum(scale == {0.0} for scale in scales.values()) == blocks
    assert all((scale == {0.0}) == name.endswith(f".{last}") for name, scale in scales.items())


@pytest.mark.parametrize("model", ["plain20", "preact_resnet110"])
def test_zero_gamma_is_refused_where_no_block_ends_in_a_normalization(model):
    net = architecture(compose([f"model={model}"]))
    with pytest.raises(Problem, match=r"zero_gamma=true takes residual blocks .* leave it out"):
        he_normal(net, zero_gamma=True)
