import pytest
import torch
from torch import nn

from topfive.models.alexnet import AlexNet
from topfive.models.lenet import LeNet5
from topfive.models.resnet import CifarResNet
from topfive.parameter_groups import parameter_groups
from topfive.problems import Problem


def names(net, group):
    known = {id(p): name for name, p in net.named_parameters()}
    return {known[id(p)] for p in group["params"]}


def test_biases_and_normalization_are_not_decayed_when_the_recipe_says_weights_only():
    net = CifarResNet(8, "B")
    decayed, free = parameter_groups(net, 0.0001, ["weights"])
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.0001, 0.0)
    convolutions = {f"{n}.weight" for n, m in net.named_modules() if isinstance(m, nn.Conv2d)}
    assert names(net, decayed) == convolutions | {"fc.weight"}
    assert {"fc.bias", "bn1.weight", "bn1.bias", "conv3_x.0.shortcut.1.weight"} <= names(net, free)


def test_biases_of_alexnet_are_not_decayed_as_in_its_code():
    with torch.device("meta"):
        net = AlexNet()
    _, free = parameter_groups(net, 0.0005, ["weights"])
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    assert names(net, free) == {f"{layer}.bias" for layer in layers}


def test_the_type_of_the_module_decides_not_its_name():
    net = nn.Sequential()
    net.add_module("bn", nn.Linear(2, 2))
    net.add_module("conv", nn.BatchNorm2d(2))
    decayed, free = parameter_groups(net, 0.1, ["weights"])
    assert names(net, decayed) == {"bn.weight"}
    assert names(net, free) == {"bn.bias", "conv.weight", "conv.bias"}


def test_the_parameters_of_lenets_own_layers_count_as_weights():
    net = LeNet5()
    decayed, free = parameter_groups(net, 0.1, ["weights"])
    custom = {"s2.coefficient", "s4.coefficient", "c3.weight"}
    assert names(net, decayed) == custom | {"c1.weight", "c5.weight", "f6.weight"}
    assert names(net, free) == {f"{layer}.bias" for layer in ("c1", "s2", "c3", "s4", "c5", "f6")}


@pytest.mark.parametrize(
    "decayed",
    [[], ["weights"], ["biases", "normalization"], ["weights", "biases", "normalization"]],
)
@pytest.mark.parametrize("build", [lambda: CifarResNet(8, "C"), LeNet5])
def test_every_parameter_is_in_exactly_one_group(build, decayed):
    net = build()
    found = [id(p) for group in parameter_groups(net, 0.1, decayed) for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in net.parameters())


def test_all_kinds_decayed_make_one_group_and_none_decayed_another():
    net = CifarResNet(8)
    everything = parameter_groups(net, 0.1, ["weights", "biases", "normalization"])
    assert [group["weight_decay"] for group in everything] == [0.1]
    assert [group["weight_decay"] for group in parameter_groups(net, 0.1, [])] == [0.0]


def test_an_unknown_kind_is_refused():
    with pytest.raises(Problem, match=r"recipe.decayed names bias; .* weights, biases, norm"):
        parameter_groups(nn.Linear(1, 1), 0.1, ["weights", "bias"])
