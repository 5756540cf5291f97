import inspect
import math

import numpy as np
import pytest
import torch
import torchvision
import yaml
from measure import measured, multiply_adds, on_meta, parameters
from random_weights import close, drawn
from torch import nn
from torch.nn import functional as F

from topfive.config import CONF
from topfive.layers import Dropout, LocalResponseNorm
from topfive.models.googlenet import GoogLeNet, Inception, NaiveInception

# Szegedy et al. 2014, Table 1: inputs, #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj, outputs and
# side; by hand: the weights, and the multiply-adds in millions (the paper's "ops", but for 5a's 54)
MODULES = {
    "3a": (192, 64, 96, 128, 16, 32, 32, 256, 28, 163_328, 128.05),
    "3b": (256, 128, 128, 192, 32, 96, 64, 480, 28, 388_096, 304.27),
    "4a": (480, 192, 96, 208, 16, 48, 64, 512, 14, 375_552, 73.61),
    "4b": (512, 160, 112, 224, 24, 64, 64, 512, 14, 448_512, 87.91),
    "4c": (512, 128, 128, 256, 24, 64, 64, 512, 14, 509_440, 99.85),
    "4d": (512, 112, 144, 288, 32, 64, 64, 528, 14, 604_672, 118.52),
    "4e": (528, 256, 160, 320, 32, 128, 128, 832, 14, 867_328, 170.00),
    "5a": (832, 256, 160, 320, 32, 128, 128, 832, 7, 1_042_432, 51.08),
    "5b": (832, 384, 192, 384, 48, 128, 128, 1024, 7, 1_442_816, 70.70),
}


def weights(net):
    return sum(p.numel() for n, p in net.named_parameters() if n.endswith("weight"))


def images(*shape):
    return 50 * torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double()


# -- sizes ----------------------------------------------------------------------------------------


# By hand: 6,990,272 weights, 7,280 biases of convolutions and 1000 of fc; the separable conv1 has
# 2,712 weights for 9,408 and as many biases; BN has two values where the bias was one.
@pytest.mark.parametrize(
    ("options", "params", "macs"),
    [
        ({}, 13_378_280, 1_582_671_872),
        ({"auxiliary": False}, 6_998_552, 1_582_671_872),
        ({"auxiliary": False, "stem": "separable"}, 6_991_856, 1_498_677_248),
        ({"auxiliary": False, "lrn": False}, 6_998_552, 1_582_671_872),
        ({"auxiliary": False, "batch_norm": True}, 6_998_552 + 7_280, 1_582_671_872),
    ],
)
def test_the_net_has_the_size_of_table_1(options, params, macs):
    net = on_meta(GoogLeNet, **options).eval()
    assert measured(net, 224)[:2] == (params, macs)


