import itertools
import math
from functools import cache, partial
from typing import get_args

import pytest
import torch
from measure import measured, on_meta, parameters
from timm.layers import BatchNormAct2d, create_conv2d
from timm.models.resnetv2 import PreActBottleneck, ResNetV2
from torch import nn
from torch.nn.functional import conv2d, linear, max_pool2d, pad, relu

from topfive.initializers import he_normal
from topfive.models.preact_resnet import CifarPreActResNet, PreActResNet
from topfive.models.preact_units import Addition, Block, Design, Shortcut, UnitKind
from topfive.models.resnet import CifarResNet, ResNet

UNITS, SHORTCUTS, BLOCKS = get_args(UnitKind), get_args(Shortcut), get_args(Block)
POST_ACT = ("original", "bn_after_add", "relu_before_add", "relu_only_preact")
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def cifar(depth, block, unit, shortcut, **options):
    return on_meta(CifarPreActResNet, depth, block, unit, shortcut, **options)


def sized(depth, *design, classes=10):
    """Parameters and multiply-adds of a deep net, from two shallow ones of the same design.

    A unit that is not the first of its stage is like the others of its stage.
    """
    layers = 3 * {"1layer": 1, "basic": 2, "bottleneck": 3}[design[0]]
    one, two = (measured(cifar(n * layers + 2, *design, num_classes=classes), 32) for n in (1, 2))
    further = (depth - 2) // layers - 1
    return tuple(
        first + further * (second - first) for first, second in zip(one[:2], two[:2], strict=True)
    )


# By hand from the layers; Table 4 rounds the parameters of 110 and 164 to 1.7 million. The units of
# Fig. 4 have the same convolutions, and as many BNs unless projections lose theirs: 2 (64 + 128 + 256).
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("depth", "block", "shortcut", "params", "full_preact", "macs"),
    [
        (110, "basic", "A", 1_727_962, 1_727_962, 252_887_680),
        (110, "1layer", "A", 1_727_962, 1_727_962, 252_887_680),
        (164, "bottleneck", "B", 1_704_154, 1_703_258, 244_500_992),
        (1001, "bottleneck", "B", 10_328_602, 10_327_706, 1_487_849_984),
    ],
)
def test_every_unit_of_fig_4_has_the_size_by_hand(
    unit, depth, block, shortcut, params, full_preact, macs
):
    expected = full_preact if unit == "full_preact" else params
    assert sized(depth, block, unit, shortcut) == (expected, macs)


@pytest.mark.parametrize(
    ("depth", "unit", "params", "macs"),
    [
        (164, "original", 1_727_284, 244_524_032),
        (164, "full_preact", 1_726_388, 244_524_032),
        (1001, "original", 10_351_732, 1_487_873_024),
        (1001, "full_preact", 10_350_836, 1_487_873_024),
    ],
)
def test_the_nets_for_cifar_100_have_the_size_by_hand(depth, unit, params, macs):
    assert sized(depth, "bottleneck", unit, "B", classes=100) == (params, macs)


def test_resnet1001_builds_on_the_meta_device():
    net = cifar(1001, "bottleneck", "full_preact", "B")
    assert parameters(net) == 10_327_706
    # Table 4 prints 10.2 million: the weights alone
    assert sum(p.numel() for p in net.parameters() if p.dim() > 1) == 10_178_480


# Stages of 18 units with 16, 32 and 64 maps. A gate has inputs x outputs weights and a bias per output;
# a projection has BN instead of the bias.
@pytest.mark.parametrize(
    ("shortcut", "added", "added_macs"),
    [
        ("constant", 0, 0),
        ("dropout", 0, 0),
        ("exclusive_gating", 94_208 + 18 * (16 + 32 + 64), 13_893_632),
        ("shortcut_only_gating", 94_208 + 18 * (16 + 32 + 64), 13_893_632),
        ("conv1x1", 94_208 + 2 * 18 * (16 + 32 + 64), 13_893_632),
    ],
)
def test_the_shortcuts_of_table_1_add_the_parameters_by_hand(shortcut, added, added_macs):
    expected = (1_727_962 + added, 252_887_680 + added_macs)
    assert sized(110, "basic", "original", shortcut) == expected


