import pytest
import torch
import torchvision
from measure import measured, on_meta, parameters
from torch import nn
from torch.nn import functional as F

from topfive.layers import Dropout, FullyConnected, LocalResponseNorm
from topfive.models.vgg import VGG
from topfive.problems import Problem

HEAD = 102_764_544 + 16_781_312 + 4_097_000  # fc6, fc7, fc8

# Table 2 rounds the parameters to 133, 133, 133, 134, 138 and 144 million; by hand from Table 1
SIZES = [
    ("A", False, 132_863_336, 7_609_090_048),
    ("A", True, 132_863_336, 7_609_090_048),
    ("B", False, 133_047_848, 11_308_466_176),
    ("C", False, 133_638_952, 11_770_888_192),
    ("D", False, 138_357_544, 15_470_264_320),
    ("E", False, 143_667_240, 19_632_062_464),
]


@pytest.mark.parametrize(("configuration", "lrn", "params", "macs"), SIZES)
def test_a_configuration_has_the_size_of_tables_1_and_2(configuration, lrn, params, macs):
    found = measured(on_meta(VGG, configuration, lrn=lrn), 224)
    assert found.parameters == params
    assert found.multiply_adds == macs


@pytest.mark.parametrize(("configuration", "convolutions"), [("D", 14_714_688), ("E", 20_024_384)])
def test_the_three_fully_connected_layers_hold_most_parameters(configuration, convolutions):
    assert parameters(on_meta(VGG, configuration)) == convolutions + HEAD


def test_b_with_a_5x5_for_each_pair_has_134_503_528_parameters():
    net = on_meta(VGG, "B", pairs="5x5")  # section 4.1
    assert parameters(net) == 134_503_528
    kernels = [m.kernel_size for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [(5, 5)] * 5
    assert measured(net, 224).shapes["pool5"] == (512, 7, 7)


# Table 1: the number of layers with weights
@pytest.mark.parametrize(
    ("configuration", "depth"), [("A", 11), ("B", 13), ("C", 16), ("D", 16), ("E", 19)]
)
def test_a_configuration_has_as_many_layers_as_table_1_says(configuration, depth):
    net = on_meta(VGG, configuration)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in net.modules()) == depth


def test_the_children_of_c_are_the_rows_of_table_1():
    found = measured(on_meta(VGG, "C"), 224).shapes
    assert list(found.items()) == [
        ("conv1_1", (64, 224, 224)),
        ("conv1_2", (64, 224, 224)),
        ("pool1", (64, 112, 112)),
        ("conv2_1", (128, 112, 112)),
        ("conv2_2", (128, 112, 112)),
        ("pool2", (128, 56, 56)),
        ("conv3_1", (256, 56, 56)),
        ("conv3_2", (256, 56, 56)),
        ("conv3_3", (256, 56, 56)),
        ("pool3", (256, 28, 28)),
        ("conv4_1", (512, 28, 28)),
        ("conv4_2", (512, 28, 28)),
        ("conv4_3", (512, 28, 28)),
        ("pool4", (512, 14, 14)),
        ("conv5_1", (512, 14, 14)),
        ("conv5_2", (512, 14, 14)),
        ("conv5_3", (512, 14, 14)),
        ("pool5", (512, 7, 7)),
        ("fc6", (4096, 1, 1)),
        ("dropout6", (4096, 1, 1)),
        ("fc7", (4096, 1, 1)),
        ("dropout7", (4096, 1, 1)),
        ("fc8", (1000, 1, 1)),
    ]


def test_the_1x1_convolutions_of_c_end_blocks_3_4_and_5():
    net = on_meta(VGG, "C")
    ones = [n for n, m in net.named_children() if getattr(m, "kernel_size", None) == (1, 1)]
    assert ones == ["conv3_3", "conv4_3", "conv5_3"]


# Section 3.2, 1 + (Q - 224) / 32
@pytest.mark.parametrize(
    ("side", "places"), [(224, 1), (256, 2), (288, 3), (352, 5), (384, 6), (416, 7), (512, 10)]
)
def test_the_class_map_of_a_square_image_has_a_place_every_32_pixels(side, places):
    net = on_meta(VGG, "A")
    x = torch.empty(1, 3, side, side, device="meta")
    assert net.class_map(x).shape == (1, 1000, places, places)
    assert net(x).shape == (1, 1000)


