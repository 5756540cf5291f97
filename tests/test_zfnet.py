from inspect import signature

import pytest
import torch
from measure import measured, multiply_adds, on_meta, parameters
from torch import nn
from torch.nn import functional as F

from topfive.config import compose
from topfive.layers import Dropout, LocalResponseNorm
from topfive.models.zfnet import ZFNet

BIG = (512, 1024, 512)  # Table 3


def small(**options):
    """Few maps on 82 x 82: conv1 39 x 39 (to 83), then 19, 8, 4 and, before fc6, 2."""
    torch.manual_seed(0)
    sizes = {"input_size": 82, "maps": (8, 12, 6), "fc": 10, "num_classes": 3}
    return ZFNet(**(sizes | options))


def test_every_layer_has_the_parameters_of_figure_3():
    net = on_meta(ZFNet)
    # Zeiler and Fergus 2013, Fig. 3, by hand: (inputs x kernel + 1) x maps, no groups
    assert {n: parameters(m) for n, m in net.named_children() if parameters(m)} == {
        "conv1": (3 * 7 * 7 + 1) * 96,
        "conv2": (96 * 5 * 5 + 1) * 256,
        "conv3": (256 * 3 * 3 + 1) * 384,
        "conv4": (384 * 3 * 3 + 1) * 384,
        "conv5": (384 * 3 * 3 + 1) * 256,
        "fc6": (9216 + 1) * 4096,
        "fc7": (4096 + 1) * 4096,
        "fc8": (4096 + 1) * 1000,
    }
    assert parameters(net) == 62_357_608


@pytest.mark.parametrize("padding", ["ceil", "symmetric"])
def test_every_layer_has_the_multiply_adds_of_figure_3(padding):
    found = multiply_adds(on_meta(ZFNet, conv1_padding=padding))
    # By hand: inputs x kernel x maps x positions
    assert {n: m for n, m in found.items() if n.startswith(("conv", "fc"))} == {
        "conv1": 3 * 49 * 96 * 110 * 110,
        "conv2": 96 * 25 * 256 * 26 * 26,
        "conv3": 256 * 9 * 384 * 169,
        "conv4": 384 * 9 * 384 * 169,
        "conv5": 384 * 9 * 256 * 169,
        "fc6": 9216 * 4096,
        "fc7": 4096 * 4096,
        "fc8": 4096 * 1000,
    }
    assert found["Global"] == 1_168_032_896


# Table 3, right column, by hand: the layers that change are conv3 to conv5 and fc6 to fc8.
@pytest.mark.parametrize(
    ("options", "params", "macs"),
    [
        ({"maps": BIG}, 107_627_624, 2_476_704_896),
        ({"fc": 2048}, 28_848_232, None),
        ({"fc": 8192}, 154_542_184, None),
        ({"maps": BIG, "fc": 8192}, 237_560_936, None),
        ({"lrn": False}, 62_357_608, 1_168_032_896),
    ],
)
def test_a_variant_of_table_3_has_its_size(options, params, macs):
    found = measured(on_meta(ZFNet, **options), 224)
    assert found.parameters == params
    assert macs is None or found.multiply_adds == macs


@pytest.mark.parametrize(
    ("padding", "maps", "order"),
    [
        ("ceil", (384, 384, 256), "pool_norm"),
        ("symmetric", (384, 384, 256), "norm_pool"),
        ("ceil", BIG, "pool_norm"),
    ],
)
def test_the_layers_have_the_output_sizes_of_figure_3(padding, maps, order):
    found = measured(on_meta(ZFNet, conv1_padding=padding, maps=maps, order=order), 224).shapes
    assert found["conv1"] == (96, 110, 110)
    assert found["pool1"] == (96, 55, 55)
    assert found["conv2"] == (256, 26, 26)
    assert found["pool2"] == (256, 13, 13)
    assert [found[f"conv{k}"] for k in (3, 4, 5)] == [(m, 13, 13) for m in maps]
    assert found["pool5"] == (maps[-1], 6, 6)
    assert found["fc6"] == found["fc7"] == (4096, 1, 1)
    assert found["fc8"] == (1000, 1, 1)
    normalized = [found["norm1"], found["norm2"]]
    assert normalized == (
        [(96, 55, 55), (256, 13, 13)] if order == "pool_norm" else [(96, 110, 110), (256, 26, 26)]
    )