@cache
def imagenet(depth, unit="full_preact"):
    return on_meta(PreActResNet, depth, unit)


# Table 5, by hand from the layers: original and full pre-activation
@pytest.mark.parametrize(
    ("depth", "original", "preact"),
    [
        (50, 25_557_032, 25_549_352),
        (101, 44_549_160, 44_541_480),
        (152, 60_192_808, 60_185_128),
        (200, 64_673_832, 64_666_152),
    ],
)
def test_imagenet_nets_have_the_parameters_by_hand(depth, original, preact):
    assert parameters(imagenet(depth, "original")) == original
    assert parameters(imagenet(depth)) == preact


@pytest.mark.parametrize(
    ("depth", "pixels", "macs"),
    [
        (50, 224, 3_857_973_248),
        (152, 224, 11_282_415_616),
        (200, 224, 14_776_270_848),
        (200, 320, 30_153_523_200),
    ],
)
def test_imagenet_nets_do_the_multiply_adds_by_hand(depth, pixels, macs):
    assert measured(imagenet(depth), pixels).multiply_adds == macs


def test_the_stride_on_the_3x3_costs_as_much_more_as_in_the_original_resnet50():
    net = measured(on_meta(PreActResNet, 50, stride_on="3x3"), 224)
    assert net.multiply_adds == 4_089_184_256  # as torchvision's ResNet-50


