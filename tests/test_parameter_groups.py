import pytest
import torch
from torch import nn

from topfive.config import compose
from topfive.models.alexnet import AlexNet
from topfive.models.cuda_convnet import CudaConvnet
from topfive.models.lenet import LeNet5
from topfive.models.nin import CifarNiN
from topfive.models.resnet import CifarResNet
from topfive.optimizers import CaffeSGD
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


LAW = {"_target_": "topfive.schedules.Constant", "rate": 0.02}


def described(net, *arguments):
    """By rate and decay, the names of the parameters."""
    groups = parameter_groups(net, *arguments)
    found = {(g["rate"], g["weight_decay"]): names(net, g) for g in groups}
    assert len(found) == len(groups)  # no two groups alike
    assert sum(len(g["params"]) for g in groups) == len(list(net.parameters()))
    return found


def conv_and_bn():
    """conv1, bn1, conv2 (without a bias), fc."""
    net = nn.Sequential()
    net.add_module("conv1", nn.Conv2d(1, 2, 3))
    net.add_module("bn1", nn.BatchNorm2d(2))
    net.add_module("conv2", nn.Conv2d(2, 2, 3, bias=False))
    net.add_module("fc", nn.Linear(2, 2))
    return net


def test_biases_at_twice_the_rate_and_undecayed_are_one_group():
    # lr_mult 2, decay_mult 0 in Caffe's models/bvlc_reference_caffenet/train_val.prototxt
    assert described(conv_and_bn(), 0.0005, ["weights"], {"biases": 2}) == {
        (1, 0.0005): {"conv1.weight", "conv2.weight", "fc.weight"},
        (1, 0): {"bn1.weight", "bn1.bias"},
        (2, 0): {"conv1.bias", "fc.bias"},
    }


def test_the_groups_at_the_main_rate_come_first_and_the_decayed_ones_ahead():
    groups = parameter_groups(conv_and_bn(), 0.1, ["weights"], {"conv1.*": 0.5, "fc.bias": LAW})
    found = [(group["rate"], group["weight_decay"]) for group in groups]
    assert found == [(1, 0.1), (1, 0), (0.5, 0.1), (0.5, 0), ("fc.bias", 0)]


def test_a_later_entry_overrules_an_earlier_one():
    rates = {"biases": 2, "conv*": 3, "conv1.weight": 4, "normalization": 5}
    found = described(conv_and_bn(), 0.0, [], rates)
    assert {rate: found[rate, 0] for rate, _ in found} == {
        1: {"fc.weight"},
        2: {"fc.bias"},
        3: {"conv1.bias", "conv2.weight"},
        4: {"conv1.weight"},
        5: {"bn1.weight", "bn1.bias"},
    }
    turned = dict(reversed(rates.items()))
    assert described(conv_and_bn(), 0.0, [], turned)[3, 0] == {"conv1.weight", "conv2.weight"}


def test_an_entry_that_is_null_is_as_good_as_absent():
    rates, decays = {"biases": 2, "conv1.bias": None}, {"fc.*": None}
    assert described(conv_and_bn(), 0.1, ["weights"], rates, decays) == described(
        conv_and_bn(), 0.1, ["weights"], {"biases": 2}
    )


def test_equal_multiples_are_one_group_and_laws_are_one_each():
    rates = {"conv1.*": 2, "conv2.*": 2.0, "bn1.weight": LAW, "bn1.bias": LAW, "fc.*": 1}
    assert described(conv_and_bn(), 0.0, [], rates) == {
        (1, 0): {"fc.weight", "fc.bias"},
        (2, 0): {"conv1.weight", "conv1.bias", "conv2.weight"},
        ("bn1.weight", 0): {"bn1.weight"},
        ("bn1.bias", 0): {"bn1.bias"},
    }


def test_decays_beyond_and_within_the_decayed_kinds():
    decays = {"biases": 0.5, "conv*.weight": 0, "fc.weight": 2.5}
    assert described(conv_and_bn(), 0.004, ["weights"], None, decays) == {
        (1, 0): {"conv1.weight", "conv2.weight", "bn1.weight", "bn1.bias"},
        (1, 0.002): {"conv1.bias", "fc.bias"},
        (1, 0.01): {"fc.weight"},
    }


