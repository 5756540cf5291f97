import inspect
import math

import pytest
import torch
import yaml
from measure import measured, on_meta, parameters
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from topfive.config import CONF
from topfive.layers import Dropout
from topfive.models.nin import CifarNiN, NiN
from topfive.problems import Problem

# The authors' cuda-convnet file for CIFAR-10, by hand: maps, height and width, parameters, multiply-adds
CIFAR10 = {
    "conv1": ((192, 32, 32), 14_592, 14_745_600),
    "cccp1": ((160, 32, 32), 30_880, 31_457_280),
    "cccp2": ((96, 32, 32), 15_456, 15_728_640),
    "pool1": ((96, 16, 16), 0, 0),
    "dropout1": ((96, 16, 16), 0, 0),
    "conv2": ((192, 16, 16), 460_992, 117_964_800),
    "cccp3": ((192, 16, 16), 37_056, 9_437_184),
    "cccp4": ((192, 16, 16), 37_056, 9_437_184),
    "pool2": ((192, 8, 8), 0, 0),
    "dropout2": ((192, 8, 8), 0, 0),
    "conv3": ((192, 8, 8), 331_968, 21_233_664),
    "cccp5": ((192, 8, 8), 37_056, 2_359_296),
    "cccp6": ((10, 8, 8), 1_930, 122_880),
}


