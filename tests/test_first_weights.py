"""The first weights that every network has under its own recipe are those that its paper states.

Each table maps names of parameters (or "Type name", both with wildcards, the first that fits counting)
to what the paper, or the code that it was trained with, says of them.
"""

import math
from fnmatch import fnmatchcase
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from topfive.architecture import architecture
from topfive.build import network
from topfive.config import compose


class Draws(NamedTuple):
    """A deviation (a tensor where it differs among the values), and moments and end at deviation 1."""

    std: float | Tensor
    fourth: float
    eighth: float
    end: float


class Constant(NamedTuple):
    value: float


def normal(std):
    return Draws(std, 3, 105, math.inf)


def uniform(bound):
    return Draws(bound / 3**0.5, 9 / 5, 9, 3**0.5)


def truncated(std):
    """N(0, std^2) cut at two deviations."""
    return Draws(0.87962566 * std, 2.3656, 27.18, 2 / 0.87962566)


def constant(value):
    return Constant(value)


ZERO, ONE = constant(0), constant(1)


# Fans as the papers count them, from the geometry of a layer.
def inputs(layer):
    if hasattr(layer, "kernel_size"):
        return layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    return layer.in_features


def outputs(layer):
    if hasattr(layer, "kernel_size"):
        return layer.out_channels // layer.groups * math.prod(layer.kernel_size)
    return layer.out_features


def he_in(layer):
    return normal((2 / inputs(layer)) ** 0.5)


def he_out(layer):
    return normal((2 / outputs(layer)) ** 0.5)


def he_in_truncated(layer):
    return truncated((1.3 * 2 / inputs(layer)) ** 0.5)


def xavier_in(layer):
    return uniform((3 / inputs(layer)) ** 0.5)


def glorot(layer):
    return uniform((6 / (inputs(layer) + outputs(layer))) ** 0.5)


BN = {"BatchNorm* *.weight": ONE, "BatchNorm* *.bias": ZERO}