def test_the_net_has_6_990_272_weights_in_57_convolutions_and_one_linear_layer():
    net = on_meta(GoogLeNet, auxiliary=False)
    assert weights(net) == 6_990_272
    kinds = [type(m) for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert sum(kind is nn.Conv2d for kind in kinds) == 57
    assert len(kinds) == 58


def test_the_heads_add_their_parameters_and_in_training_their_multiply_adds():
    net = on_meta(GoogLeNet)
    # 1x1 convolution, 2048 x 1024, 1024 x 1000, with biases
    assert parameters(net.aux1) == 3_188_840
    assert parameters(net.aux2) == 3_190_888
    assert multiply_adds(net)["Global"] == 1_591_044_096
    assert multiply_adds(net.eval())["Global"] == 1_582_671_872


def test_every_module_has_the_weights_and_multiply_adds_of_its_row():
    net = on_meta(GoogLeNet).eval()
    found = multiply_adds(net)
    for name, (*_, side, count, millions) in MODULES.items():
        assert weights(net.get_submodule(f"inception_{name}")) == count
        assert found[f"inception_{name}"] == count * side**2
        assert round(found[f"inception_{name}"] / 1e6, 2) == millions
    assert found["conv1"] == 9_408 * 112**2
    assert found["conv2_reduce"] == 4_096 * 56**2
    assert found["conv2"] == 110_592 * 56**2
    assert found["fc"] == 1_024_000


def test_only_the_separable_conv1_has_the_counts_that_table_1_prints():
    net = on_meta(GoogLeNet, stem="separable").eval()
    assert weights(net.conv1) == 2_712  # 2.7K
    assert multiply_adds(net)["conv1"] == 34_019_328  # 34M
    assert measured(net, 224).shapes["conv1"] == (64, 112, 112)


def test_the_stages_have_the_output_sizes_of_table_1():
    net = on_meta(GoogLeNet)
    found = measured(net, 224).shapes
    assert list(found)[:5] == ["conv1", "pool1", "norm1", "conv2_reduce", "conv2"]
    assert list(found)[5:7] == ["norm2", "pool2"]
    assert found["conv1"] == (64, 112, 112)
    assert found["pool1"] == found["norm1"] == found["conv2_reduce"] == (64, 56, 56)
    assert found["conv2"] == found["norm2"] == (192, 56, 56)
    assert found["pool2"] == (192, 28, 28)
    for name, (*_, outputs, side, _, _) in MODULES.items():
        assert found[f"inception_{name}"] == (outputs, side, side)
    assert found["pool3"] == (480, 14, 14)
    assert found["pool4"] == (832, 7, 7)
    assert found["pool5"] == found["dropout"] == (1024, 1, 1)
    assert found["fc"] == (1000, 1, 1)
    assert found["aux1"] == found["aux2"] == (1000,)
    assert measured(net.aux1, 14, channels=512).shapes == {
        **{"pool": (512, 4, 4), "conv": (128, 4, 4)},
        **{"hidden": (1024, 1, 1), "dropout": (1024, 1, 1), "fc": (1000, 1, 1)},
    }
    assert measured(net.aux2, 14, channels=528).shapes["pool"] == (528, 4, 4)


# Fig. 2a with the widths of Table 1, by hand: each module appends its pooled input, and has
# inputs x (#1x1 + 9 #3x3 + 25 #5x5) weights.
NAIVE = {
    "3a": (416, 387_072),
    "3b": (832, 1_770_496),
    "4a": (1280, 2_715_648),
    "4b": (1728, 4_833_280),
    "4c": (2176, 6_967_296),
    "4d": (2640, 9_365_504),
    "4e": (3344, 16_727_040),
    "5a": (4048, 21_187_584),
    "5b": (4944, 28_497_920),
}


def test_without_reductions_the_net_is_14_times_as_large_and_8_times_as_slow():
    net = on_meta(GoogLeNet, "naive").eval()
    found = measured(net, 224)
    for name, (outputs, count) in NAIVE.items():
        assert found.shapes[f"inception_{name}"][0] == outputs
        assert weights(net.get_submodule(f"inception_{name}")) == count
    # 124,096 weights before 3a, 4,944,000 of fc, 6,072 biases
    assert parameters(on_meta(GoogLeNet, "naive", auxiliary=False)) == 97_526_008
    assert found.multiply_adds == 12_568_061_056
    # the heads differ in their 1x1 convolution alone, of 1280 and 2640 maps for 512 and 528
    assert found.parameters == 97_526_008 + 3_188_840 + 3_190_888 + 128 * (768 + 2112)


# -- what is computed -----------------------------------------------------------------------------


def convolved(x, layer):
    """Same-size convolution of (channels, height, width), one output pixel at a time."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    pad = weight.shape[2] // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    y = np.empty((len(weight), *x.shape[1:]))
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            patch = padded[:, i : i + 2 * pad + 1, j : j + 2 * pad + 1]
            y[:, i, j] = (weight * patch).sum((1, 2, 3)) + bias
    return y


def pooled(x):
    """The largest of the up to 3 x 3 pixels around each pixel."""
    y = np.empty_like(x)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            near = x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            y[:, i, j] = near.max((1, 2))
    return y


def relu(x):
    return np.maximum(x, 0)


def test_an_inception_module_equals_its_figure_in_loops():
    module = drawn(Inception, 3, (2, 3, 4, 5, 2, 3), False)
    x = images(1, 3, 7, 6)
    y = x[0].numpy()
    expected = [
        relu(convolved(y, module.conv1x1)),
        relu(convolved(relu(convolved(y, module.reduce3x3)), module.conv3x3)),
        relu(convolved(relu(convolved(y, module.reduce5x5)), module.conv5x5)),
        relu(convolved(pooled(y), module.pool_proj)),
    ]
    close(module(x).detach()[0], torch.from_numpy(np.concatenate(expected)))


def test_a_naive_module_equals_its_figure_in_loops_and_is_trained():
    module = drawn(NaiveInception, 3, (2, 3, 4, 5, 2, 3), False)
    x = images(1, 3, 7, 6)
    y = x[0].numpy()
    expected = [
        *(relu(convolved(y, layer)) for layer in (module.conv1x1, module.conv3x3, module.conv5x5)),
        pooled(y),
    ]
    assert expected[-1].min() < 0  # passed through as it is
    close(module(x).detach()[0], torch.from_numpy(np.concatenate(expected)))
    module(x).square().sum().backward()
    assert all(p.grad.any() for p in module.parameters())


class Reference:
    """The net from its tensors by name and the rows of Table 1; sizes even until pool5."""

    def __init__(self, net, lrn=True):
        self.w, self.lrn = dict(net.named_parameters()), lrn

    def conv(self, name, x, stride=1, pad=0):
        return F.relu(
            F.conv2d(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], stride, padding=pad)
        )

    def norm(self, x):
        """Five adjacent maps; Caffe's constants, alpha divided by five."""
        if not self.lrn:
            return x
        near = F.pad(x**2, (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
        return x / (1 + 1e-4 / 5 * near) ** 0.75

    def pool(self, x):
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2)

    def module(self, name, x):
        name = f"inception_{name}"
        return torch.cat(
            [
                self.conv(f"{name}.conv1x1", x),
                self.conv(f"{name}.conv3x3", self.conv(f"{name}.reduce3x3", x), pad=1),
                self.conv(f"{name}.conv5x5", self.conv(f"{name}.reduce5x5", x), pad=2),
                self.conv(f"{name}.pool_proj", F.max_pool2d(x, 3, 1, 1)),
            ],
            1,
        )

    def linear(self, name, x):
        return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def head(self, name, x, side):
        """Of the `side` x `side` windows, averaged."""
        x = self.conv(f"{name}.conv", F.avg_pool2d(x, 5, 3))
        windows = [
            x[:, :, i : i + side, j : j + side].flatten(1)
            for i in range(x.shape[2] - side + 1)
            for j in range(x.shape[3] - side + 1)
        ]
        hidden = [F.relu(self.linear(f"{name}.hidden", window)) for window in windows]
        return torch.stack([self.linear(f"{name}.fc", h) for h in hidden]).mean(0)

    def before_pool5(self, x):
        if "conv1.weight" in self.w:
            x = self.conv("conv1", x, 2, 3)
        else:
            x = F.conv2d(x, self.w["conv1.depthwise.weight"], None, 2, 3, 1, 3)
            x = self.conv("conv1.pointwise", x)
        x = self.conv("conv2_reduce", self.norm(self.pool(x)))
        x = self.pool(self.norm(self.conv("conv2", x, pad=1)))
        x = self.pool(self.module("3b", self.module("3a", x)))
        self.maps_4a = self.module("4a", x)
        self.maps_4d = self.module("4d", self.module("4c", self.module("4b", self.maps_4a)))
        return self.module("5b", self.module("5a", self.pool(self.module("4e", self.maps_4d))))

    def __call__(self, x):
        return self.linear("fc", self.before_pool5(x).mean((2, 3)))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"input_size": 128}, (128, 128)),
        ({"input_size": 96, "stem": "separable"}, (96, 128)),
        ({"input_size": 96, "lrn": False}, (96, 96)),
    ],
)
def test_scores_equal_an_independent_forward_pass_with_the_same_tensors(options, size):
    net = drawn(GoogLeNet, num_classes=7, dropout=0.0, auxiliary_dropout=0.0, **options)
    theirs, x = Reference(net, options.get("lrn", True)), images(2, 3, *size)
    side = 2 if options["input_size"] == 128 else 1  # of the pooled maps: 8 and 6 in, 5 / 3
    with torch.no_grad():
        expected = theirs(x)
        scores, aux1, aux2 = net(x)
        close(scores, expected)
        close(aux1, theirs.head("aux1", theirs.maps_4a, side))
        close(aux2, theirs.head("aux2", theirs.maps_4d, side))
        close(net.eval()(x), expected)


