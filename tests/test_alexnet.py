from inspect import signature

import pytest
import torch
from measure import measured, multiply_adds, on_meta, parameters
from torch import nn
from torch.nn import functional as F

from topfive.config import compose
from topfive.layers import Dropout, LocalResponseNorm
from topfive.models.alexnet import AlexNet

HALF = (48, 128, 192, 192, 256)  # the one-GPU net
STAR = (96, 256, 384, 384, 256, 256)  # CNN*
RUN_150 = {"maps": (96, 320, 384, 384, 256), "fc": 8192, "linked": False}
CAFFE = {"lrn_k": 1.0, "lrn_crosses": True, "order": "pool_norm", "inverted_dropout": True}
CODE = {"order": "code", "within_map": True}


def small(**options):
    """Few maps on 97 x 97: conv1 23 x 23 (zeros to 99), then 11, 5 and, before fc6, 2."""
    torch.manual_seed(0)
    sizes = {"input_size": 97, "maps": (8, 12, 16, 20, 8), "fc": 10, "num_classes": 3}
    return AlexNet(**(sizes | options))


def test_every_layer_has_the_parameters_of_the_two_gpu_net():
    net = on_meta(AlexNet)
    # Krizhevsky et al. 2012, section 3.5 and Fig. 2, by hand: (inputs seen x kernel + 1) x maps
    assert {n: parameters(m) for n, m in net.named_children() if parameters(m)} == {
        "conv1": (3 * 11 * 11 + 1) * 96,
        "conv2": (48 * 5 * 5 + 1) * 256,
        "conv3": (256 * 3 * 3 + 1) * 384,
        "conv4": (192 * 3 * 3 + 1) * 384,
        "conv5": (192 * 3 * 3 + 1) * 256,
        "fc6": (9216 + 1) * 4096,
        "fc7": (4096 + 1) * 4096,
        "fc8": (4096 + 1) * 1000,
    }
    assert parameters(net) == 60_965_224


