"""Printed sizes against the networks: each is met by the counted network, or says why it is not.

Also that every published option is one that the network has.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.utils import instantiate
from measure import measured, on_meta, parameters
from torch import nn
from torch.overrides import TorchFunctionMode

from topfive.published import Paper, Size, load, met, networks, sizes

CONF = Path(__file__).parents[1] / "conf" / "model"
IMAGES = {"mnist": (1, 32), "cifar10": (3, 32), "imagenet": (3, 224)}  # channels, side


def conf(network: str) -> tuple[dict[str, Any], int, int]:
    """The model of conf/model/NAME.yaml, and the channels and side of its image."""
    text = (CONF / f"{network}.yaml").read_text()
    (data,) = re.findall(r"override /data: (\w+)", text)
    channels, side = IMAGES[data]
    model = yaml.safe_load(text.replace("${recipe.crop.size}", str(side)))["model"]
    return model, channels, side


def built(network: str, options: Mapping[str, Any]) -> nn.Module:
    return built_once(network, json.dumps(dict(options)))


@cache
def built_once(network: str, options: str) -> nn.Module:
    model, _, _ = conf(network)
    return on_meta(instantiate, model | json.loads(options), _convert_="all").eval()


class Depth(TorchFunctionMode):
    """How many convolutions and full connections lie on the longest path to a tensor."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            given = [*args, *(kwargs or {}).values()]
            inputs = [y for x in given for y in (x if isinstance(x, list | tuple) else [x])]
            deepest = max((getattr(x, "depth", 0) for x in inputs), default=0)
            out.depth = deepest + (func.__name__ in ("conv2d", "linear"))
        return out


def counted(network: str, options: Mapping[str, Any], quantity: str) -> int:
    net = built(network, options)
    _, channels, side = conf(network)
    if quantity == "parameters":
        return parameters(net)
    if quantity == "multiply_adds":
        return measured(net, side, channels).multiply_adds
    image = torch.empty(1, channels, side, side, device="meta")
    with torch.no_grad(), Depth():
        return net(image).depth


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(
            one,
            id=f"{one.network}-{one.quantity}-{one.value}",
            marks=[pytest.mark.slow] * (one.quantity == "layers" and int(one.value) > 100),
        )
        for one in sizes()
    ],
)
def test_a_network_has_the_printed_size_unless_it_is_said_why_not(size: Size) -> None:
    ours = counted(size.network, size.options, size.quantity)
    assert met(size, ours) == (size.unmet is None), f"{ours:,} for the printed {size.value}"


def of(value: str) -> Size:
    paper = Paper("p", "a paper")
    return Size(
        network="net", options={}, quantity="parameters", value=value, paper=paper, where="T1"
    )


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("60M", 59_500_000, 60_500_000),
        ("6.8M", 6_750_000, 6_850_000),
        ("0.27M", 265_000, 275_000),
        ("1.5B", 1_450_000_000, 1_550_000_000),
        ("3.6e9", 3_550_000_000, 3_650_000_000),
        ("11.3e9", 11_250_000_000, 11_350_000_000),
        ("60,000", 60_000, 60_000),
        ("22", 22, 22),
    ],
)
def test_a_count_is_met_if_it_rounds_to_what_is_printed(value: str, least: int, most: int) -> None:
    assert met(of(value), least)
    assert met(of(value), most)
    assert not met(of(value), least - 1)
    assert not met(of(value), most + 1)


def test_the_sizes_are_those_printed() -> None:
    printed = {(one.network, str(dict(one.options)), one.quantity): one.value for one in sizes()}
    assert printed["lenet5", "{}", "parameters"] == "60,000"  # section II-B
    assert printed["alexnet", "{}", "parameters"] == "60M"  # abstract
    assert printed["cnn_c", "{}", "parameters"] == "1.3M"  # All-CNN, Table 3
    assert printed["vgg16", "{}", "parameters"] == "138M"  # Table 2
    assert printed["googlenet", "{'auxiliary': False}", "parameters"] == "6.8M"  # Table 1
    assert printed["googlenet", "{'auxiliary': False}", "layers"] == "22"  # abstract
    assert printed["bn_inception", "{}", "parameters"] == "13.6M"
    assert printed["resnet34", "{'shortcut': 'A'}", "multiply_adds"] == "3.6e9"  # Table 1
    assert printed["resnet1202", "{}", "parameters"] == "19.4M"  # Table 6
    assert printed["preact_resnet1001", "{}", "parameters"] == "10.2M"  # Table 4
    assert printed["efficientnet_b0", "{}", "multiply_adds"] == "0.39B"  # Table 2


WITH_OPTIONS = {
    f"{one.network}-{json.dumps(dict(one.options))}": one
    for one in [*load(), *sizes()]
    if one.options
}


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_a_row_with_options_is_of_another_network_that_can_be_built(name: str) -> None:
    one = WITH_OPTIONS[name]
    own = networks()[one.network].options
    assert set(one.options) <= set(own)
    assert {**own, **one.options} != own
    # Depth takes time only: 3n + 2, 6n + 2 and 9n + 2 layers are 20.
    deep = one.network in ("preact_resnet110", "preact_resnet164", "preact_resnet1001")
    built(one.network, {**one.options, "depth": 20} if deep else one.options)