def test_with_batch_norm_scores_equal_torchvisions_mended_net():
    """Its "5x5" is 3x3, its pool4 2x2, and it has no normalization of local responses."""
    theirs = torchvision.models.googlenet(
        aux_logits=False, transform_input=False, init_weights=False, num_classes=7
    )
    theirs.maxpool4 = nn.MaxPool2d(3, 2, ceil_mode=True)
    for module in theirs.modules():
        if type(module).__name__ == "Inception":
            conv = module.branch3[1].conv
            wide = nn.Conv2d(conv.in_channels, conv.out_channels, 5, padding=2, bias=False)
            module.branch3[1].conv = wide
    ours = drawn(GoogLeNet, auxiliary=False, lrn=False, batch_norm=True, num_classes=7).eval()
    values = list(ours.state_dict().values())  # both list their tensors in the order of the layers
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)), assign=True)
    x = images(2, 3, 96, 64)
    with torch.no_grad():
        close(ours(x), theirs.eval()(x))


def test_the_sliding_head_averages_over_7_x_7_windows_at_stride_1():
    net = drawn(GoogLeNet, auxiliary=False, head="sliding", num_classes=7, dropout=0.0).eval()
    theirs, x = Reference(net), images(1, 3, 256, 224)  # 8 x 7 maps
    with torch.no_grad():
        maps = theirs.before_pool5(x)
        expected = [theirs.linear("fc", maps[:, :, k : k + 7].mean((2, 3))) for k in (0, 1)]
        found = net.class_map(x)
    assert found.shape == (1, 7, 2, 1)
    close(found[0, :, :, 0].T, torch.cat(expected))