@pytest.mark.parametrize("options", [{}, {"input_size": 227, **CAFFE}])
def test_every_layer_has_the_multiply_adds_of_the_two_gpu_net(options):
    found = multiply_adds(on_meta(AlexNet, **options))
    expected = {
        "conv1": 105_415_200,
        "conv2": 223_948_800,
        "conv3": 149_520_384,
        "conv4": 112_140_288,
        "conv5": 74_760_192,
        "fc6": 37_748_736,
        "fc7": 16_777_216,
        "fc8": 4_096_000,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["Global"] == 724_406_816


# CNN*: conv6 has (256 x 9 + 1) x 256 parameters at 36 positions. The half net: no layer sees another
# half. Zeiler and Fergus (arXiv:1311.2901), Table 3: the rest; without fc6 and fc7 fc8 sees 9,216.
@pytest.mark.parametrize(
    ("options", "params", "macs"),
    [
        ({"groups": 1}, 62_378_344, 1_135_256_096),
        ({"maps": STAR}, 61_555_304, 745_640_480),
        ({"maps": HALF, "groups": 1}, 59_798_312, None),
        ({"without": ["conv3", "conv4"]}, 59_268_712, None),
        ({"without": ["fc7"]}, 44_183_912, None),
        ({"without": ["fc6", "fc7"]}, 11_551_080, None),
        ({"without": ["conv3", "conv4", "fc6", "fc7"]}, 9_854_568, None),
        # 13 x 13 leaves pool5 7 x 7: fc6 has (256 x 49 + 1) x 4096
        ({"without": ["conv4"], "overlapping": False}, 73_932_776, None),
        ({"fc": 2048}, 27_455_848, None),
        ({"fc": 8192}, 153_149_800, None),
    ],
)
def test_a_variant_has_its_size(options, params, macs):
    net = on_meta(AlexNet, **options)
    found = measured(net, 224)
    assert found.parameters == params
    assert macs is None or found.multiply_adds == macs
    assert found.shapes["fc8"] == (1000, 1, 1)


def test_no_layer_of_run_150_but_fc8_sees_the_other_gpus_maps():
    net = on_meta(AlexNet, **RUN_150)
    # layers-150.cfg, by hand: two nets of 48, 160, 192, 192, 128 maps, 4096 and 4096 units
    assert {n: parameters(m) for n, m in net.named_children() if parameters(m)} == {
        "conv1": (3 * 11 * 11 + 1) * 96,
        "conv2": (48 * 5 * 5 + 1) * 320,
        "conv3": (160 * 3 * 3 + 1) * 384,
        "conv4": (192 * 3 * 3 + 1) * 384,
        "conv5": (192 * 3 * 3 + 1) * 256,
        "fc6": (128 * 36 + 1) * 8192,
        "fc7": (4096 + 1) * 8192,
        "fc8": (8192 + 1) * 1000,
    }
    assert measured(net, 224).shapes["fc7"] == (8192, 1, 1)


@pytest.mark.parametrize(
    ("size", "options"), [(224, {}), (227, {}), (227, CAFFE), (224, CODE), (224, {"maps": STAR})]
)
def test_the_layers_have_the_output_sizes_of_the_paper(size, options):
    found = measured(on_meta(AlexNet, input_size=size, **options), size).shapes
    assert found["conv1"] == (96, 55, 55)
    assert found["conv2"] == (256, 27, 27)
    assert found["conv3"] == found["conv4"] == (384, 13, 13)
    assert found["conv5"] == (256, 13, 13)
    assert found["pool5"] == (256, 6, 6)
    assert found.get("conv6", (256, 6, 6)) == (256, 6, 6)
    assert found["fc6"] == found["fc7"] == (4096, 1, 1)
    assert found["fc8"] == (1000, 1, 1)
    if options is CAFFE:  # which normalizes 96 x 27 x 27 and 256 x 13 x 13
        assert [found["pool1"], found["norm1"]] == [(96, 27, 27)] * 2
        assert [found["pool2"], found["norm2"]] == [(256, 13, 13)] * 2
    else:
        assert [found["norm1"], found["pool1"]] == [(96, 55, 55), (96, 27, 27)]
        assert [found["norm2"], found["pool2"]] == [(256, 27, 27), (256, 13, 13)]


def test_the_children_are_the_rows_of_the_table_in_order():
    before = ["conv1", "norm1", "pool1", "conv2", "norm2", "pool2"]
    before += ["conv3", "conv4", "conv5", "pool5"]
    after = ["fc6", "dropout6", "fc7", "dropout7", "fc8"]
    assert [n for n, _ in on_meta(AlexNet).named_children()] == before + after
    star = on_meta(AlexNet, maps=STAR)
    assert [n for n, _ in star.named_children()] == [*before, "conv6", *after]
    caffe = [n for n, _ in on_meta(AlexNet, **CAFFE).named_children()]
    assert caffe[:6] == ["conv1", "pool1", "norm1", "conv2", "pool2", "norm2"]
    removed = [n for n, _ in on_meta(AlexNet, without=["conv4", "fc6"]).named_children()]
    assert set(before + after) - set(removed) == {"conv4", "fc6", "dropout6"}


def test_non_overlapping_pooling_keeps_6_x_6():
    net = on_meta(AlexNet, overlapping=False)
    found = measured(net, 224)
    # The code's run 147: conv2 has pad 1, conv4 none
    assert found.shapes["pool1"] == (96, 28, 28)
    assert found.shapes["conv2"] == (256, 26, 26)
    assert found.shapes["pool2"] == (256, 13, 13)
    assert found.shapes["conv4"] == (384, 11, 11)
    assert found.shapes["pool5"] == (256, 6, 6)
    assert [net.pool1.kernel_size, net.pool1.stride] == [2, 2]
    assert found.parameters == 60_965_224


@pytest.mark.parametrize(
    ("size", "windows"),
    # 1 + ceil((size - 11) / 4): 224 and 227 both have 55
    [(224, 55), (225, 55), (227, 55), (228, 56), (231, 56), (232, 57)],
)
def test_the_last_pixel_lies_in_the_field_that_rounding_up_reaches(size, windows):
    net, seen = small(), []
    with torch.no_grad(), net.conv1.register_forward_hook(lambda m, i, output: seen.append(output)):
        x = torch.zeros(1, 3, size, 224)
        net(x)
        x[..., -1, -1] = 1000
        net(x)
    moved = (seen[1] - seen[0]).abs().sum((0, 1))
    assert moved.shape == (windows, 55)
    assert moved[-1, -1] > 0
    assert moved[-1, -1] == moved.sum()  # 11 pixels at stride 4: the window before ends earlier


def changed_by(layer, pick, x):
    """Which maps that `layer` puts out change when those that `pick` names are raised by one."""
    y = layer(x)
    x = x.clone()
    x[:, pick] += 1
    return ((layer(x) - y).abs().amax((0, 2, 3)) > 0).tolist()


@pytest.mark.parametrize("layer", ["conv2", "conv4", "conv5"])
def test_a_map_of_one_half_changes_that_half_only(layer):
    conv = small().get_submodule(layer)
    x, half = torch.randn(1, conv.in_channels, 7, 7), conv.out_channels // 2
    assert changed_by(conv, 0, x) == [True] * half + [False] * half
    assert changed_by(conv, -1, x) == [False] * half + [True] * half


def test_conv3_sees_both_halves_but_not_in_run_150():
    x = torch.randn(1, 12, 7, 7)
    assert all(changed_by(small().conv3, 0, x))
    assert changed_by(small(linked=False).conv3, 0, x) == [True] * 8 + [False] * 8


def test_conv6_of_cnn_star_sees_both_halves():
    x = torch.randn(1, 8, 6, 6)
    assert all(changed_by(small(maps=(8, 12, 16, 20, 8, 6)).conv6, 0, x))


@pytest.mark.parametrize("linked", [True, False])
def test_without_links_one_half_does_not_reach_the_others_hidden_units(linked):
    net, seen = small(linked=linked, activation="tanh", dropout=0.0).double(), []
    net.fc7.register_forward_hook(lambda module, inputs, output: seen.append(output.flatten()))
    x = torch.randn(1, 3, 97, 97, dtype=torch.float64)
    with torch.no_grad():
        net(x)
        net.conv1.weight[:4] += 0.1  # the first GPU's
        net(x)
    moved = ((seen[1] - seen[0]) != 0).tolist()
    assert moved == [True] * 5 + [linked] * 5


def cross_map(a, k):
    return F.local_response_norm(a, 5, 1e-4, 0.75, k)


def within_map(a):
    ones = torch.ones(a.shape[1], 1, 5, 5, dtype=a.dtype)
    squares = F.conv2d(a**2, ones, padding=2, groups=a.shape[1])
    return a / (1 + 0.001 / 25 * squares) ** 0.75


def pool(a):
    return F.max_pool2d(a, 3, 2, ceil_mode=True)


class Halves:
    """Each GPU's network by itself: the maps it sees, its own weights, no groups."""

    def __init__(self, net, act=F.relu):
        self.net, self.act = net, act

    def conv(self, name, half, x, **how):
        layer = self.net.get_submodule(name)
        weight, bias = layer.weight.chunk(2)[half], layer.bias.chunk(2)[half]
        return F.conv2d(x, weight, bias, **how)

    def until_conv2(self, half, x):  # sections 3.3 to 3.5
        x = F.pad(x, (0, 2, 0, 2))  # 97 to 99 = 11 + 22 x 4
        x = pool(cross_map(self.act(self.conv("conv1", half, x, stride=4)), 2.0))
        return pool(cross_map(self.act(self.conv("conv2", half, x, padding=2)), 2.0))

    def after_conv2(self, x):
        """`x`: the maps of both halves."""
        y = [self.act(self.conv("conv3", half, x, padding=1)) for half in (0, 1)]
        for name in ("conv4", "conv5"):
            y = [self.act(self.conv(name, half, y[half], padding=1)) for half in (0, 1)]
        return torch.cat([pool(half) for half in y], 1)

    def scores(self, x, dropout):
        for name in ("fc6", "fc7"):
            layer = self.net.get_submodule(name)
            x = dropout * self.act(x.flatten(1) @ layer.weight.T + layer.bias)
        return x @ self.net.fc8.weight.T + self.net.fc8.bias

    def __call__(self, x):
        x = torch.cat([self.until_conv2(half, x) for half in (0, 1)], 1)
        return self.scores(self.after_conv2(x), 0.5)  # section 4.2


class CaffeNet(Halves):
    """models/bvlc_reference_caffenet: pooling, then LRN over all maps with k = 1; no scale at test time."""

    def reduced(self, x):
        return cross_map(pool(x), 1.0)

    def __call__(self, x):
        x = F.pad(x, (0, 2, 0, 2))
        x = torch.cat([self.conv("conv1", half, x, stride=4) for half in (0, 1)], 1)
        x = self.reduced(F.relu(x)).chunk(2, 1)
        x = torch.cat([self.conv("conv2", half, x[half], padding=2) for half in (0, 1)], 1)
        return self.scores(self.after_conv2(self.reduced(F.relu(x))), 1.0)


class BvlcAlexNet(CaffeNet):
    """models/bvlc_alexnet: LRN, then pooling."""

    def reduced(self, x):
        return pool(cross_map(x, 1.0))


class AuthorsCode(Halves):
    """layers-145.cfg: conv1 has no neuron and pool1 has ReLU; conv2 has ReLU; cnorm2 follows rnorm2."""

    def until_conv2(self, half, x):
        x = self.conv("conv1", half, F.pad(x, (0, 2, 0, 2)), stride=4)
        x = F.relu(pool(cross_map(x, 2.0)))
        x = cross_map(F.relu(self.conv("conv2", half, x, padding=2)), 2.0)
        return pool(within_map(x))


@pytest.mark.parametrize(
    ("options", "by_hand"),
    [
        ({}, Halves),
        ({"activation": "tanh"}, lambda net: Halves(net, torch.tanh)),
        (CAFFE, CaffeNet),
        (CAFFE | {"order": "norm_pool"}, BvlcAlexNet),
        (CODE, AuthorsCode),
    ],
)
def test_scores_equal_those_of_a_network_written_in_halves(options, by_hand):
    net = small(**options).double().eval()
    # Such squares weigh in: alpha times their sum is not small against k.
    x = torch.randn(2, 3, 97, 97, dtype=torch.float64) * 100
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=(2 / layer.weight[0].numel()) ** 0.5)
            nn.init.normal_(layer.bias, std=0.1)
    with torch.no_grad():
        expected = by_hand(net)(x)
        assert expected.std(0).min() > 1e-3
        torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-10)


