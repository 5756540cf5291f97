from functools import cache

import pytest
import torch
import torchvision
from measure import measured, on_meta, parameters
from torch import nn

from topfive.models.resnet import Bottleneck, CifarResNet, ResNet


@cache
def counted(kind, *options):
    return measured(on_meta(kind, *options), 224 if kind is ResNet else 32)


# He et al. 2015, Table 1 and section 4.1, by hand from the layers; the paper rounds the
# multiply-adds to 1.8, 3.6, 3.8, 7.6 and 11.3 billion
IMAGENET = [
    (18, None, 11_515_688, 1_794_805_760),
    (18, "A", 11_515_688, 1_794_805_760),
    (18, "B", 11_689_512, 1_814_073_344),
    (18, "C", 12_043_816, 1_878_298_624),
    (34, None, 21_623_848, 3_644_493_824),
    (34, "A", 21_623_848, 3_644_493_824),
    (34, "B", 21_797_672, 3_663_761_408),
    (34, "C", 22_716_840, 3_830_747_136),
    (50, "B", 25_557_032, 3_857_973_248),
    (101, "B", 44_549_160, 7_570_194_432),
    (152, "B", 60_192_808, 11_282_415_616),
]


@pytest.mark.parametrize(("depth", "shortcut", "params", "macs"), IMAGENET)
def test_imagenet_nets_have_the_size_of_table_1(depth, shortcut, params, macs):
    net = counted(ResNet, depth, shortcut, "1x1")
    assert net.parameters == params
    assert net.multiply_adds == macs


@pytest.mark.parametrize(
    ("depth", "macs"), [(50, 4_089_184_256), (101, 7_801_405_440), (152, 11_513_626_624)]
)
def test_the_stride_on_the_3x3_costs_more_multiply_adds_than_the_paper_states(depth, macs):
    assert counted(ResNet, depth, "B", "3x3").multiply_adds == macs