def test_every_layer_of_the_cifar_net_has_the_size_of_the_authors_file():
    net = on_meta(CifarNiN)
    # in the order of the calls, each once
    assert list(measured(net, 32).shapes.items()) == [(n, row[0]) for n, row in CIFAR10.items()]
    assert {n: parameters(m) for n, m in net.named_children()} == {
        name: row[1] for name, row in CIFAR10.items()
    }
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, 32, 32, device="meta"))
    found = {n: sum(f.values()) // 2 for n, f in counter.get_flop_counts().items()}
    assert {n: found.get(f"CifarNiN.{n}", 0) for n in CIFAR10} == {
        name: row[2] for name, row in CIFAR10.items()
    }


# The authors' files, by hand from the layers
@pytest.mark.parametrize(
    ("net", "size", "channels", "classes", "params", "macs"),
    [
        ("cifar", 32, 3, 10, 966_986, 222_486_528),
        ("cifar", 32, 3, 100, 984_356, 223_592_448),
        ("mnist", 28, 1, 10, 349_674, 50_699_712),
        ("svhn", 32, 3, 10, 1_986_026, 274_235_392),
    ],
)
def test_the_nets_have_the_size_of_the_authors_files(net, size, channels, classes, params, macs):
    found = measured(on_meta(CifarNiN, net, num_classes=classes), size, channels)
    assert (found.parameters, found.multiply_adds) == (params, macs)
    assert found.shapes["cccp6"] == (classes, size // 4, size // 4)


def test_the_mnist_net_has_the_shapes_of_the_authors_file():
    found = measured(on_meta(CifarNiN, "mnist"), 28, channels=1).shapes
    assert [found[f"conv{k}"] for k in (1, 2, 3)] == [(96, 28, 28), (128, 14, 14), (128, 7, 7)]
    assert [found[f"cccp{k}"][0] for k in range(1, 7)] == [64, 48, 96, 48, 96, 10]
    assert [found["pool1"], found["pool2"]] == [(48, 14, 14), (48, 7, 7)]


def test_the_svhn_net_has_the_shapes_of_the_authors_file():
    found = measured(on_meta(CifarNiN, "svhn"), 32).shapes
    assert [found[f"conv{k}"] for k in (1, 2, 3)] == [(128, 32, 32), (320, 16, 16), (384, 8, 8)]
    assert [found[f"cccp{k}"][0] for k in range(1, 7)] == [96, 64, 256, 128, 256, 10]
    assert [found["pool1"], found["pool2"]] == [(64, 16, 16), (128, 8, 8)]


@pytest.mark.parametrize(("net", "size", "channels"), [("cifar", 32, 3), ("mnist", 28, 1)])
def test_a_fully_connected_head_adds_its_weights_and_sees_all_of_the_class_maps(
    net, size, channels
):
    plain = measured(on_meta(CifarNiN, net), size, channels)
    found = measured(on_meta(CifarNiN, net, head="fc", input_size=size), size, channels)
    assert list(found.shapes)[-3:] == ["cccp6", "dropout3", "fc"]
    assert found.shapes["fc"] == (10, 1, 1)
    seen = 10 * (size // 4) ** 2
    assert found.parameters == plain.parameters + (seen + 1) * 10
    assert found.multiply_adds == plain.multiply_adds + seen * 10


# The Caffe release, by hand: maps, height and width, parameters
IMAGENET = {
    "conv1": ((96, 54, 54), (3 * 11 * 11 + 1) * 96),
    "cccp1": ((96, 54, 54), (96 + 1) * 96),
    "cccp2": ((96, 54, 54), (96 + 1) * 96),
    "pool1": ((96, 27, 27), 0),
    "conv2": ((256, 27, 27), (96 * 5 * 5 + 1) * 256),
    "cccp3": ((256, 27, 27), (256 + 1) * 256),
    "cccp4": ((256, 27, 27), (256 + 1) * 256),
    "pool2": ((256, 13, 13), 0),
    "conv3": ((384, 13, 13), (256 * 3 * 3 + 1) * 384),
    "cccp5": ((384, 13, 13), (384 + 1) * 384),
    "cccp6": ((384, 13, 13), (384 + 1) * 384),
    "pool3": ((384, 6, 6), 0),
    "dropout3": ((384, 6, 6), 0),
    "conv4": ((1024, 6, 6), (384 * 3 * 3 + 1) * 1024),
    "cccp7": ((1024, 6, 6), (1024 + 1) * 1024),
    "cccp8": ((1000, 6, 6), (1024 + 1) * 1000),
}


def test_every_layer_of_the_imagenet_net_has_the_size_of_the_release():
    net = on_meta(NiN)
    found = measured(net, 224)
    assert list(found.shapes.items()) == [(name, row[0]) for name, row in IMAGENET.items()]
    assert {n: parameters(m) for n, m in net.named_children()} == {
        name: row[1] for name, row in IMAGENET.items()
    }
    assert (found.parameters, found.multiply_adds) == (7_595_176, 1_100_188_800)


def randomized(kind, *arguments, **options):
    """In float64, in evaluation, with values that keep the signal's size and tell layers apart."""
    torch.manual_seed(0)
    net = on_meta(kind, *arguments, **options).double().to_empty(device="cpu").eval()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.normal_(layer.bias, std=0.1)
    return net


def pooled(x, kind):
    """3x3 windows at every second pixel; those at the edge hold what there is (sizes rounded up)."""
    rows, columns = (math.ceil((n - 3) / 2) + 1 for n in x.shape[2:])
    reduce = torch.amax if kind == "max" else torch.mean
    return torch.stack(
        [
            torch.stack(
                [
                    reduce(x[..., 2 * i : 2 * i + 3, 2 * j : 2 * j + 3], (-2, -1))
                    for j in range(columns)
                ],
                -1,
            )
            for i in range(rows)
        ],
        -2,
    )


def conv(state, name, x, stride=1, padding=None):
    """A convolution with the tensors `name`, padded to keep the size."""
    weight = state[f"{name}.weight"]
    padding = weight.shape[-1] // 2 if padding is None else padding
    return F.conv2d(x, weight, state[f"{name}.bias"], stride, padding)


def cifar_class_map(state, x, pool2="max", kept=0.5):
    """The authors' cuda-convnet file, line by line; `kept`: by what dropout scales in evaluation."""
    for name in ("conv1", "cccp1", "cccp2"):
        x = conv(state, name, x).clamp(min=0)
    x = pooled(x, "max") * kept
    for name in ("conv2", "cccp3", "cccp4"):
        x = conv(state, name, x).clamp(min=0)
    x = pooled(x, pool2) * kept
    for name in ("conv3", "cccp5"):
        x = conv(state, name, x).clamp(min=0)
    return conv(state, "cccp6", x)


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({}, {}),
        ({"net": "svhn"}, {}),
        ({"net": "mnist"}, {}),
        ({"pool2": "average"}, {"pool2": "mean"}),
        ({"dropout": 0.2}, {"kept": 0.8}),
        ({"inverted_dropout": True}, {"kept": 1.0}),
    ],
)
def test_the_cifar_nets_class_maps_equal_the_authors_file_written_out(options, written):
    net = randomized(CifarNiN, **options)
    x = torch.randn(2, net.conv1.in_channels, 18, 23, dtype=torch.float64)  # pools 9 x 11, 4 x 5
    with torch.no_grad():
        maps = cifar_class_map(net.state_dict(), x, **written)
        assert maps.shape == (2, 10, 4, 5)
        assert (maps < 0).any()
        assert maps.clamp(min=0).std(0).amax((1, 2)).max() > 1e-3
        torch.testing.assert_close(net.class_map(x), maps.clamp(min=0), rtol=1e-10, atol=1e-10)
        expected = maps.clamp(min=0).flatten(2).sum(2) / 20
        torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-10)
        net.class_relu = False
        torch.testing.assert_close(net.class_map(x), maps, rtol=1e-10, atol=1e-10)