def test_in_training_inverted_dropout_doubles_what_is_kept():
    x = torch.ones(1, 4096, 1, 1)
    assert set(on_meta(AlexNet).dropout6(x).unique().tolist()) == {0.0, 1.0}
    caffe = on_meta(AlexNet, **CAFFE)
    assert set(caffe.dropout6(x).unique().tolist()) == {0.0, 2.0}
    assert set(caffe.dropout7(x).unique().tolist()) == {0.0, 2.0}


def test_normalization_is_after_conv1_and_conv2_and_a_value_removes_it():
    with_, without = on_meta(AlexNet), on_meta(AlexNet, lrn=False)
    found = [n for n, m in with_.named_children() if isinstance(m, LocalResponseNorm)]
    assert found == ["norm1", "norm2"]
    assert all(with_.get_submodule(n).groups == 2 for n in found)
    assert not any(isinstance(m, LocalResponseNorm) for m in without.modules())


def test_the_one_gpu_nets_neighborhoods_are_over_all_its_maps():
    net = on_meta(AlexNet, maps=HALF, groups=1)
    assert (net.norm1.groups, net.norm2.groups) == (1, 1)


def test_dropout_of_one_half_is_on_fc6_and_fc7_under_names_of_their_own():
    dropouts = [m for m in on_meta(AlexNet).modules() if isinstance(m, Dropout)]
    assert [m.p for m in dropouts] == [0.5, 0.5]  # section 4.2
    assert len({m.name for m in dropouts}) == 2
    assert [m.p for m in on_meta(AlexNet, dropout=0.2).modules() if isinstance(m, Dropout)] == [
        0.2
    ] * 2