def test_the_children_are_the_layers_of_figure_3_in_order():
    first = ["conv1", "pool1", "norm1", "conv2", "pool2", "norm2"]
    last = ["conv3", "conv4", "conv5", "pool5", "fc6", "dropout6", "fc7", "dropout7", "fc8"]
    assert [n for n, _ in on_meta(ZFNet).named_children()] == first + last
    other = [n for n, _ in on_meta(ZFNet, order="norm_pool").named_children()]
    assert other == ["conv1", "norm1", "pool1", "conv2", "norm2", "pool2", *last]


@pytest.mark.parametrize(
    ("padding", "first", "last"),
    # 110 windows of 7 at stride 2 are 225 pixels: the 225th lies beyond the last or before the first
    [("ceil", 7, 6), ("symmetric", 6, 7)],
)
def test_the_first_and_the_last_window_have_so_many_columns_of_the_image(padding, first, last):
    net, seen = small(conv1_padding=padding), []
    x = torch.zeros(1, 3, 224, 224, requires_grad=True)
    net.conv1.register_forward_hook(lambda module, inputs, output: seen.append(output))
    net(x)
    for window, columns in ((0, range(first)), (109, range(224 - last, 224))):
        (slope,) = torch.autograd.grad(seen[0][0, 0, 50, window], x, retain_graph=True)
        assert slope.abs().sum((0, 1, 2)).nonzero().flatten().tolist() == list(columns)


