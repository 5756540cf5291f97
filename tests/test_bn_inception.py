import inspect
import math

import pytest
import torch
import yaml
from measure import measured, on_meta, parameters
from random_weights import close, drawn
from torch import nn
from torch.nn import functional as F

from topfive.config import CONF
from topfive.layers import Dropout, LocalResponseNorm
from topfive.models.bn_inception import BNInception

CAFFE = {"stem": "dense", "projection": 128, "conv_bias": True, "count_include_pad": True}
INCEPTION = {"batch_norm": False, "lrn": True, "dropout": 0.4}  # Fig. 3

# Ioffe and Szegedy 2015, Fig. 5: outputs and side (rows 3c and 4e print the side of their input), and the
# modules' pooling
STAGES = {
    "conv1": (64, 112),
    "pool1": (64, 56),
    "conv2_reduce": (64, 56),
    "conv2": (192, 56),
    "pool2": (192, 28),
    "inception_3a": (256, 28),
    "inception_3b": (320, 28),
    "inception_3c": (576, 14),
    "inception_4a": (576, 14),
    "inception_4b": (576, 14),
    "inception_4c": (576, 14),
    "inception_4d": (576, 14),
    "inception_4e": (1024, 7),
    "inception_5a": (1024, 7),
    "inception_5b": (1024, 7),
    "pool5": (1024, 1),
    "dropout": (1024, 1),
    "fc": (1000, 1),
}


def images(*shape):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double()


# -- sizes ----------------------------------------------------------------------------------------


# By hand: a dense conv1 has 9,408 weights for 2,712; 10,016 maps have a bias where conv_bias=True, and
# 9,952 one value for BN's two where batch_norm=False (4c and 4d with 64 maps less).
@pytest.mark.parametrize(
    ("options", "params", "macs"),
    [
        ({}, 11_188_288, 1_934_857_216),
        ({"stem": "dense"}, 11_194_984, 2_018_851_840),
        ({"stem": "dense", "projection": 128}, 11_285_224, 2_032_600_064),
        ({"projection": 128}, 11_278_528, 1_948_605_440),
        (CAFFE, 11_285_224 + 10_016, 2_032_600_064),
        (INCEPTION, 11_188_288 - 9_952, 1_934_857_216),
    ],
)
def test_the_net_has_the_size_of_fig_5(options, params, macs):
    net = on_meta(BNInception, **options)
    assert measured(net, 224)[:2] == (params, macs)


def test_the_separable_conv1_has_8_depthwise_maps_of_each_channel_and_one_normalization():
    conv1 = on_meta(BNInception).conv1
    convs = [m for m in conv1.modules() if isinstance(m, nn.Conv2d)]
    assert [m.weight.shape for m in convs] == [(24, 1, 7, 7), (64, 24, 1, 1)]
    assert [m.num_features for m in conv1.modules() if isinstance(m, nn.BatchNorm2d)] == [64]
    # 1,176 + 1,536 weights, BN's 128
    assert parameters(conv1) == 2_712 + 128


def test_the_stages_have_the_output_sizes_of_fig_5():
    found = measured(on_meta(BNInception), 224).shapes
    assert found == {name: (maps, side, side) for name, (maps, side) in STAGES.items()}


def test_the_printed_projection_makes_608_and_1056_maps():
    found = measured(on_meta(BNInception, projection=128), 224).shapes
    changed = {"inception_4c": (608, 14), "inception_4d": (608, 14), "inception_4e": (1056, 7)}
    expected = STAGES | changed
    assert found == {name: (maps, side, side) for name, (maps, side) in expected.items()}


# -- what is computed -----------------------------------------------------------------------------

# Fig. 5: pooling, stride
POOLING = {
    **{name: ("avg", 1) for name in ("3a", "3b", "4a", "4b", "4c", "4d", "5a")},
    **{"3c": ("max", 2), "4e": ("max", 2), "5b": ("max", 1)},
}