def test_a_network_without_fc7_drops_out_before_fc8():
    net = small(without=["fc7"], dropout=1.0)
    scores = net(torch.randn(2, 3, 97, 97))
    assert torch.equal(scores, net.fc8.bias.expand(2, -1))


@pytest.mark.parametrize(
    ("size", "side"),
    # pool5: 224 has 6; 256 has 63, 31, 15, 7 and 288 has 71, 35, 17, 8
    [(224, 1), (227, 1), (256, 2), (288, 3)],
)
def test_a_larger_image_has_a_class_map(size, side):
    net = on_meta(AlexNet, num_classes=7)
    x = torch.empty(2, 3, size, 224, device="meta")
    assert net.class_map(x).shape == (2, 7, side, 1)
    assert net(x).shape == (2, 7)


@pytest.mark.parametrize("options", [{}, {"linked": False}, {"without": ["fc6", "fc7"]}])
def test_the_score_is_the_mean_of_the_class_map(options):
    net = small(**options).eval()
    x = torch.randn(1, 3, 161, 129)
    with torch.no_grad():
        found = net.class_map(x)
        assert found[0, 0].unique().numel() == found[0, 0].numel() > 1
        torch.testing.assert_close(net(x)[0], found[0].flatten(1).mean(1))


@pytest.mark.parametrize("options", [{}, CAFFE, CODE])
def test_feature_maps_stay_channels_last(options):
    net, lost = small(**options).to(memory_format=torch.channels_last), []

    def look(module, inputs, output):
        if not output.is_contiguous(memory_format=torch.channels_last):
            lost.append(module)

    for name, child in net.named_children():
        if name.startswith(("conv", "norm", "pool")):
            child.register_forward_hook(look)
    net(torch.randn(2, 3, 97, 97).to(memory_format=torch.channels_last))
    assert lost == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lrn": False, "overlapping": False, "groups": 1},
        {"maps": (8, 12, 16, 20, 8, 6)},
        {"linked": False},
        {"without": ["conv3", "conv4", "fc6", "fc7"]},
        {"activation": "tanh"},
        CAFFE,
        CODE,
    ],
)
def test_gradients_reach_every_parameter(options):
    net = small(fc=32, **options)
    net(torch.randn(4, 3, 97, 97)).square().sum().backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "relu"}, "order is norm_pool, pool_norm or code.*not order='relu'"),
        ({"activation": "gelu"}, "activation is relu or tanh, .*activation='gelu'"),
        ({"without": ["conv5"]}, r"without takes any of conv3, conv4, fc6, fc7, not \['conv5'\]"),
        ({"maps": [96, 256, 384]}, r"counts of conv1 to conv5, .*not maps=\[96, 256, 384\]"),
        ({"maps": [96, 255, 384, 384, 256]}, r"divide by groups=2: not maps=\[96, 255"),
        ({"groups": 3, "maps": [96] * 5}, "divide by groups=3: .*fc=4096"),
        ({"input_size": 32}, "nothing is left of an image of input_size=32"),
    ],
)
def test_a_value_that_makes_no_network_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        on_meta(AlexNet, **options)