# Section 4.2; Table 6 rounds the parameters to 0.27, 0.46, 0.66, 0.85, 1.7 and 19.4 million
CIFAR = [
    (20, 269_722, 272_474, 40_551_040),
    (32, 464_154, 466_906, 68_862_592),
    (44, 658_586, 661_338, 97_174_144),
    (56, 853_018, 855_770, 125_485_696),
    (110, 1_727_962, 1_730_714, 252_887_680),
    pytest.param(1202, 19_421_274, 19_424_026, 2_829_238_912, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("depth", "with_a", "with_b", "macs"), CIFAR)
def test_cifar_nets_have_the_size_of_section_4_2(depth, with_a, with_b, macs):
    plain, projecting = on_meta(CifarResNet, depth, None), on_meta(CifarResNet, depth, "B")
    assert parameters(plain) == with_a
    assert parameters(projecting) == with_b
    residual = counted(CifarResNet, depth, "A")
    assert (residual.parameters, residual.multiply_adds) == (with_a, macs)


def layers(net):
    """Convolutions and fully connected layers, less the projections: what the papers count."""
    counted = [n for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return sum("shortcut" not in name for name in counted)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_an_imagenet_net_has_as_many_layers_as_its_name_says(depth):
    assert layers(on_meta(ResNet, depth)) == depth


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_a_cifar_net_has_as_many_layers_as_its_name_says(depth):
    assert layers(on_meta(CifarResNet, depth)) == depth


def test_resnet1202_has_1202_layers_and_19_421_274_parameters():
    net = on_meta(CifarResNet, 1202)
    assert layers(net) == 1202
    assert parameters(net) == 19_421_274  # Table 6: 19.4 million


@pytest.mark.parametrize(
    ("depth", "wide", "stride_on"),
    [
        (18, 1, "1x1"),
        (34, 1, "1x1"),
        *((depth, 4, stride_on) for depth in (50, 101, 152) for stride_on in ("1x1", "3x3")),
    ],
)
def test_the_stages_of_imagenet_nets_have_the_output_sizes_of_table_1(depth, wide, stride_on):
    found = counted(ResNet, depth, "B", stride_on).shapes
    assert found["conv1"] == (64, 112, 112)
    assert found["pool1"] == (64, 56, 56)
    assert found["conv2_x"] == (64 * wide, 56, 56)
    assert found["conv3_x"] == (128 * wide, 28, 28)
    assert found["conv4_x"] == (256 * wide, 14, 14)
    assert found["conv5_x"] == (512 * wide, 7, 7)
    assert found["average_pool"] == (512 * wide, 1, 1)
    assert found["fc"] == (1000, 1, 1)


def test_the_stages_of_cifar_nets_have_the_output_sizes_of_section_4_2():
    found = counted(CifarResNet, 20, "A").shapes
    assert found["conv2_x"] == (16, 32, 32)
    assert found["conv3_x"] == (32, 16, 16)
    assert found["conv4_x"] == (64, 8, 8)
    assert found["average_pool"] == (64, 1, 1)
    assert found["fc"] == (10,)


def test_the_original_bottleneck_has_its_stride_on_the_first_1x1():
    net = on_meta(ResNet, 50)
    for stage in (net.conv3_x, net.conv4_x, net.conv5_x):
        first, *others = [m for m in stage.children() if isinstance(m, Bottleneck)]
        assert [m.stride[0] for m in (first.conv1, first.conv2, first.conv3)] == [2, 1, 1]
        assert all(m.conv1.stride == m.conv2.stride == (1, 1) for m in others)


def torchvisions(depth):
    """Torchvision's net with values that tell every layer and buffer apart."""
    net = on_meta(getattr(torchvision.models, f"resnet{depth}"))
    net = net.double().to_empty(device="cpu").eval()
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            nn.init.uniform_(module.weight, -2 * bound, 2 * bound)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 0.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.zeros_(module.num_batches_tracked)
    return net


def move_stride(theirs):
    """Torchvision's bottlenecks to the paper's: the stride from the 3x3 to the first 1x1."""
    for module in theirs.modules():
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, (1, 1)


@pytest.mark.parametrize(
    ("depth", "stride_on"),
    [(18, "1x1"), (34, "1x1"), (50, "1x1"), (50, "3x3"), (101, "1x1"), (152, "1x1")],
)
def test_scores_equal_torchvisions_with_its_weights(depth, stride_on):
    theirs = torchvisions(depth)
    ours = on_meta(ResNet, depth, "B", stride_on, "padded").eval()
    # Both list their tensors in the order of the layers, the projection last in its block.
    values = list(theirs.state_dict().values())
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)), assign=True)
    if stride_on == "1x1":
        move_stride(theirs)
    x = torch.randn(2, 3, 48, 40, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x)
        assert expected.std(0).min() > 0
        torch.testing.assert_close(ours(x), expected, rtol=1e-10, atol=1e-10)


def test_option_a_takes_every_second_pixel_and_appends_zero_maps():
    net = CifarResNet(20, "A")
    x = torch.randn(2, 16, 8, 8)
    y = net.conv3_x[0].shortcut(x)
    assert y.shape == (2, 32, 4, 4)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()


def test_half_of_the_added_zero_maps_come_ahead_when_asked():
    net = CifarResNet(8, added_channels="around")
    x = torch.randn(2, 32, 8, 8)
    y = net.conv4_x[0].shortcut(x)
    assert y.shape == (2, 64, 4, 4)
    assert torch.equal(y[:, 16:48], x[:, :, ::2, ::2])
    assert not y[:, :16].any()
    assert not y[:, 48:].any()


# Section 4.1: A has no parameters, B projects where the shape changes, C projects everywhere.
# The 34-layer net has 16 blocks, of which 3 change the shape; the 50-layer net 16, of which 4 do.
@pytest.mark.parametrize(
    ("depth", "option", "projections"), [(34, "A", 0), (34, "B", 3), (34, "C", 16), (50, "B", 4)]
)
def test_an_option_projects_where_the_paper_says(depth, option, projections):
    net = on_meta(ResNet, depth, option)
    found = [m for n, m in net.named_modules() if n.endswith("shortcut.0")]
    assert len(found) == projections
    assert all(isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) for m in found)


@pytest.mark.parametrize("build", [lambda s: ResNet(18, s), lambda s: CifarResNet(20, s)])
def test_a_plain_net_has_no_shortcut(build):
    torch.manual_seed(0)
    plain, residual = build(None), build("A")
    residual.load_state_dict(plain.state_dict())  # the same layers
    for net in (plain, residual):
        # Without weights in the residual function, only a shortcut can carry the image.
        for name, module in net.named_modules():
            if name.startswith("conv") and name.endswith(("bn1", "bn2")):
                nn.init.zeros_(module.weight)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(*plain.eval()(images))
    assert not torch.allclose(*residual.eval()(images))