def test_the_two_heads_are_the_same_at_224_and_differ_in_their_class_maps_on_larger_images():
    wide, sliding = (on_meta(GoogLeNet, head=head).eval() for head in ("global", "sliding"))
    maps = torch.randn(2, 1024, 7, 7, dtype=torch.float64)
    close(sliding.pool5(maps), wide.pool5(maps))
    x = torch.empty(2, 3, 288, 320, device="meta")  # 9 x 10 maps
    assert sliding.class_map(x).shape == (2, 1000, 3, 4)
    assert wide.class_map(x).shape == (2, 1000, 1, 1)
    assert sliding(x).shape == wide(x).shape == (2, 1000)


# -- the auxiliary heads --------------------------------------------------------------------------


def test_the_heads_are_run_in_training_only():
    net, runs = on_meta(GoogLeNet), []
    for head in (net.aux1, net.aux2):
        head.register_forward_hook(lambda module, inputs, output: runs.append(module))
    x = torch.empty(2, 3, 224, 224, device="meta")
    assert [scores.shape for scores in net(x)] == [(2, 1000)] * 3
    assert runs == [net.aux1, net.aux2]
    runs.clear()
    assert net.eval()(x).shape == (2, 1000)
    assert runs == []


def test_without_heads_training_gives_the_scores_alone():
    net = on_meta(GoogLeNet, auxiliary=False)
    assert net(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 1000)


def test_the_scores_are_those_of_a_net_without_heads_that_has_the_other_tensors():
    net = drawn(GoogLeNet, num_classes=7).eval()
    bare = drawn(GoogLeNet, auxiliary=False, num_classes=7).eval()
    tensors = {n: 2 * t for n, t in net.state_dict().items()}
    net.load_state_dict(tensors)
    kept = {n: t for n, t in tensors.items() if not n.startswith(("aux1.", "aux2."))}
    bare.load_state_dict(kept)
    for head in (net.aux1, net.aux2):
        for parameter in head.parameters():
            nn.init.constant_(parameter, math.nan)
    x = images(2, 3, 64, 64)
    with torch.no_grad():
        close(net(x), bare(x))


