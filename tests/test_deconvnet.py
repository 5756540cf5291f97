"""The deconvnet is the paper's: unpooling by switches, rectification, transposed filters, no normalization."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from topfive.inspect.deconvnet import Deconvnet, strongest, window
from topfive.inspect.fields import Axis, Field
from topfive.layers import LocalResponseNorm
from topfive.models.zfnet import ZFNet
from topfive.problems import Problem

SIDE = 76  # odd everywhere: a column is padded, pooling rounds up, conv2 leaves a column over


@pytest.fixture(scope="module")
def zfnet() -> ZFNet:
    torch.manual_seed(0)
    # A strong normalization, so that to leave it out on the way down makes a difference.
    net = ZFNet(64, maps=(12, 8, 8), fc=8, lrn_alpha=0.1, num_classes=3)
    return net.double().eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    torch.manual_seed(1)
    return 60 * torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64)


def one(features: torch.Tensor, *unit: int) -> torch.Tensor:
    kept = torch.zeros_like(features)
    kept[unit] = 1
    return kept


def unpooled(signal, switches, shape):
    """Every value where its maximum was; added where two windows had the same."""
    laid = torch.zeros(*shape[:2], shape[2] * shape[3], dtype=signal.dtype)
    return laid.scatter_add(2, switches.flatten(2), signal.flatten(2)).view(shape)


def test_a_unit_of_zfnet_is_projected_as_section_2_1_says(zfnet, images) -> None:
    def pooled(x):
        return F.max_pool2d(x, 3, 2, ceil_mode=True, return_indices=True)

    # The way up, layer by layer: the rounded-up conv1 pads a row and a column where it must.
    odd = (SIDE - 7) % 2
    maps1 = F.relu(zfnet.conv1(F.pad(images, (0, odd, 0, odd))))
    small1, switches1 = pooled(maps1)
    maps2 = F.relu(zfnet.conv2(zfnet.norm1(small1)))
    small2, switches2 = pooled(maps2)
    maps3 = F.relu(zfnet.conv3(zfnet.norm2(small2)))

    number, row, column = np.unravel_index(int(maps3[1].argmax()), maps3.shape[1:])
    unit = (1, int(number), int(row), int(column))
    assert maps3[unit] > 0
    # And down.
    signal = maps3 * one(maps3, *unit)
    signal = F.conv_transpose2d(signal, zfnet.conv3.weight, padding=1)
    signal = F.relu(unpooled(signal, switches2, maps2.shape))
    left = small1.shape[2] - ((maps2.shape[2] - 1) * 2 + 5)  # what conv2 has no window for
    signal = F.conv_transpose2d(signal, zfnet.conv2.weight, stride=2, output_padding=left)
    signal = F.relu(unpooled(signal, switches1, maps1.shape))
    whole = F.conv_transpose2d(signal, zfnet.conv1.weight, stride=2)
    expected = whole[..., :SIDE, :SIDE].detach()

    deconvnet = Deconvnet(zfnet, images, "conv3")
    assert torch.allclose(deconvnet.features, maps3, rtol=1e-12)
    found = deconvnet.project(one(deconvnet.features, *unit))
    assert float(expected.abs().max()) > 0
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12 * float(expected.abs().max()))
    assert not found[0].any()  # the other image has no part in it


def test_without_normalization_it_is_captums_deconvolution() -> None:
    captum = pytest.importorskip("captum.attr", reason="needs the extra notebooks")
    torch.manual_seed(2)
    layers = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 3), nn.ReLU()]
    net = nn.Sequential(*layers).double().eval()
    images = torch.randn(1, 3, 14, 14, dtype=torch.float64)
    deconvnet = Deconvnet(net, images, "3")
    strength, place = deconvnet.features[0, 1].flatten().max(0)
    unit = (1, int(place) // 4, int(place) % 4)
    ours = deconvnet.project(one(deconvnet.features, 0, *unit))
    with pytest.warns(UserWarning, match="backward hooks"):
        theirs = captum.Deconvolution(net).attribute(images.clone().requires_grad_(), target=unit)
    assert float(strength) > 0
    assert torch.allclose(ours, theirs * strength, rtol=1e-12)


def test_the_network_computes_what_it_did_and_is_left_as_it_was(zfnet, images) -> None:
    with torch.no_grad():
        before = zfnet(images)
    seen = {}
    handle = zfnet.norm1.register_forward_hook(lambda m, given, out: seen.update(out=out))
    with torch.no_grad():
        zfnet.class_map(images)
    handle.remove()
    deconvnet = Deconvnet(zfnet, images, "norm1")
    assert torch.equal(deconvnet.features, seen["out"])
    assert not any(module._forward_hooks for module in zfnet.modules())
    assert all(p.grad is None for p in zfnet.parameters())
    with torch.no_grad():
        assert torch.equal(zfnet(images), before)


def test_what_lies_above_the_layer_is_not_run(zfnet, images) -> None:
    small = images[:, :, :31, :31]
    with pytest.raises((RuntimeError, Problem)):
        zfnet(small)
    assert Deconvnet(zfnet, small, "conv2").features.shape == (2, 256, 1, 1)


def test_a_layer_that_is_not_there_or_not_reached_is_named(zfnet, images) -> None:
    with pytest.raises(Problem, match=r"no layer 'conv9': the network has conv1, pool1, norm1"):
        Deconvnet(zfnet, images, "conv9")
    idle = nn.Sequential(nn.Identity())
    idle.spare = nn.Identity()
    idle.forward = lambda x: x
    with pytest.raises(Problem, match=r"does not call its layer 'spare'"):
        Deconvnet(idle, images, "spare")


def test_a_projection_ends_where_the_receptive_field_does(zfnet, images) -> None:
    # pool1 then conv2, by hand: 7 + 2 x 2 = 11 pixels every 4, then 11 + 4 x 4 = 27 every 8.
    field = Field(Axis(7, 0, 27, 8), Axis(7, 0, 27, 8))
    assert window(field, 1, 3) == (slice(8, 35), slice(24, 51))
    deconvnet = Deconvnet(zfnet, images, "conv2")
    map_ = int(deconvnet.features[0, :, 1, 3].argmax())
    pixels = deconvnet.project(one(deconvnet.features, 0, map_, 1, 3))
    inside = torch.zeros_like(pixels)
    inside[(0, slice(None), *window(field, 1, 3))] = 1
    assert pixels.any()
    assert not (pixels * (1 - inside)).any()


def test_the_strongest_units_are_inside_apart_and_in_order() -> None:
    # Units see 3 pixels, one pixel apart, the first from pixel -1: a 6 x 6 image has 6 of them a side.
    field = Field(Axis(6, -1, 3, 1), Axis(6, -1, 3, 1))
    features = torch.zeros(2, 6, 6)
    features[0, 0, 0] = 9  # sees pixel -1: left out
    features[0, 1, 1] = 5
    features[0, 2, 3] = 4  # shares pixels with the former
    features[0, 2, 4] = 3  # begins at column 3, where that ends
    features[1, 2, 2] = 8  # another image
    expected = [(1, 2, 2), (0, 1, 1), (0, 2, 4)]
    assert strongest(features, field, (6, 6), 9) == expected
    assert strongest(features, field, (6, 6), 2) == expected[:2]
    assert strongest(features, field, (6, 5), 9) == expected[:2]  # a narrower image


def test_normalization_is_left_out_on_the_way_down_only() -> None:
    images = torch.full((1, 5, 2, 2), 2.0, dtype=torch.float64)
    deconvnet = Deconvnet(nn.Sequential(LocalResponseNorm(5, 1.0, 1.0, 1.0)), images, "0")
    # 2 / (1 + sum of the window's squares / 5): of three, four and five maps.
    by_hand = torch.tensor([2 / 3.4, 2 / 4.2, 2 / 5, 2 / 4.2, 2 / 3.4], dtype=torch.float64)
    assert torch.allclose(deconvnet.features[0, :, 0, 0], by_hand, rtol=1e-12)
    assert torch.equal(deconvnet.project(torch.ones(1)), deconvnet.features)