# 341: 171, 86, 43, 22, 11 rounded up; 170, 85, 42, 21, 10 down. 500: 250, 125, 63, 32, 16; .., 62, 31, 15.
@pytest.mark.parametrize(("rounding", "places"), [("up", (10, 5)), ("down", (9, 4))])
def test_an_odd_side_is_rounded_as_asked(rounding, places):
    net = on_meta(VGG, "A", pool_rounding=rounding)
    x = torch.empty(1, 3, 500, 341, device="meta")
    assert net.class_map(x).shape == (1, 1000, *places)


# 100: 50, 25, 13, 7, 4 rounded up; 50, 25, 12, 6, 3 down
@pytest.mark.parametrize(
    ("side", "rounding", "window"),
    [(224, "up", 7), (32, "up", 1), (100, "up", 4), (100, "down", 3)],
)
def test_the_window_of_fc6_is_what_the_input_size_leaves(side, rounding, window):
    net = on_meta(VGG, "D", pool_rounding=rounding, input_size=side)
    assert net.fc6.in_features == 512 * window**2
    assert net.class_map(torch.empty(1, 3, side, side, device="meta")).shape == (1, 1000, 1, 1)


def test_an_image_below_the_input_size_is_refused():
    with pytest.raises(Problem, match=r"too small for this network: 6 x 7 .* recipe\.crop\.size"):
        on_meta(VGG, "A")(torch.empty(1, 3, 192, 224, device="meta"))


def narrow(configuration, units=32, **options):
    """For 64 x 64 pixels in float64, with `units` in fc6 and fc7, weights that tell every layer apart."""
    net = on_meta(VGG, configuration, input_size=64, num_classes=5, **options)
    with torch.device("meta"):
        net.fc6, net.fc7 = FullyConnected(512, units, 2), FullyConnected(units, units)
        net.fc8 = FullyConnected(units, 5)
    net.double().to_empty(device="cpu")
    torch.manual_seed(0)
    for parameter in net.parameters():
        fan = parameter[0].numel() if parameter.dim() > 1 else 100
        nn.init.uniform_(parameter, -((6 / fan) ** 0.5), (6 / fan) ** 0.5)
    return net.eval()


def torchvisions(net, name):
    """Torchvision's net with our weights, its classifier as narrow as ours."""
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(init_weights=False)
        theirs.avgpool = nn.Identity()
        for index, layer in ((0, net.fc6), (3, net.fc7), (6, net.fc8)):
            theirs.classifier[index] = nn.Linear(layer.in_features, layer.out_features)
    # Both list their tensors in the order of the layers.
    values = net.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)), assign=True)
    return theirs.eval()


@pytest.mark.parametrize(
    ("configuration", "name"), [("A", "vgg11"), ("B", "vgg13"), ("D", "vgg16"), ("E", "vgg19")]
)
def test_scores_equal_torchvisions_with_the_same_weights(configuration, name):
    net = narrow(configuration)
    theirs = torchvisions(net, name)
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x)
        assert expected.std(0).min() > 0
        torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-10)


# What torchvision lacks, layer by layer.
A_LRN = (
    "conv1_1 lrn pool conv2_1 pool conv3_1 conv3_2 pool conv4_1 conv4_2 pool conv5_1 conv5_2 pool"
)
C = (
    "conv1_1 conv1_2 pool conv2_1 conv2_2 pool conv3_1 conv3_2 conv3_3 pool "
    "conv4_1 conv4_2 conv4_3 pool conv5_1 conv5_2 conv5_3 pool"
)
SHALLOW_B = "conv1_1 pool conv2_1 pool conv3_1 pool conv4_1 pool conv5_1 pool"