@pytest.mark.parametrize(
    ("depth", "block", "units"),
    [
        (110, "1layer", 36),
        (110, "basic", 18),
        (164, "bottleneck", 18),
    ],
)
def test_a_cifar_net_has_the_units_and_layers_that_its_name_says(depth, block, units):
    net = cifar(depth, block, "full_preact", "B" if block == "bottleneck" else "A")
    assert [len(s) for s in (net.conv2_x, net.conv3_x, net.conv4_x)] == [units] * 3
    weights = [n for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert sum("carry" not in name for name in weights) == depth


@pytest.mark.parametrize("unit", ["original", "full_preact"])
@pytest.mark.parametrize(("block", "wide"), [("1layer", 1), ("basic", 1), ("bottleneck", 4)])
def test_the_stages_of_cifar_nets_have_the_output_sizes_of_the_first_paper(unit, block, wide):
    found = measured(cifar(20, block, unit, "A"), 32).shapes
    assert list(found) == [
        *("conv1", "bn1", "conv2_x", "conv3_x", "conv4_x", "bn_last", "average_pool", "fc")
    ]
    assert found["bn1"] == (16, 32, 32)
    assert found["conv2_x"] == (16 * wide, 32, 32)
    assert found["conv3_x"] == (32 * wide, 16, 16)
    assert found["conv4_x"] == found["bn_last"] == (64 * wide, 8, 8)
    assert found["average_pool"] == (64 * wide, 1, 1)
    assert found["fc"] == (10,)


@pytest.mark.parametrize(("unit", "stride_on"), [("original", "1x1"), ("full_preact", "3x3")])
def test_the_stages_of_imagenet_nets_have_the_output_sizes_of_the_first_paper(unit, stride_on):
    found = measured(on_meta(PreActResNet, 50, unit, stride_on), 224).shapes
    assert found["bn1"] == (64, 112, 112)
    assert found["pool1"] == (64, 56, 56)
    assert found["conv2_x"] == (256, 56, 56)
    assert found["conv3_x"] == (512, 28, 28)
    assert found["conv4_x"] == (1024, 14, 14)
    assert found["conv5_x"] == found["bn_last"] == (2048, 7, 7)
    assert found["average_pool"] == (2048, 1, 1)
    assert found["fc"] == (1000, 1, 1)


def valued(net):
    """`net` in float64 with values that tell every layer and buffer apart, in evaluation."""
    net = net.double().to_empty(device="cpu").eval()
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            nn.init.uniform_(module.weight, -2 * bound, 2 * bound)
            if module.bias is not None:
                nn.init.normal_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 0.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.zeros_(module.num_batches_tracked)
    return net


class Written:
    """The paper's nets written out: every call takes the next tensors of a state dict."""

    def __init__(self, net, block, unit, shortcut, stride_on="1x1", scales=(0.5, 0.5), b_g=-6.0):
        self.values, self.unit = iter(net.state_dict().values()), getattr(self, unit)
        self.block, self.shortcut, self.stride_on = block, shortcut, stride_on
        self.scales, self.b_g, self.bare = scales, b_g, unit == "full_preact"
        self.preact = "preact" in unit

    def conv(self, x, stride=1):
        weight = next(self.values)
        return conv2d(x, weight, None, stride, weight.shape[-1] // 2)

    def bn(self, x):
        *four, _ = itertools.islice(self.values, 5)
        weight, bias, mean, var = (v[:, None, None] for v in four)
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def branch(self, x, stride):
        """A unit's convolutions, with the BN and ReLU in between."""
        if self.block == "1layer":
            return self.conv(x, stride)
        if self.block == "basic":
            return self.conv(relu(self.bn(self.conv(x, stride))))
        first, second = (stride, 1) if self.stride_on == "1x1" else (1, stride)
        y = relu(self.bn(self.conv(x, first)))
        return self.conv(relu(self.bn(self.conv(y, second))))

    def option(self, name, x, maps, stride):
        if name == "conv1x1" or (name == "B" and (x.shape[1] != maps or stride > 1)):
            y = self.conv(x, stride)
            return y if self.bare else self.bn(y)
        return pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, maps - x.shape[1]))

    def add(self, x, y, stride):
        plain = "B" if self.block == "bottleneck" else "A"
        varied = self.shortcut not in ("A", "B", "conv1x1")
        short = self.option(plain if varied else self.shortcut, x, y.shape[1], stride)
        if self.shortcut == "constant":
            return self.scales[0] * short + self.scales[1] * y
        if "gating" in self.shortcut:
            weight, bias = itertools.islice(self.values, 2)
            g = 1 / (1 + (-conv2d(x, weight, bias, stride) - self.b_g).exp())
            return short * (1 - g) + (y * g if self.shortcut == "exclusive_gating" else y)
        return y + (short / 2 if self.shortcut == "dropout" else short)

    def original(self, x, stride, first, changes):
        return relu(self.add(x, self.bn(self.branch(x, stride)), stride))

    def bn_after_add(self, x, stride, first, changes):
        return relu(self.bn(self.add(x, self.branch(x, stride), stride)))

    def relu_before_add(self, x, stride, first, changes):
        return self.add(x, relu(self.bn(self.branch(x, stride))), stride)

    def relu_only_preact(self, x, stride, first, changes):
        activated = x if first else relu(x)
        return self.add(
            activated if changes else x, self.bn(self.branch(activated, stride)), stride
        )

    def full_preact(self, x, stride, first, changes):
        activated = x if first else relu(self.bn(x))
        return self.add(activated if changes else x, self.branch(activated, stride), stride)

    def trunk(self, x, counts):
        """From the activation after conv1 (and the pooling) to fc."""
        first, before = True, x.shape[1]
        for stage, count in enumerate(counts):
            after = x.shape[1] if stage else before * (4 if self.block == "bottleneck" else 1)
            for k in range(count):
                stride = 2 if stage and not k else 1
                changes = stride == 2 or (first and before != after)
                x, first = self.unit(x, stride, first, changes), False
        if self.preact:
            x = relu(self.bn(x) if self.bare else x)
        x = linear(x.mean((2, 3)), next(self.values), next(self.values))
        assert next(self.values, None) is None
        return x


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_scores_equal_the_net_written_out_as_the_figure_draws_it(block, unit, shortcut):
    depth = {"1layer": 8, "basic": 14, "bottleneck": 20}[block]  # two units a stage
    scales = {"shortcut_scale": 0.7, "branch_scale": 0.4, "gate_bias": -1.0}
    net = valued(cifar(depth, block, unit, shortcut, **scales))
    x = torch.randn(2, 3, 12, 10, dtype=torch.float64)
    written = Written(net, block, unit, shortcut, "1x1", (0.7, 0.4), -1.0)
    expected = written.trunk(relu(written.bn(written.conv(x))), (2, 2, 2))
    with torch.no_grad():
        torch.testing.assert_close(net(x), expected, **CLOSE)
    assert expected.std(0).min() > 0