def test_a_fully_connected_head_multiplies_the_rectified_class_maps():
    net = randomized(CifarNiN, head="fc", dropout_fc=0.25, input_size=16)
    state = net.state_dict()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        maps = cifar_class_map(state, x).clamp(min=0) * 0.75
        expected = torch.einsum("nchw,kchw->nk", maps, state["fc.weight"].view(10, 10, 4, 4))
        expected = expected + state["fc.bias"]
        torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-10)


def test_the_imagenet_nets_class_maps_equal_the_release_written_out():
    net = randomized(NiN, num_classes=20)
    state = net.state_dict()
    x = first = torch.randn(2, 3, 99, 92, dtype=torch.float64)
    with torch.no_grad():
        x = conv(state, "conv1", x, stride=4, padding=0).clamp(min=0)
        for name in ("cccp1", "cccp2", "pool", "conv2", "cccp3", "cccp4", "pool"):
            x = pooled(x, "max") if name == "pool" else conv(state, name, x).clamp(min=0)
        for name in ("conv3", "cccp5", "cccp6", "pool", "conv4", "cccp7"):
            x = pooled(x, "max") if name == "pool" else conv(state, name, x).clamp(min=0)
        x = conv(state, "cccp8", x)
        assert (x < 0).any()
        assert x.clamp(min=0).std(0).max() > 1e-3
        torch.testing.assert_close(net.class_map(first), x.clamp(min=0), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(
            net(first), x.clamp(min=0).mean(3).mean(2), rtol=1e-10, atol=1e-10
        )
        net.class_relu = False
        torch.testing.assert_close(net.class_map(first), x, rtol=1e-10, atol=1e-10)


def test_class_relu_is_what_the_constructor_says():
    assert on_meta(CifarNiN).class_relu
    assert on_meta(NiN).class_relu
    assert not on_meta(CifarNiN, class_relu=False).class_relu
    assert not on_meta(NiN, class_relu=False).class_relu


def test_the_last_average_of_pool2_is_over_the_pixels_that_there_are():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    averages = on_meta(CifarNiN, pool2="average").pool2(ramp)[0, 0, 0]
    # pixels 0..2, 2..4, ..., 12..14, and 14..15
    assert averages.tolist() == [1, 3, 5, 7, 9, 11, 13, 14.5]
    largest = on_meta(CifarNiN).pool2(ramp)[0, 0, 0]
    assert largest.tolist() == [2, 4, 6, 8, 10, 12, 14, 15]


def test_dropout_is_the_authors_and_caffes():
    """cuda-convnet's scales in evaluation, Caffe's in training."""
    net, release = on_meta(CifarNiN, head="fc", dropout_fc=0.25), on_meta(NiN)
    assert [(d.p, d.inverted) for d in (net.dropout1, net.dropout2, net.dropout3)] == [
        (0.5, False),
        (0.5, False),
        (0.25, False),
    ]
    assert (release.dropout3.p, release.dropout3.inverted) == (0.5, True)
    assert on_meta(NiN, dropout=0.1, inverted_dropout=False).dropout3.p == 0.1
    assert not on_meta(NiN, inverted_dropout=False).dropout3.inverted


def test_no_two_layers_share_a_stream_of_dropout_masks():
    names = [m.name for m in on_meta(CifarNiN, head="fc").modules() if isinstance(m, Dropout)]
    assert len(set(names)) == len(names) == 3


@pytest.mark.parametrize(
    ("kind", "options", "size"),
    [
        (CifarNiN, {}, (3, 8, 8)),
        (CifarNiN, {"net": "mnist", "class_relu": False}, (1, 8, 8)),
        (CifarNiN, {"head": "fc", "dropout_fc": 0.5, "input_size": 16}, (3, 16, 16)),
        (NiN, {"num_classes": 20}, (3, 67, 67)),
    ],
)
def test_gradients_reach_every_parameter(kind, options, size):
    net = randomized(kind, **options).train()
    net(torch.randn(4, *size, dtype=torch.float64)).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("kind", "options", "size", "expected"),
    [
        (CifarNiN, {}, (40, 48), (10, 10, 12)),
        (CifarNiN, {"head": "fc"}, (40, 48), (10, 3, 5)),  # windows of 8 x 8 on 10 x 12
        (NiN, {}, (256, 320), (1000, 7, 9)),  # 62, 31, 15, 7 and 78, 39, 19, 9
    ],
)
def test_a_larger_image_gives_a_larger_class_map(kind, options, size, expected):
    net = on_meta(kind, **options)
    x = torch.empty(2, 3, *size, device="meta")
    assert net.class_map(x).shape == (2, *expected)
    assert net(x).shape == (2, expected[0])


