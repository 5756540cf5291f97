"""Every network of conf/model computes in channels_last from end to end, and computes the same.

A reshape, a flatten or a mask that turns the maps back costs a copy, there and at the layers after it. One
network per class and option set: what differs in depth alone is tested at the smallest depth.
"""

from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import get_class
from torch import nn
from torch.utils._pytree import tree_leaves

from topfive.layers import Dropout
from topfive.problems import Problem

MODELS = Path(__file__).parents[1] / "conf" / "model"
# Sides to try, the smallest first: one that is too small for a network is passed over.
SIDES = {"mnist": [32], "cifar10": [24, 32], "imagenet": [64, 96, 128, 224]}
LAST, CONTIGUOUS = torch.channels_last, torch.contiguous_format
# Layers that cannot keep the layout. LocallyConnected2d multiplies unfolded windows by the weights of each
# position.
EXEMPT = {"LocallyConnected2d"}


def smaller(kind, options):
    """Options of the smallest network with the same kinds of layers in the same order."""
    match kind:
        case "CifarResNet":
            return {"depth": 8}
        case "ResNet":
            return {"depth": 18 if options["depth"] < 50 else 50}
        case "CifarPreActResNet":
            return {"depth": {"1layer": 5, "basic": 8, "bottleneck": 11}[options["block"]]}
        case "PreActResNet":
            return {"depth": 50}
        case "VGG" if options["configuration"] in ("D", "E"):
            return {"configuration": "B"}
        case "AlexNet" | "ZFNet":
            return {"fc": 64}
        case "GoogLeNet" if options["module"] == "naive":
            return {"auxiliary": False}  # the heads need 96 pixels, and are GoogLeNet's
    return {}


def reduced(name):
    """The class and options of conf/model/NAME.yaml, made small, and the sides of an image to try."""
    config = yaml.safe_load((MODELS / f"{name}.yaml").read_text("utf-8"))
    options = config["model"]
    options |= smaller(options["_target_"].rpartition(".")[2], options)
    data = next(d["override /data"] for d in config["defaults"] if "override /data" in d)
    return options, SIDES[data]


def one_of_each():
    names = {}
    for file in sorted(MODELS.glob("*.yaml")):
        names.setdefault(repr(reduced(file.stem)), file.stem)
    return sorted(names.values())


def built(name, side):
    options = {k: side if v == "${recipe.crop.size}" else v for k, v in reduced(name)[0].items()}
    return get_class(options.pop("_target_"))(**options, num_classes=10)


def images(net, side, device="cpu"):
    channels = next(m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d))
    return torch.randn(2, channels, side, side, device=device)


def smallest_side(name):
    for side in reduced(name)[1]:
        with torch.device("meta"):
            try:
                net = built(name, side)
                net(images(net, side, "meta"))
            except (Problem, ValueError, RuntimeError):
                continue
        return side
    raise AssertionError(f"{name} takes no image of {reduced(name)[1]} pixels")


@pytest.fixture(scope="module", params=one_of_each())
def network(request):
    """The network and two images for it."""
    torch.manual_seed(0)
    side = smallest_side(request.param)
    net = built(request.param, side)
    for dropout in (m for m in net.modules() if isinstance(m, Dropout)):
        dropout.address = (0, 0, torch.tensor([3, 5]))  # the same masks in either layout
    return net, images(net, side)


def scores(net, x, layout):
    """All that the network puts out, in one tensor."""
    net.to(memory_format=layout)
    return torch.cat([t.flatten() for t in tree_leaves(net(x.contiguous(memory_format=layout)))])


def turned(t):
    """Whether t consists of maps that lie one after the other."""
    return t.dim() == 4 and t.shape[1] > 1 and t.shape[2:].numel() > 1 and t.stride(1) != 1


@pytest.fixture
def hooked(network):
    """Calls back with (name, layer, inputs, output) after each layer, until the test ends."""
    handles = []

    def watch(call):
        for name, layer in network[0].named_modules():
            handles.append(
                layer.register_forward_hook(lambda m, i, o, name=name: call(name, m, i, o))
            )

    yield watch
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_every_layer_puts_out_channels_last(network, hooked, training):
    net, x = network
    wrong = []

    def look(name, layer, inputs, output):
        tensors = [t for t in tree_leaves(output) if isinstance(t, torch.Tensor)]
        if type(layer).__name__ not in EXEMPT and any(map(turned, tensors)):
            wrong.append(name)

    hooked(look)
    with torch.no_grad():
        scores(net.float().train(training), x, LAST)
    assert wrong == []


def test_the_gradient_of_what_a_convolution_reads_is_channels_last(network, hooked):
    net, x = network
    wrong = []

    def look(name, layer, inputs, output):
        if isinstance(layer, nn.Conv2d) and inputs[0].requires_grad:
            inputs[0].register_hook(lambda g: wrong.append(name) if turned(g) else None)

    hooked(look)
    net.float().train().zero_grad()
    scores(net, x, LAST).square().mean().backward()
    assert wrong == []


def test_the_scores_are_those_of_the_contiguous_network(network):
    net, x = network
    net.double().train()
    with torch.no_grad():
        expected, ours = (scores(net, x.double(), layout) for layout in (CONTIGUOUS, LAST))
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)