@pytest.mark.parametrize(
    ("kind", "depth", "shortcut"),
    [*((CifarResNet, 8, s) for s in ("A", "B", "C", None)), (ResNet, 18, "C"), (ResNet, 50, "B")],
)
def test_gradients_reach_every_parameter(kind, depth, shortcut):
    torch.manual_seed(0)
    net = kind(depth, shortcut)
    net(torch.randn(4, 3, 32, 32)).square().sum().backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ResNet(42), "depths 18, 34, 50, 101, 152 .*depth=42"),
        (lambda: ResNet(50, stride_on="1X1"), "stride_on is 1x1 or 3x3.*'1X1'"),
        (lambda: ResNet(50, stem_pool="same"), "stem_pool is ceil or padded .*stem_pool='same'"),
        (lambda: ResNet(50, head="dense"), "head is global or sliding.*head='dense'"),
        (lambda: ResNet(18, "b"), "A, B, C or null .plain., not 'b'"),
        (lambda: CifarResNet(18), r"6n \+ 2 layers .20, 32, 44, .*not 18"),
        (lambda: CifarResNet(20, "none"), "A, B, C or null .plain., not 'none'"),
        (lambda: CifarResNet(20, "A", "before"), "added_channels is after or around, not 'before'"),
    ],
)
def test_a_net_that_the_paper_does_not_have_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


# eval_protocols.md, section 5: shorter sides 224 to 640 make maps of 1, 2, 6, 9 and 14
@pytest.mark.parametrize(("side", "places"), [(224, 1), (256, 2), (384, 6), (480, 9), (640, 14)])
def test_the_sliding_head_makes_a_class_map_of_a_larger_image(side, places):
    net, images = on_meta(ResNet, 18, head="sliding"), torch.empty(2, 3, side, 640, device="meta")
    assert net.class_map(images).shape == (2, 1000, places, 14)
    assert net(images).shape == (2, 1000)


def test_the_global_head_averages_an_image_of_any_size():
    net = on_meta(ResNet, 18)
    assert net.class_map(torch.empty(2, 3, 288, 320, device="meta")).shape == (2, 1000, 1, 1)


@pytest.fixture(scope="module")
def two_heads():
    """The same network under either head, with values that tell every layer apart."""
    state = torchvisions(18).state_dict().values()
    nets = [on_meta(ResNet, 18, head=head).eval() for head in ("global", "sliding")]
    for net in nets:
        net.load_state_dict(dict(zip(net.state_dict(), state, strict=True)), assign=True)
    return nets


def test_both_heads_give_the_same_scores_at_224(two_heads):
    x = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(*(net(x) for net in two_heads), rtol=0, atol=1e-10)


def test_the_sliding_head_scores_every_7x7_window_and_averages_the_scores(two_heads):
    net = two_heads[1]
    maps = torch.randn(1, 512, 8, 9, dtype=torch.float64)
    hook = net.conv5_x.register_forward_hook(lambda *_: maps)
    with torch.no_grad():
        scores, found = (
            f(torch.randn(1, 3, 64, 64, dtype=torch.float64)) for f in (net, net.class_map)
        )
        for row, column in [(0, 0), (1, 2)]:
            window = maps[:, :, row : row + 7, column : column + 7].mean((2, 3))
            expected = window @ net.fc.weight.T + net.fc.bias
            torch.testing.assert_close(found[:, :, row, column], expected, rtol=0, atol=1e-10)
    hook.remove()
    torch.testing.assert_close(scores, found.sum((2, 3)) / 6, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("stem_pool", "first"), [("ceil", 0), ("padded", -1)])
def test_the_stem_pools_56_windows_begin_where_each_implementation_has_them(stem_pool, first):
    pool = on_meta(ResNet, 18, stem_pool=stem_pool).pool1
    x = torch.randn(1, 1, 112, 112)
    y = pool(x)
    assert y.shape == (1, 1, 56, 56)
    for k in (0, 1, 55):
        begin = 2 * k + first
        window = x[:, :, max(begin, 0) : begin + 3, max(begin, 0) : begin + 3]
        assert y[0, 0, k, k] == window.max()