@pytest.mark.parametrize(("head", "last"), [(1, "inception_4a"), (2, "inception_4d")])
def test_a_head_trains_the_layers_up_to_the_maps_that_it_sees(head, last):
    net = drawn(GoogLeNet, num_classes=3, input_size=80)
    net(images(2, 3, 80, 80))[head].square().sum().backward()
    names = [n for n, m in net.named_children() if list(m.parameters()) and "aux" not in n]
    reached = {n.split(".")[0] for n, p in net.named_parameters() if p.grad is not None}
    assert reached == {*names[: names.index(last) + 1], f"aux{head}"}


@pytest.mark.parametrize("options", [{}, {"stem": "separable", "batch_norm": True, "lrn": False}])
def test_gradients_reach_every_parameter(options):
    torch.manual_seed(0)
    net = GoogLeNet(num_classes=3, input_size=96, **options)
    scores = net(torch.randn(4, 3, 96, 96))
    sum(s.square().sum() for s in scores).backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


# -- options --------------------------------------------------------------------------------------


def test_dropout_is_0_4_on_the_net_and_0_7_on_the_heads_under_names_of_their_own():
    dropouts = [m for m in on_meta(GoogLeNet).modules() if isinstance(m, Dropout)]
    assert [m.p for m in dropouts] == [0.4, 0.7, 0.7]
    assert len({m.name for m in dropouts}) == 3
    assert all(m.inverted for m in dropouts)


def test_classic_dropout_scales_what_fc_sees_in_evaluation():
    net = drawn(GoogLeNet, auxiliary=False, inverted_dropout=False, num_classes=7).eval()
    theirs, x = Reference(net), images(2, 3, 64, 64)
    with torch.no_grad():
        close(net(x), theirs.linear("fc", 0.6 * theirs.before_pool5(x).mean((2, 3))))


def test_a_value_removes_the_normalization():
    with_, without = on_meta(GoogLeNet), on_meta(GoogLeNet, lrn=False)
    found = [n for n, m in with_.named_modules() if isinstance(m, LocalResponseNorm)]
    assert found == ["norm1", "norm2"]
    assert not any(isinstance(m, LocalResponseNorm) for m in without.modules())


def test_batch_norm_follows_every_convolution_which_then_has_no_bias():
    net = on_meta(GoogLeNet, batch_norm=True)
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(convs) == len(norms) == 57 + 2
    assert all(m.bias is None for m in convs)
    assert {m.eps for m in norms} == {1e-3}  # torchvision's
    assert not any(isinstance(m, nn.BatchNorm2d) for m in on_meta(GoogLeNet).modules())


def test_every_stage_keeps_the_channels_last():
    net = GoogLeNet(num_classes=3, input_size=96).to(memory_format=torch.channels_last)
    copied = []

    def look(module, inputs, output):
        if output.dim() == 4 and not output.is_contiguous(memory_format=torch.channels_last):
            copied.append(module)

    for child in net.children():
        child.register_forward_hook(look)
    with torch.no_grad():
        net(torch.zeros(2, 3, 96, 96).to(memory_format=torch.channels_last))
    assert copied == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"module": "Inception"}, "module is inception or naive.*module='Inception'"),
        ({"stem": "7x7"}, "stem is dense or separable.*stem='7x7'"),
        ({"head": "fc"}, "head is global or sliding.*head='fc'"),
        ({"input_size": 78}, "input_size=78 leaves 4 x 4 .*79 at least, or auxiliary=false"),
    ],
)
def test_a_net_that_the_paper_does_not_have_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        on_meta(GoogLeNet, **options)


def test_79_pixels_are_enough_for_the_heads_and_without_them_fewer_are():
    assert len(on_meta(GoogLeNet, input_size=79)(torch.empty(1, 3, 79, 79, device="meta"))) == 3
    bare = on_meta(GoogLeNet, auxiliary=False, input_size=32)
    assert bare(torch.empty(1, 3, 32, 32, device="meta")).shape == (1, 1000)


@pytest.mark.parametrize(
    ("name", "module"), [("googlenet", "inception"), ("inception_naive", "naive")]
)
def test_the_configuration_names_every_option_at_its_default(name, module):
    given = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text())["model"]
    defaults = {n: p.default for n, p in inspect.signature(GoogLeNet).parameters.items()}
    del given["_target_"], defaults["num_classes"]
    assert given == {**defaults, "module": module, "input_size": "${recipe.crop.size}"}