@pytest.mark.parametrize("unit", ["full_preact", "relu_only_preact"])
def test_imagenet_scores_equal_the_net_written_out_with_its_pooling_after_the_activation(unit):
    net = valued(on_meta(PreActResNet, 50, unit))
    x = torch.randn(2, 3, 48, 48, dtype=torch.float64)
    with torch.no_grad():
        written = Written(net, "bottleneck", unit, "B")
        stem = relu(written.bn(written.conv(x, 2)))
        pooled = max_pool2d(pad(stem, (0, 1, 0, 1), value=-math.inf), 3, 2)
        expected = written.trunk(pooled, (3, 4, 6, 3))
        torch.testing.assert_close(net(x), expected, **CLOSE)


# Option A, B, C and the plain twin of arXiv:1512.03385 with the same tensors
@pytest.mark.parametrize(
    ("shortcut", "theirs"), [("A", "A"), ("B", "B"), ("conv1x1", "C"), ("constant", None)]
)
def test_original_units_are_those_of_the_first_paper(shortcut, theirs):
    expected = valued(on_meta(CifarResNet, 20, theirs))
    net = cifar(20, "basic", "original", shortcut, shortcut_scale=0.0, branch_scale=1.0)
    values = expected.state_dict().values()
    net.load_state_dict(dict(zip(net.state_dict(), values, strict=True)), assign=True)
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(x), expected(x), **CLOSE)