def test_the_configuration_states_every_option_and_each_is_the_papers():
    stated = compose(["model=alexnet"])["model"]
    defaults = {n: p.default for n, p in signature(AlexNet).parameters.items()}
    stated = {name: tuple(v) if isinstance(v, list) else v for name, v in stated.items()}
    assert stated == {
        "_target_": "topfive.models.alexnet.AlexNet",
        **{name: value for name, value in defaults.items() if name != "num_classes"},
    }


def test_caffenet_differs_from_alexnet_by_caffes_options_and_its_crop():
    ours, theirs = (compose([f"model={name}"]) for name in ("caffenet", "alexnet"))
    differs = {k: v for k, v in ours["model"].items() if v != theirs["model"][k]}
    assert differs == {"input_size": 227, **CAFFE}
    assert ours["protocol"]["size"] == ours["recipe"]["crop"]["size"] == 227
    assert ours["choices"]["protocol"] == "one_crop_warped"


def test_the_sizes_of_caffenet_follow_the_crop_and_another_protocol():
    config = compose(["model=caffenet", "protocol=ten_crop_square", "recipe.crop.size=224"])
    assert config["model"]["input_size"] == config["protocol"]["size"] == 224


def test_lists_of_the_command_line_build_the_same_net():
    config = compose(["model=alexnet", "model.maps=[48,128,192,192,256]", "model.groups=1"])
    options = {k: v for k, v in config["model"].items() if k != "_target_"}
    assert parameters(on_meta(AlexNet, **options)) == 59_798_312
    assert isinstance(on_meta(AlexNet, **options).conv5, nn.Conv2d)