@pytest.mark.parametrize("size", [224, 225, 226, 227])
def test_rounding_up_leaves_no_pixel_unseen(size):
    net, seen = small(), []
    with torch.no_grad(), net.conv1.register_forward_hook(lambda m, i, output: seen.append(output)):
        x = torch.zeros(1, 3, 224, size)
        net(x)
        x[..., -1, -1] = 100
        net(x)
    moved = (seen[1] - seen[0]).abs().sum((0, 1))
    assert moved.shape == (110, (size - 6) // 2 + 1)
    assert moved[-1, -1] > 0


def cross_map(a):
    return F.local_response_norm(a, 5, 1e-4, 0.75, 2.0)


def pool(a):
    return F.max_pool2d(a, 3, 2, ceil_mode=True)


@pytest.mark.parametrize(
    ("options", "first", "second"),
    [
        ({}, pool, cross_map),
        ({"order": "norm_pool"}, cross_map, pool),
        ({"lrn": False}, pool, nn.Identity()),
        ({"conv1_padding": "symmetric"}, pool, cross_map),
    ],
)
def test_scores_equal_those_of_the_layers_written_out(options, first, second):
    """Fig. 3, caption: each convolution, then ReLU, pooling, and normalization across maps."""
    net = small(**options).double().eval()
    x = torch.randn(2, 3, 82, 82, dtype=torch.float64) * 100
    weights = dict(net.named_parameters())
    for name, value in weights.items():
        std = (2 / value[0].numel()) ** 0.5 if name.endswith("weight") else 0.1
        nn.init.normal_(value, std=std)

    def conv(name, y, **how):
        return F.relu(F.conv2d(y, weights[f"{name}.weight"], weights[f"{name}.bias"], **how))

    with torch.no_grad():
        edges = (1, 1, 1, 1) if "conv1_padding" in options else (0, 1, 0, 1)
        y = second(first(conv("conv1", F.pad(x, edges), stride=2)))
        y = second(first(conv("conv2", y, stride=2)))
        for name in ("conv3", "conv4", "conv5"):
            y = conv(name, y, padding=1)
        y = pool(y).flatten(1)
        for name in ("fc6", "fc7"):
            y = 0.5 * F.relu(y @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
        expected = y @ weights["fc8.weight"].T + weights["fc8.bias"]
        assert expected.std(0).min() > 1e-3
        torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-10)


def test_normalization_has_alexnets_constants_which_are_values():
    norms = [m for m in on_meta(ZFNet).modules() if isinstance(m, LocalResponseNorm)]
    found = [(m.size, m.alpha, m.beta, m.k, m.groups) for m in norms]
    assert found == [(5, 1e-4, 0.75, 2.0, 1)] * 2
    other = on_meta(ZFNet, lrn_size=3, lrn_alpha=5e-5, lrn_beta=0.5, lrn_k=1.0).norm2
    assert (other.size, other.alpha, other.beta, other.k) == (3, 5e-5, 0.5, 1.0)
    assert not any(isinstance(m, LocalResponseNorm) for m in on_meta(ZFNet, lrn=False).modules())


def test_dropout_of_one_half_is_on_fc6_and_fc7_under_names_of_their_own():
    dropouts = [m for m in on_meta(ZFNet).modules() if isinstance(m, Dropout)]
    assert [(m.p, m.inverted) for m in dropouts] == [(0.5, False)] * 2  # section 3.1
    assert len({m.name for m in dropouts}) == 2
    other = on_meta(ZFNet, dropout=0.2)
    assert [m.p for m in other.modules() if isinstance(m, Dropout)] == [0.2, 0.2]


@pytest.mark.parametrize(
    ("size", "side"),
    # pool5: 224 has 6; 256 has 126, 63, 30, 15, 7 and 288 has 142, 71, 34, 17, 8
    [(224, 1), (256, 2), (288, 3)],
)
def test_a_larger_image_has_a_class_map(size, side):
    net = on_meta(ZFNet, num_classes=7)
    x = torch.empty(2, 3, 224, size, device="meta")
    assert net.class_map(x).shape == (2, 7, 1, side)
    assert net(x).shape == (2, 7)


def test_the_score_is_the_mean_of_the_class_map():
    net = small().eval()
    x = torch.randn(1, 3, 114, 146)
    with torch.no_grad():
        found = net.class_map(x)
        assert found[0, 0].unique().numel() == found[0, 0].numel() > 1
        torch.testing.assert_close(net(x)[0], found[0].flatten(1).mean(1))


def test_feature_maps_stay_channels_last():
    net, lost = small().to(memory_format=torch.channels_last), []

    def look(module, inputs, output):
        if not output.is_contiguous(memory_format=torch.channels_last):
            lost.append(module)

    for name, child in net.named_children():
        if name.startswith(("conv", "norm", "pool")):
            child.register_forward_hook(look)
    net(torch.randn(2, 3, 82, 82).to(memory_format=torch.channels_last))
    assert lost == []


@pytest.mark.parametrize(
    "options", [{}, {"lrn": False, "conv1_padding": "symmetric"}, {"order": "norm_pool"}]
)
def test_gradients_reach_every_parameter(options):
    net = small(fc=32, **options)
    net(torch.randn(4, 3, 82, 82)).square().sum().backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conv1_padding": "same"}, "conv1_padding is ceil or symmetric, .*conv1_padding='same'"),
        ({"order": "norm"}, "order is pool_norm or norm_pool, .*order='norm'"),
        ({"maps": [384, 384]}, r"counts of conv3, conv4 and conv5, not \[384, 384\]"),
        ({"input_size": 40}, "nothing is left of an image of input_size=40"),
    ],
)
def test_a_value_that_makes_no_network_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        on_meta(ZFNet, **options)


@pytest.mark.parametrize(("name", "maps"), [("zfnet", (384, 384, 256)), ("zfnet_big", BIG)])
def test_the_configuration_states_every_option_and_each_is_the_papers(name, maps):
    stated = compose([f"model={name}"])["model"]
    defaults = {n: p.default for n, p in signature(ZFNet).parameters.items()}
    assert stated == {
        "_target_": "topfive.models.zfnet.ZFNet",
        **{name: value for name, value in defaults.items() if name != "num_classes"},
        "maps": list(maps),
    }