@pytest.mark.parametrize(
    ("configuration", "options", "rows"),
    [("A", {"lrn": True}, A_LRN), ("C", {}, C), ("B", {"pairs": "5x5"}, SHALLOW_B)],
    ids=["A-LRN", "C", "5x5"],
)
def test_scores_equal_those_of_the_layers_one_after_another(configuration, options, rows):
    net = narrow(configuration, **options)
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64) * 50
    weights = dict(net.named_parameters())
    with torch.no_grad():
        y = x
        for row in rows.split():
            if row == "pool":
                y = F.max_pool2d(y, 2)
            elif row == "lrn":  # section 2.1: the parameters of Krizhevsky et al. 2012
                squares = F.pad(y.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
                y = y / (2 + 1e-4 / 5 * squares) ** 0.75
            else:
                kernel = weights[f"{row}.weight"]
                y = F.conv2d(y, kernel, weights[f"{row}.bias"], padding=kernel.shape[-1] // 2)
                y = F.relu(y)
        y = y.flatten(1)
        for row in ("fc6", "fc7"):
            y = F.relu(F.linear(y, weights[f"{row}.weight"], weights[f"{row}.bias"]))
        expected = F.linear(y, weights["fc8.weight"], weights["fc8.bias"])
        assert expected.std(0).min() > 0
        torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-10)


def test_only_a_lrn_normalizes_and_that_after_the_relu_of_conv1_1():
    plain, normalized = on_meta(VGG, "A"), on_meta(VGG, "A", lrn=True)
    assert not any(isinstance(m, LocalResponseNorm) for m in plain.modules())
    names = [n for n, _ in normalized.named_children()]
    assert names[:3] == ["conv1_1", "norm1_1", "pool1"]
    names.remove("norm1_1")
    assert names == [n for n, _ in plain.named_children()]


def test_scores_are_the_mean_of_the_class_map():
    net = narrow("A")
    x = torch.randn(2, 3, 96, 128, dtype=torch.float64)
    with torch.no_grad():
        places = net.class_map(x)
        assert places.shape == (2, 5, 2, 3)
        assert places.std((2, 3)).min() > 0
        torch.testing.assert_close(net(x), places.flatten(2).sum(2) / 6, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("inverted", [True, False])
def test_dropout_of_one_half_is_on_fc6_and_fc7_under_names_of_their_own(inverted):
    net = on_meta(VGG, "D", inverted_dropout=inverted)
    dropouts = {n: m for n, m in net.named_children() if isinstance(m, Dropout)}
    assert list(dropouts) == ["dropout6", "dropout7"]
    assert [m.p for m in dropouts.values()] == [0.5, 0.5]  # section 3.1
    assert [m.inverted for m in dropouts.values()] == [inverted, inverted]
    assert len({m.name for m in dropouts.values()}) == 2


@pytest.mark.parametrize(
    ("configuration", "options"), [("A", {"lrn": True}), ("C", {}), ("B", {"pairs": "5x5"})]
)
def test_gradients_reach_every_parameter(configuration, options):
    net = narrow(configuration, 128, **options).train()
    net(torch.randn(1, 3, 64, 64, dtype=torch.float64)).square().sum().backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_maps_stay_channels_last_until_the_class_map():
    net = narrow("B").to(memory_format=torch.channels_last)
    layouts = []
    for name in ("pool1", "pool3", "conv5_2", "pool5"):
        net.get_submodule(name).register_forward_hook(
            lambda module, inputs, output: layouts.append(
                output.is_contiguous(memory_format=torch.channels_last)
            )
        )
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        net(x.to(memory_format=torch.channels_last))
    assert layouts == [True] * 4


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VGG("F"), "configurations A, B, C, D, E, not 'F'"),
        (lambda: VGG("A-LRN"), "configurations A, B, C, D, E, not 'A-LRN'"),
        (lambda: VGG("B", pairs="7x7"), "pairs is 3x3 or 5x5 .*pairs='7x7'"),
        (lambda: VGG("D", pool_rounding="ceil"), "pool_rounding is up or down.*'ceil'"),
        (lambda: VGG("D", pairs="5x5"), "made of B's pairs .*not of D"),
        (lambda: VGG("A", pool_rounding="down", input_size=16), "input_size=16 .* 32 at least"),
    ],
)
def test_a_net_that_the_paper_does_not_have_is_refused(build, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build()