# LeCun et al. 1998, Table I: maps 0 to 5 see three maps, 6 to 14 four, and 15 all six, of 25 pixels each.
C3_FAN_IN = torch.tensor([75] * 6 + [100] * 9 + [150])
C3_KERNELS = C3_FAN_IN.repeat_interleave(C3_FAN_IN // 25).view(60, 1, 1)

FIRST_WEIGHTS = {
    "model=lenet5": {  # Appendix A: within +-2.4 / F_i, here the biases too
        "c1.*": uniform(2.4 / 25),
        "s[24].*": uniform(2.4 / 4),
        "c3.weight": uniform(2.4 / C3_KERNELS),
        "c3.bias": uniform(2.4 / C3_FAN_IN),
        "c5.*": uniform(2.4 / 400),
        "f6.*": uniform(2.4 / 120),
    },
    "model=alexnet model.fc=512": {  # section 5
        "*.weight": normal(0.01),
        "conv[245].bias": ONE,
        "fc[67].bias": ONE,
        "*.bias": ZERO,
    },
    "model=caffenet model.fc=512": {  # bvlc_reference_caffenet/train_val.prototxt
        "fc[67].weight": normal(0.005),
        "*.weight": normal(0.01),
        "conv[245].bias": ONE,
        "fc[67].bias": ONE,
        "*.bias": ZERO,
    },
    "model=alexnet model.order=code recipe=alexnet_code model.fc=512": {  # layers-145.cfg
        "conv[345].weight": normal(0.03),
        "*.weight": normal(0.01),
        "conv[245].bias": ONE,
        "fc[67].bias": ONE,
        "*.bias": ZERO,
    },
    "model=caffenet model.order=norm_pool recipe=bvlc_alexnet model.fc=512": {  # bvlc_alexnet
        "fc[67].weight": normal(0.005),
        "*.weight": normal(0.01),
        "conv[245].bias": constant(0.1),
        "fc[67].bias": constant(0.1),
        "*.bias": ZERO,
    },
    "model=zfnet model.fc=512": {"*.weight": normal(0.01), "*.bias": ZERO},  # section 3.1
    "model=cuda_convnet": {  # layers-conv-local-11pct.cfg, initW
        "conv1.weight": normal(0.0001),
        "conv2.weight": normal(0.01),
        "local3.weight": normal(0.04),
        "local4.weight": normal(0.04),
        "fc10.weight": normal(0.01),
        "*.bias": ZERO,
    },
    "model=nin_cifar": {"*.weight": normal(0.05), "*.bias": ZERO},  # the authors' cifar-10_def
    "model=nin_imagenet": {  # the author's train_val.prototxt
        "conv[13].weight": normal(0.01),
        "cccp8.weight": normal(0.01),
        "*.weight": normal(0.05),
        "*.bias": ZERO,
    },
    # Not in the paper: Caffe's xavier, fan-in alone, in mateuszbuda/ALL-CNN.
    "model=allcnn_c": {
        "conv1.weight": uniform((3 / 27) ** 0.5),
        "conv[23].weight": uniform((3 / 864) ** 0.5),
        "conv4.weight": uniform((3 / 864) ** 0.5),
        "conv[567].weight": uniform((3 / 1728) ** 0.5),
        "conv[89].weight": uniform((3 / 192) ** 0.5),
        "*.bias": ZERO,
    },
    "model=allcnn_imagenet": {
        "conv1.weight": uniform((3 / 363) ** 0.5),
        "conv2.weight": uniform((3 / 96) ** 0.5),
        "conv3.weight": uniform((3 / 864) ** 0.5),
        "conv4.weight": uniform((3 / 2400) ** 0.5),
        "conv5.weight": uniform((3 / 256) ** 0.5),
        "conv[67].weight": uniform((3 / 2304) ** 0.5),
        "conv8.weight": uniform((3 / 384) ** 0.5),
        "conv9.weight": uniform((3 / 3456) ** 0.5),
        "conv10.weight": uniform((3 / 3456) ** 0.5),
        "conv1[12].weight": uniform((3 / 1024) ** 0.5),
        "*.bias": ZERO,
    },
    # Section 3.1 prints a variance of 10^-2: read as a deviation.
    "model=vgg11 recipe.crop.size=32": {"*.weight": normal(0.01), "*.bias": ZERO},
    # Section 3.1, found after the submission: Glorot and Bengio's.
    "model=vgg11 recipe=vgg_glorot recipe.crop.size=32": {"*.weight": glorot, "*.bias": ZERO},
    "model=googlenet": {  # not in the paper: bvlc_googlenet/train_val.prototxt
        "*.weight": xavier_in,
        "fc.bias": ZERO,
        "aux[12].fc.bias": ZERO,
        "*.bias": constant(0.2),
    },
    "model=bn_inception": {  # not in the paper: TF-slim's inception_v2.py
        **BN,
        "conv1.*.weight": truncated(1.0),
        "conv2_reduce.*.weight": truncated(0.1),
        "*.reduce*.weight": truncated(0.09),
        "*.pool_proj.*.weight": truncated(0.1),
        "*.weight": he_in_truncated,
        "fc.bias": ZERO,
    },
    # Inception of Fig. 3, not in the paper either: as BVLC's googlenet.
    "model=bn_inception recipe=bn_inception_baseline model.batch_norm=false": {
        "*.weight": xavier_in,
        "fc.bias": ZERO,
        "*.bias": constant(0.2),
    },
    # Section 3.4: as arXiv:1502.01852; the fan is Caffe's default.
    "model=resnet18": {**BN, "*.weight": he_in, "fc.bias": ZERO},
    "model=resnet20": {**BN, "*.weight": he_in, "fc.bias": ZERO},
    "model=preact_resnet164": {**BN, "*.weight": he_in, "fc.bias": ZERO},  # appendix: as the former
    "model=efficientnet_b0": {  # the authors' efficientnet_model.py
        **BN,
        "fc.weight": uniform(10**-0.5),
        "*.weight": he_out,
        "*.bias": ZERO,
    },
}


def assert_drawn(values, expected):
    """All are the constant, or their moments are a distribution's within five standard errors."""
    if isinstance(expected, Constant):
        assert values.unique().tolist() == [pytest.approx(expected.value)]
        return
    scaled = (values.detach().double() / expected.std).flatten()
    scaled = scaled[:: max(1, len(scaled) // 200_000)]
    n, squares = len(scaled), scaled.square()
    assert scaled.abs().max() <= expected.end * (1 + 1e-6)
    assert abs(scaled.mean()) < 5 / n**0.5
    assert abs(squares.mean() - 1) < 5 * ((expected.fourth - 1) / n) ** 0.5
    spread = (expected.eighth - expected.fourth**2) ** 0.5
    assert abs(squares.square().mean() - expected.fourth) < 5 * spread / n**0.5


def fits(pattern, name, layer):
    return fnmatchcase(name, pattern) or fnmatchcase(f"{type(layer).__name__} {name}", pattern)


def assert_first_weights(net, table):
    """Every parameter as its line of the table says, and no line without a parameter."""
    used = set()
    for name, values in net.named_parameters():
        layer = net.get_submodule(name.rpartition(".")[0])
        pattern = next((p for p in table if fits(p, name, layer)), None)
        assert pattern is not None, name
        used.add(pattern)
        expected = table[pattern]
        try:
            assert_drawn(values, expected(layer) if callable(expected) else expected)
        except AssertionError as error:
            raise AssertionError(f"{name} is not {pattern}: {error}") from error
    assert set(table) - used == set()


@pytest.mark.parametrize("command", FIRST_WEIGHTS)
def test_the_first_weights_are_those_that_the_paper_states(command):
    assert_first_weights(network(compose(command.split()), 10), FIRST_WEIGHTS[command])


def test_vgg16_starts_from_the_first_four_convolutions_and_the_head_of_net_a(tmp_path):
    """Section 3.1: and the others at random."""
    small = "recipe.crop.size=32"
    with torch.device("meta"):
        shapes = architecture(compose(["model=vgg11", small]), 10).state_dict()
    values = {f"net.{name}": torch.tensor(100.0 + k) for k, name in enumerate(shapes)}
    state = {f"net.{name}": values[f"net.{name}"].expand(s.shape) for name, s in shapes.items()}
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    run = f"recipe.initialization.checkpoint={tmp_path}"
    copied = ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8")
    table = {
        f"{layer}.{part}": constant(values[f"net.{layer}.{part}"].item())
        for layer in copied
        for part in ("weight", "bias")
    }
    net = network(compose(["model=vgg16", small, run]), 10)
    assert_first_weights(net, {**table, "*.weight": normal(0.01), "*.bias": ZERO})


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (normal(0.01), normal(0.0105)),
        (normal(0.01), uniform(0.01 * 3**0.5)),
        (normal(0.01), truncated(0.01 / 0.8796)),
        (uniform(1.0), uniform(1.1)),
        (uniform(1.0), normal(3**-0.5)),
        (truncated(0.09), truncated(0.1)),
        (truncated(0.09), normal(0.09 * 0.8796)),
    ],
)
def test_another_scale_or_distribution_would_be_noticed(right, wrong):
    torch.manual_seed(0)
    draws = {
        3: torch.randn(20_000),
        9 / 5: torch.empty(20_000).uniform_(-(3**0.5), 3**0.5),
        2.3656: torch.nn.init.trunc_normal_(torch.empty(20_000), a=-2, b=2) / 0.87962566,
    }
    values = draws[right.fourth] * right.std
    assert_drawn(values, right)
    with pytest.raises(AssertionError):
        assert_drawn(values, wrong)