def test_an_image_too_small_for_the_fully_connected_head_is_refused():
    with pytest.raises(Problem, match="4 x 4 is left of it where 8 x 8 is needed"):
        on_meta(CifarNiN, head="fc")(torch.empty(1, 3, 16, 16, device="meta"))


@pytest.mark.parametrize(
    ("kind", "size", "classes"), [(CifarNiN, (16, 20), 10), (NiN, (99, 92), 20)]
)
def test_channels_last_survives(kind, size, classes):
    net = on_meta(kind, num_classes=classes).to_empty(device="cpu").eval()
    net.to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, *size).to(memory_format=torch.channels_last)
    with torch.no_grad():
        assert net.class_map(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"net": "cifar100"}, "net is cifar, mnist, svhn,.*not net='cifar100'"),
        ({"pool2": "avg"}, "pool2 is max or average,.*pool2='avg'"),
        ({"head": "global"}, "head is average or fc,.*head='global'"),
    ],
)
def test_an_unknown_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CifarNiN(**options)


@pytest.mark.parametrize(("name", "kind"), [("nin_cifar", CifarNiN), ("nin_imagenet", NiN)])
def test_a_file_of_conf_spells_out_the_defaults(name, kind):
    model = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text())["model"]
    assert model.pop("_target_") == f"topfive.models.nin.{kind.__name__}"
    defaults = {n: p.default for n, p in inspect.signature(kind).parameters.items()}
    del defaults["num_classes"]
    if kind is CifarNiN:
        defaults["input_size"] = "${recipe.crop.size}"
    assert model == defaults