def test_cuda_convnet_decays_its_layers_as_the_11_percent_file_does():
    with torch.device("meta"):
        net = CudaConvnet()
    recipe = compose(["model=cuda_convnet"])["recipe"]
    keys = ("weight_decay", "decayed", "rates", "decays")
    assert described(net, *map(recipe.get, keys)) == {
        (1, 0): {"conv1.weight", "conv2.weight"},
        (1, 0.004): {"local3.weight", "local4.weight"},
        (1, 0.01): {"fc10.weight"},
        ("biases", 0): {f"{n}.bias" for n in ("conv1", "conv2", "local3", "local4", "fc10")},
    }


def test_nin_slows_its_last_layer_to_a_tenth():
    # NIN/cifar-10_params of mavenlin/cuda-convnet: epsW 1, epsB 2, cccp6 0.1 and 0.2, all times coeff 0.1
    with torch.device("meta"):
        net = CifarNiN()
    recipe = compose(["model=nin_cifar"])["recipe"]
    keys = ("weight_decay", "decayed", "rates", "decays")
    found = described(net, *map(recipe.get, keys))
    assert found.keys() == {(1, 1e-4), (0.1, 1e-4), ("biases", 0), ("cccp6.bias", 0)}
    assert found[0.1, 1e-4] == {"cccp6.weight"}
    assert found["cccp6.bias", 0] == {"cccp6.bias"}
    assert len(found[1, 1e-4]) == len(found["biases", 0]) == 8


def test_kinds_may_fit_nothing_but_names_must_fit():
    net = nn.Linear(2, 2, bias=False)
    assert described(net, 0.1, [], {"biases": 2, "normalization": 3}) == {(1, 0): {"weight"}}
    with pytest.raises(Problem, match=r"recipe.rates names bias, .*'~recipe.rates'"):
        parameter_groups(net, 0.1, [], {"bias": 2})


@pytest.mark.parametrize(
    ("rates", "decays", "key"), [({"conv9.*": 2}, {}, "rates"), ({}, {"conv9.*": 0}, "decays")]
)
def test_a_pattern_that_fits_nothing_is_refused_and_names_are_listed(rates, decays, key):
    says = (
        rf"recipe.{key} names conv9.\*, which fits no .*such as conv1.weight, conv1.bias, .*\.\.\."
    )
    with pytest.raises(Problem, match=says):
        parameter_groups(conv_and_bn(), 0.1, ["weights"], rates, decays)


@pytest.mark.parametrize("decay", [-1, "much", float("nan")])
def test_a_decay_is_a_number_of_times(decay):
    with pytest.raises(Problem, match=r"recipe.decays has fc.\*: .*number of times recipe.weight"):
        parameter_groups(conv_and_bn(), 0.1, ["weights"], None, {"fc.*": decay})


@pytest.mark.parametrize("optimizer", [CaffeSGD, torch.optim.SGD])
def test_two_updates_of_a_bias_at_twice_the_rate_without_decay_by_hand(optimizer):
    net = nn.Linear(1, 1).double()
    with torch.no_grad():
        net.weight.fill_(4.0)
        net.bias.fill_(1.0)
    groups = parameter_groups(net, 0.5, ["weights"], {"biases": 2})
    rates = [group.pop("rate") for group in groups]
    rule = optimizer(groups, lr=0.0, momentum=0.5)
    seen = []
    for rate, gradient in ((0.25, 3.0), (0.125, 1.0)):
        for group, multiple in zip(rule.param_groups, rates, strict=True):
            group["lr"] = multiple * rate
        net.weight.grad = torch.full_like(net.weight, gradient)
        net.bias.grad = torch.full_like(net.bias, gradient)
        rule.step()
        seen.append((net.weight.item(), net.bias.item()))
    # weight: v = 0.25 (3 + 0.5 x 4) = 1.25, 4 - 1.25 = 2.75. bias: v = 0.5 x 3 = 1.5, 1 - 1.5 = -0.5
    assert seen[0] == (2.75, -0.5)
    if optimizer is CaffeSGD:
        # weight: v = 0.625 + 0.125 (1 + 1.375) = 0.921875. bias: v = 0.75 + 0.25 x 1 = 1
        assert seen[1] == (1.828125, -1.5)
    else:
        # weight: v = 2.5 + 2.375 = 4.875, times 0.125. bias: v = 1.5 + 1 = 2.5, times 0.25
        assert seen[1] == (2.140625, -1.125)
