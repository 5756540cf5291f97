import math

import pytest
import torch
from torch import nn

from topfive.initializers import gaussian, he_normal
from topfive.models.alexnet import AlexNet
from topfive.models.resnet import CifarResNet
from topfive.problems import Problem


def assert_normal(weight, std):
    """Mean and deviation of so many draws, each within five standard errors."""
    values = weight.detach().double().flatten()
    n = len(values)
    assert abs(values.mean()) < 5 * std / n**0.5
    assert abs(values.std() / std - 1) < 5 / (2 * n) ** 0.5
    inside = (values.abs() < std).double().mean()
    assert abs(inside - math.erf(0.5**0.5)) < 5 * 0.47 / n**0.5  # 68.3 % of a Gaussian


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


def test_gaussian_sets_alexnet_as_section_5_says():
    with torch.device("meta"):
        net = AlexNet(num_classes=10)
    net.fc6 = nn.Linear(9216, 64, device="meta")  # 38 million draws would show no more
    net.fc7 = nn.Linear(64, 64, device="meta")
    net.to_empty(device="cpu")
    torch.manual_seed(0)
    gaussian(net, 0.01, ones=["conv2", "conv4", "conv5", "fc6", "fc7"])
    biases = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert_normal(module.weight, 0.01)
            biases[name] = module.bias.unique().tolist()
    assert biases == {
        "conv1": [0],
        "conv2": [1],
        "conv3": [0],
        "conv4": [1],
        "conv5": [1],
        "fc6": [1],
        "fc7": [1],
        "fc8": [0],
    }


def test_a_layer_that_the_network_lacks_is_refused_by_name():
    with pytest.raises(Problem, match=r"called conv9, fc6: .* recipe.initialization.ones"):
        gaussian(CifarResNet(20), 0.01, ones=["conv1", "fc6", "conv9"])


def test_the_weights_are_a_function_of_torchs_seed():
    nets = [CifarResNet(8) for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        torch.manual_seed(seed)
        he_normal(net)
    assert torch.equal(nets[0].conv1.weight, nets[1].conv1.weight)
    assert not torch.equal(nets[0].conv1.weight, nets[2].conv1.weight)