@pytest.mark.parametrize(("stride_on", "stem_pool"), [("1x1", "ceil"), ("3x3", "padded")])
def test_original_imagenet_nets_are_those_of_the_first_paper(stride_on, stem_pool):
    expected = valued(on_meta(ResNet, 50, "B", stride_on, stem_pool))
    net = on_meta(PreActResNet, 50, "original", stride_on, stem_pool).eval()
    values = expected.state_dict().values()
    net.load_state_dict(dict(zip(net.state_dict(), values, strict=True)), assign=True)
    x = torch.randn(2, 3, 40, 48, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(net(x), expected(x), **CLOSE)


def timms(counts):
    """timm's pre-activation net with plain convolutions and BN, which its names call BiT-like."""
    norm = partial(BatchNormAct2d, eps=1e-5)
    return valued(on_meta(ResNetV2, list(counts), conv_layer=create_conv2d, norm_layer=norm))


def in_our_order(theirs):
    """timm's tensors by our names: it puts a projection first in its unit, and a first unit's BN there."""
    state = theirs.state_dict()

    def norm(name):
        parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [state[f"{name}.{part}"] for part in parts]

    yield from (state["stem.conv.weight"], *norm("stages.0.blocks.0.norm1"))
    for s, stage in enumerate(theirs.stages):
        for k, block in enumerate(stage.blocks):
            name = f"stages.{s}.blocks.{k}"
            if s + k > 0:
                yield from norm(f"{name}.norm1")
            yield from (state[f"{name}.conv1.weight"], *norm(f"{name}.norm2"))
            yield from (state[f"{name}.conv2.weight"], *norm(f"{name}.norm3"))
            yield state[f"{name}.conv3.weight"]
            if block.downsample is not None:
                yield state[f"{name}.downsample.conv.weight"]
    yield from norm("norm")
    yield from (state["head.fc.weight"].flatten(1), state["head.fc.bias"])


@pytest.mark.parametrize(
    ("depth", "counts", "stride_on"),
    [(50, (3, 4, 6, 3), "1x1"), (50, (3, 4, 6, 3), "3x3"), (101, (3, 4, 23, 3), "3x3")],
)
def test_scores_equal_timms_with_its_weights(depth, counts, stride_on):
    theirs = timms(counts)
    ours = on_meta(PreActResNet, depth, stride_on=stride_on, stem_pool="padded").eval()
    tensors = zip(ours.state_dict(), in_our_order(theirs), strict=True)
    ours.load_state_dict(dict(tensors), assign=True)
    if stride_on == "1x1":
        for module in theirs.modules():
            if isinstance(module, PreActBottleneck):
                module.conv1.stride, module.conv2.stride = module.conv2.stride, (1, 1)
    x = torch.randn(2, 3, 48, 40, dtype=torch.float64)
    with torch.no_grad():
        # Its first BN and ReLU come after the pooling: the same, where every scale is positive.
        expected = theirs(x)
        assert expected.std(0).min() > 0
        torch.testing.assert_close(ours(x), expected, **CLOSE)


def addition(shortcut, inputs=4, outputs=4, stride=1, block="basic", **options):
    design = Design(block, "original", shortcut, **options)
    return Addition(design, inputs, outputs, stride, "conv2_x.0")


# Table 1, in its order, with weights of 0 in the gates: then g is sigmoid(b_g) everywhere
@pytest.mark.parametrize(
    ("shortcut", "options", "of_x", "of_y"),
    [
        ("A", {}, 1, 1),
        ("constant", {"shortcut_scale": 0.0, "branch_scale": 1.0}, 0, 1),
        ("constant", {"shortcut_scale": 0.5, "branch_scale": 1.0}, 0.5, 1),
        ("constant", {}, 0.5, 0.5),
        ("exclusive_gating", {}, 1 - 0.0024726232, 0.0024726232),
        ("exclusive_gating", {"gate_bias": 0.0}, 0.5, 0.5),
        ("shortcut_only_gating", {}, 1 - 0.0024726232, 1),
        ("shortcut_only_gating", {"gate_bias": 0.0}, 0.5, 1),
    ],
)
def test_a_shortcut_and_a_branch_have_the_factors_of_table_1(shortcut, options, of_x, of_y):
    module = addition(shortcut, **options)
    if hasattr(module, "gate"):
        nn.init.zeros_(module.gate.weight)
        nn.init.zeros_(module.gate.bias)
    x, y = torch.randn(2, 2, 4, 5, 5)
    torch.testing.assert_close(module(x, y), of_x * x + of_y * y, rtol=0, atol=1e-6)


def test_b_g_outlives_the_recipes_initialization():
    torch.manual_seed(0)
    module = addition("shortcut_only_gating", gate_bias=-6.0)
    he_normal(module)
    g = module.gated(torch.zeros(1, 4, 2, 2))
    torch.testing.assert_close(g, torch.full((1, 4, 2, 2), 0.0024726232))


def test_a_gate_weighs_every_map_and_pixel_by_itself():
    torch.manual_seed(0)
    g = addition("exclusive_gating", outputs=8, stride=2).gated(torch.randn(2, 4, 6, 6))
    assert g.shape == (2, 8, 3, 3)
    assert len(g.unique()) == g.numel()


def test_the_dropout_shortcut_loses_half_of_its_values_in_training_and_halves_them_in_evaluation():
    torch.manual_seed(0)
    module, x = addition("dropout"), torch.rand(16, 4, 20, 20) + 1
    y = torch.zeros_like(x)
    dropped = module(x, y)
    assert abs((dropped == 0).double().mean() - 0.5) < 0.01  # 25600 values: 3 deviations
    assert torch.equal(dropped[dropped != 0], x[dropped != 0])
    assert torch.equal(module.eval()(x, y), x / 2)


def test_every_dropout_shortcut_has_a_name_of_its_own():
    net = cifar(110, "basic", "original", "dropout")
    names = [m.dropout.name for m in net.modules() if isinstance(m, Addition)]
    assert len(set(names)) == len(names) == 54


# Table 1: 1x1 convolutions in every unit; option B where the shape changes, A nowhere
@pytest.mark.parametrize(
    ("block", "shortcut", "projections"),
    [
        ("basic", "A", 0),
        ("basic", "B", 2),
        ("basic", "conv1x1", 9),
        ("basic", "constant", 0),
        ("bottleneck", "B", 3),
        ("bottleneck", "constant", 3),
    ],
)
@pytest.mark.parametrize("unit", ["original", "full_preact"])
def test_projections_stand_where_the_shape_changes_and_have_bn_but_in_full_preactivation(
    block, shortcut, projections, unit
):
    net = cifar(20 if block == "basic" else 29, block, unit, shortcut)
    carries = [m.carry for m in net.modules() if isinstance(m, Addition)]
    found = [c for c in carries if isinstance(c, nn.Sequential)]
    assert len(found) == projections
    assert all(len(c) == (1 if unit == "full_preact" else 2) for c in found)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("depth", "block", "shortcut"),
    [
        (5, "1layer", "A"),
        (8, "basic", "exclusive_gating"),
        (8, "basic", "conv1x1"),
        (11, "bottleneck", "B"),
        (11, "bottleneck", "dropout"),
    ],
)
def test_gradients_reach_every_parameter(unit, depth, block, shortcut):
    torch.manual_seed(0)
    net = CifarPreActResNet(depth, block, unit, shortcut)
    net(torch.randn(4, 3, 16, 16)).square().sum().backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_gradients_reach_every_parameter_of_an_imagenet_net():
    torch.manual_seed(0)
    net = PreActResNet(50, num_classes=3)
    net(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_sliding_head_makes_a_class_map_of_320_pixels_and_the_global_head_one_score():
    images = torch.empty(1, 3, 320, 320, device="meta")
    sliding, everything = (on_meta(PreActResNet, 50, head=h) for h in ("sliding", "global"))
    assert sliding.class_map(images).shape == (1, 1000, 4, 4)
    assert everything.class_map(images).shape == (1, 1000, 1, 1)
    assert sliding(images).shape == everything(images).shape == (1, 1000)


@pytest.mark.parametrize("unit", UNITS)
def test_channels_last_survives_to_the_last_unit(unit):
    net = CifarPreActResNet(8, "basic", unit, "A").to(memory_format=torch.channels_last)
    seen = []
    for stage in (net.conv2_x, net.conv3_x, net.conv4_x):
        stage.register_forward_hook(lambda *call: seen.append(call[2]))
    net(torch.randn(2, 3, 16, 16).to(memory_format=torch.channels_last))
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in seen)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CifarPreActResNet(112, "basic"), r"basic units has 6n \+ 2 layers, not 112"),
        (lambda: CifarPreActResNet(112, "bottleneck"), r"bottleneck units has 9n \+ 2 layers"),
        (lambda: CifarPreActResNet(2), r"6n \+ 2 layers, not 2"),
        (lambda: CifarPreActResNet(110, "wide"), "block is one of 1layer, basic, bottleneck, not"),
        (lambda: CifarPreActResNet(110, unit="e"), "unit is one of original, .*, not 'e'"),
        (lambda: CifarPreActResNet(110, shortcut="C"), "shortcut is one of A, B, conv1x1, .*'C'"),
        (lambda: PreActResNet(50, stride_on="2x2"), "stride_on is one of 1x1, 3x3, not '2x2'"),
        (lambda: PreActResNet(34), "depth is one of 50, 101, 152, 200, not 34"),
        (lambda: PreActResNet(50, head="fc"), "head is global or sliding.*head='fc'"),
        (lambda: PreActResNet(50, stem_pool="same"), "stem_pool is ceil or padded"),
    ],
)
def test_a_net_that_the_paper_does_not_have_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