class Reference:
    """The net from its tensors by name; batch normalization by its formula (Algorithms 1 and 2)."""

    def __init__(self, net, options):
        self.w, self.options, self.training = net.state_dict(), options, net.training

    def conv(self, name, x, stride=1):
        weight = self.w[f"{name}.conv.weight"]
        x = F.conv2d(x, weight, self.w.get(f"{name}.conv.bias"), stride, weight.shape[2] // 2)
        if self.options.get("batch_norm", True):
            x = self.normalized(f"{name}.bn", x)
        return x.sigmoid() if self.options.get("activation") == "sigmoid" else x.clamp(min=0)

    def normalized(self, name, x):
        names = ("running_mean", "running_var", "weight", "bias")
        mean, var, gamma, beta = (self.w[f"{name}.{n}"].view(-1, 1, 1) for n in names)
        if self.training:
            mean = x.mean((0, 2, 3), keepdim=True)
            var = (x - mean).square().mean((0, 2, 3), keepdim=True)
        return gamma * (x - mean) / (var + 1e-3) ** 0.5 + beta

    def halved(self, x):
        """3x3 max pooling at stride 2, TensorFlow's SAME: what is odd of the padding comes last."""
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((math.ceil(side / 2) - 1) * 2 + 3 - side, 0)
            pads += [total // 2, total - total // 2]
        return F.max_pool2d(F.pad(x, pads, value=-math.inf), 3, 2)

    def average(self, x):
        total = F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1) * 9
        if self.options.get("count_include_pad"):
            return total / 9
        inside = F.avg_pool2d(F.pad(torch.ones_like(x), (1, 1, 1, 1)), 3, 1) * 9
        return total / inside

    def norm(self, x):
        """Five adjacent maps; Caffe's constants, alpha divided by five."""
        if not self.options.get("lrn"):
            return x
        near = F.pad(x**2, (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
        return x / (1 + 1e-4 / 5 * near) ** 0.75

    def module(self, name, x):
        pool, stride = POOLING[name]
        name = f"inception_{name}"
        three = self.conv(f"{name}.conv3x3", self.conv(f"{name}.reduce3x3", x), stride)
        double = self.conv(f"{name}.double3x3_1", self.conv(f"{name}.reduce_double3x3", x))
        double = self.conv(f"{name}.double3x3_2", double, stride)
        if stride == 2:
            return torch.cat([three, double, self.halved(x)], 1)
        pooled = self.average(x) if pool == "avg" else F.max_pool2d(x, 3, 1, 1)
        proj = self.conv(f"{name}.pool_proj", pooled)
        return torch.cat([self.conv(f"{name}.conv1x1", x), three, double, proj], 1)

    def before_pool5(self, x):
        if self.options.get("stem") == "dense":
            x = self.conv("conv1", x, 2)
        else:
            x = F.conv2d(x, self.w["conv1.depthwise.weight"], None, 2, 3, 1, 3)
            x = self.conv("conv1.pointwise", x)
        x = self.conv("conv2", self.conv("conv2_reduce", self.norm(self.halved(x))))
        x = self.halved(self.norm(x))
        for name in ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
            x = self.module(name, x)
        return x

    def fc(self, x):
        return F.linear(x, self.w["fc.weight"], self.w["fc.bias"])

    def __call__(self, x):
        return self.fc(self.before_pool5(x).mean((2, 3)))


@pytest.mark.parametrize(
    ("options", "training"),
    [
        ({}, True),
        ({}, False),
        (CAFFE, True),
        (CAFFE, False),
        ({**INCEPTION, "dropout": 0.0}, True),
        ({"activation": "sigmoid"}, False),
    ],
)
def test_scores_equal_an_independent_forward_pass_with_the_same_tensors(options, training):
    net = drawn(BNInception, num_classes=7, **options).train(training)
    x = images(3, 3, 72, 64)  # 9 x 8 maps before 3c: odd and even, then 5 x 4 and 3 x 2
    theirs = Reference(net, options)
    with torch.no_grad():
        expected = theirs(x)
        close(net(x), expected)


def test_the_sliding_head_averages_over_7_x_7_windows_at_stride_1():
    net = drawn(BNInception, num_classes=7, head="sliding").eval()
    theirs, x = Reference(net, {}), images(1, 3, 224, 256)  # 7 x 8 maps
    with torch.no_grad():
        maps = theirs.before_pool5(x)
        expected = [theirs.fc(maps[:, :, :, k : k + 7].mean((2, 3))) for k in (0, 1)]
        found = net.class_map(x)
    assert found.shape == (1, 7, 1, 2)
    close(found[0, :, 0].T, torch.cat(expected))


def test_images_of_any_size_give_one_score_a_class():
    net = on_meta(BNInception)
    assert net(torch.empty(2, 3, 287, 320, device="meta")).shape == (2, 1000)
    assert net.class_map(torch.empty(2, 3, 40, 33, device="meta")).shape == (2, 1000, 1, 1)
    sliding = on_meta(BNInception, head="sliding")
    # 287, 144, 72, 36, 18, 9 and 320, 160, 80, 40, 20, 10
    assert sliding.class_map(torch.empty(2, 3, 287, 320, device="meta")).shape == (2, 1000, 3, 4)


@pytest.mark.parametrize(
    "options",
    [{}, CAFFE, INCEPTION, {"activation": "sigmoid"}],
    ids=["paper", "caffe", "inception", "sigmoid"],
)
def test_gradients_reach_every_parameter(options):
    # In evaluation: the mean of a batch would cancel the bias of a convolution (section 3.2).
    net = drawn(BNInception, num_classes=7, **options).eval()
    net(images(2, 3, 64, 64)).square().sum().backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_every_stage_keeps_the_channels_last():
    net = BNInception(num_classes=3).to(memory_format=torch.channels_last)
    copied = []

    def look(module, inputs, output):
        if not output.is_contiguous(memory_format=torch.channels_last):
            copied.append(module)

    for child in net.children():
        child.register_forward_hook(look)
    with torch.no_grad():
        net(torch.zeros(2, 3, 72, 96).to(memory_format=torch.channels_last))
    assert copied == []


# -- options --------------------------------------------------------------------------------------


def kinds(net, kind):
    return [m for m in net.modules() if isinstance(m, kind)]


def test_batch_norm_is_behind_every_convolution_but_the_depthwise_and_has_the_given_constants():
    net = on_meta(BNInception)
    convs, norms = kinds(net, nn.Conv2d), kinds(net, nn.BatchNorm2d)
    # 3 before the modules, 7 in each of the eight modules at stride 1, 5 in each of the two at stride 2
    assert len(norms) == 3 + 8 * 7 + 2 * 5
    assert len(convs) == len(norms) + 1
    assert all(m.bias is None for m in convs)
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.1)}
    slim = on_meta(BNInception, bn_eps=1e-5, bn_momentum=0.0003)
    assert {(m.eps, m.momentum) for m in kinds(slim, nn.BatchNorm2d)} == {(1e-5, 0.0003)}


def test_without_batch_norm_every_convolution_but_the_depthwise_has_a_bias():
    net = on_meta(BNInception, batch_norm=False)
    assert kinds(net, nn.BatchNorm2d) == []
    assert [n for n, m in net.named_modules() if isinstance(m, nn.Conv2d) and m.bias is None] == [
        "conv1.depthwise"
    ]


def test_bn_inception_has_neither_dropout_nor_local_response_normalization():
    net = on_meta(BNInception)  # section 4.2.1
    assert [m.p for m in kinds(net, Dropout)] == [0.0]
    assert kinds(net, LocalResponseNorm) == []
    assert [m.p for m in kinds(on_meta(BNInception, dropout=0.1), Dropout)] == [0.1]
    found = [type(m) for m in on_meta(BNInception, lrn=True).pool1]
    assert found[1] is LocalResponseNorm
    found = [type(m) for m in on_meta(BNInception, lrn=True).pool2]
    assert found[0] is LocalResponseNorm


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stem": "7x7"}, "stem is separable or dense.*stem='7x7'"),
        ({"projection": 64}, "projection is 96 or 128.*projection=64"),
        ({"activation": "tanh"}, "activation is relu or sigmoid.*activation='tanh'"),
        ({"head": "fc"}, "head is global or sliding.*head='fc'"),
    ],
)
def test_a_net_that_the_paper_does_not_have_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        on_meta(BNInception, **options)


def test_the_configuration_names_every_option_at_its_default():
    given = yaml.safe_load((CONF / "model" / "bn_inception.yaml").read_text())["model"]
    defaults = {n: p.default for n, p in inspect.signature(BNInception).parameters.items()}
    del given["_target_"], defaults["num_classes"]
    assert given == defaults
