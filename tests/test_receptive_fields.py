"""The receptive fields of every network, in pixels: (size, stride), padding counted as pixels.

By hand from the layers of the papers: a window of k at stride s adds k - 1 times the stride so far.
"""

from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from topfive.inspect.fields import Field
from topfive.inspect.network import network
from topfive.inspect.trace import Trace, trace
from topfive.models.resnet import SubsampleAndPad


@cache
def traced(name: str, *options: str, size: int | None = None) -> Trace:
    made = network(name, options)
    return trace(made.net, (1, made.channels, size or made.size, size or made.size))


def fields(seen: Trace) -> dict[str, tuple[int, int]]:
    """Of every module that puts out a map: what a unit of its output sees, and the stride."""
    found = {}
    for name, (_, trail) in seen.outputs.items():
        if trail is not None and trail.field is not None:
            found[name] = (trail.field.size, trail.field.stride)
    return found


# Krizhevsky et al. 2012; the same for the 224 + 3 pixels of the code and for Caffe's 227
ALEXNET = {
    "conv1": (11, 4),
    "pool1": (19, 8),
    "conv2": (51, 8),
    "pool2": (67, 16),
    "conv3": (99, 16),
    "conv4": (131, 16),
    "conv5": (163, 16),
    "pool5": (195, 32),
}
# Zeiler and Fergus 2013, Fig. 3
ZFNET = {
    "conv1": (7, 2),
    "pool1": (11, 4),
    "conv2": (27, 8),
    "pool2": (43, 16),
    "conv3": (75, 16),
    "conv4": (107, 16),
    "conv5": (139, 16),
    "pool5": (171, 32),
}
STATED = [
    # LeCun et al. 1998, section II-B: C5 sees the whole image
    (("lenet5",), {"c1": (5, 1), "s2": (6, 2), "c3": (14, 2), "s4": (16, 4), "c5": (32, 4)}),
    (("alexnet",), ALEXNET),
    # CNN*'s conv6, section 6.1: 195 + 2 x 32
    (("alexnet", "maps=[96,256,384,384,256,256]"), {"conv6": (259, 32)}),
    (("caffenet",), ALEXNET),
    (("zfnet",), ZFNET),
    (("zfnet_big",), ZFNET),
    # Lin et al. 2013, the authors' cuda-convnet files
    (("nin_cifar",), {"conv3": (27, 4), "cccp6": (27, 4)}),
    (("nin_cifar", "net=mnist", "recipe.crop.size=28", "recipe.channels=1"), {"conv3": (35, 4)}),
    (("nin_cifar", "net=svhn"), {"conv3": (35, 4)}),
    (("nin_imagenet",), {"conv4": (195, 32)}),
    # Springenberg et al. 2014, Table 6
    (("allcnn_imagenet",), {"conv10": (195, 32)}),
    # Simonyan and Zisserman 2014, Table 1
    (("vgg11",), {"conv5_2": (134, 16), "pool5": (150, 32)}),
    (("vgg11_lrn",), {"conv5_2": (134, 16), "pool5": (150, 32)}),
    (("vgg13",), {"conv5_2": (140, 16), "pool5": (156, 32)}),
    (("vgg16_1x1",), {"conv5_3": (140, 16), "pool5": (156, 32)}),
    (("vgg16",), {"conv5_3": (196, 16), "pool5": (212, 32)}),
    (("vgg19",), {"conv5_4": (252, 16), "pool5": (268, 32)}),
    # Araujo, Norris, Sim, Distill 2019 (tensorflow/contrib/receptive_field): resnet_v1_*, inception_v2
    (("resnet50",), {"conv5_x": (483, 32)}),
    (("resnet152",), {"conv5_x": (1507, 32)}),
    (("preact_resnet200",), {"conv5_x": (1763, 32)}),
    (("bn_inception",), {"inception_5b": (699, 32)}),
    # The first 3x3 of conv3_x, conv4_x and conv5_x lies one stride further up: 483 - 8 - 16 - 32
    (("resnet50", "stride_on=3x3"), {"conv5_x": (427, 32)}),
    # He et al. 2015, Table 1: 11 after pool1, then 16 convolutions of 3x3 at 4, 8, 16, 32
    # (the first of a stage still at the stride before): 11 + 4x16 + 4x8 + ... by stage
    (("resnet18",), {"pool1": (11, 4), "conv2_x": (43, 4), "conv3_x": (99, 8)}),
    (("resnet18",), {"conv4_x": (211, 16), "conv5_x": (435, 32)}),
    (("plain34",), {"conv2_x": (59, 4), "conv3_x": (179, 8)}),
    (("plain34",), {"conv4_x": (547, 16), "conv5_x": (899, 32)}),
    # Section 4.2: 3, then 2n of 3x3 at stride 1, 2, 4, whatever the shortcut
    (("plain20",), {"conv2_x": (15, 1), "conv3_x": (37, 2), "conv4_x": (81, 4)}),
    (("resnet20",), {"conv2_x": (15, 1), "conv3_x": (37, 2), "conv4_x": (81, 4)}),
    (("resnet110",), {"conv2_x": (75, 1), "conv3_x": (217, 2), "conv4_x": (501, 4)}),
    # 18 units of one 3x3 in a stage, the stride on the 1x1 before it
    (("preact_resnet164",), {"conv2_x": (39, 1), "conv3_x": (111, 2), "conv4_x": (255, 4)}),
    # Szegedy et al. 2014, Table 1: the 5x5 is the longest branch
    (("googlenet",), {"pool1": (11, 4), "conv2": (19, 4), "pool2": (27, 8)}),
    (("googlenet",), {"inception_3a": (59, 8), "inception_3b": (91, 8), "pool3": (107, 16)}),
    (("googlenet",), {"inception_4e": (427, 16), "pool4": (459, 32), "inception_5b": (715, 32)}),
]


@pytest.mark.parametrize(
    ("named", "stated"), STATED, ids=[f"{' '.join(n)} {'-'.join(s)}" for n, s in STATED]
)
def test_the_layers_see_as_many_pixels_as_stated(named, stated):
    found = fields(traced(*named))
    assert {name: found[name] for name in stated} == stated


@pytest.mark.parametrize("letter", "abc")
@pytest.mark.parametrize(
    ("variant", "size"), [("cnn", 27), ("allcnn", 27), ("strided_cnn", 21), ("convpool_cnn", 33)]
)
def test_the_head_of_an_all_cnn_sees_as_many_pixels_as_stated(variant, letter, size):
    """Springenberg et al. 2014, Tables 1 and 2: the last 3x3, and the 1x1 behind it."""
    *_, head, _, classes = [n for n in traced(f"{variant}_{letter}").entered if "conv" in n]
    found = fields(traced(f"{variant}_{letter}"))
    assert found[head] == found[classes] == (size, 4)


def test_the_average_of_the_class_maps_of_allcnn_c_sees_47_pixels():
    assert fields(traced("allcnn_c"))[""] == (47, 4)  # 27 + 5 x 4: more than the 32 that there are


def test_a_larger_image_moves_the_windows_and_not_what_they_see():
    found = fields(traced("vgg16", size=384))
    assert found["fc6"] == found["fc8"] == (212 + 6 * 32, 32)
    assert traced("vgg16", size=384).outputs["fc8"][0] == (1, 1000, 6, 6)


def test_fc6_at_the_standard_size_sees_what_its_window_sees_in_a_larger_image():
    assert fields(traced("vgg16"))["fc6"] == (404, 32)


class Options(nn.Module):
    """What the networks do, in a few layers: a shortcut of type A, padding to one side, branches."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 5, stride=2)
        self.conv2 = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.shortcut = SubsampleAndPad(2, 2)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.conv3 = nn.Conv2d(4, 4, (3, 5), padding=(2, 2), dilation=(2, 1))

    def forward(self, x):
        x = self.conv1(F.pad(x, (0, 1, 0, 1)))
        x = self.conv2(x) + self.shortcut(x)
        return torch.cat((self.pool(x), self.conv3(x)), 1)


def test_the_gradient_of_a_unit_reaches_exactly_its_receptive_field():
    """65 pixels: the unit in the middle of 16 x 16, the field told from the first unit's."""
    seen = trace(Options().to("meta"), (1, 1, 65, 65))
    field: Field = seen.outputs[""][1].field
    net, x = Options(), torch.zeros(1, 1, 65, 65, requires_grad=True)
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    net(x)[0, :, 8, 8].sum().backward()
    rows, columns = x.grad[0, 0].sum(1).nonzero().flatten(), x.grad[0, 0].sum(0).nonzero().flatten()
    for axis, reached in ((field.height, rows), (field.width, columns)):
        first = axis.start + 8 * axis.stride
        assert reached.tolist() == list(range(first, first + axis.size))
    # 5/2, then 3 at stride 2 (9/4), then 3 rows two units apart or 5 columns: 4 units more of 4 pixels
    assert (field.height.size, field.width.size, field.stride) == (25, 25, 4)


def test_squeeze_and_excitation_sees_the_whole_image():
    class Gate(nn.Module):
        def forward(self, x):
            return x * x.mean((2, 3), keepdim=True).sigmoid()

    seen = trace(nn.Sequential(nn.Conv2d(1, 1, 3), Gate(), nn.Conv2d(1, 1, 3)), (1, 1, 9, 9))
    assert not seen.outputs["0"][1].field.whole
    assert seen.outputs["1"][1].field.whole
    assert seen.outputs["2"][1].field.whole


def test_a_product_over_channels_keeps_the_field_and_one_over_positions_sees_all():
    class Products(nn.Module):
        def __init__(self):
            super().__init__()
            self.local = nn.Parameter(torch.empty(16, 9 * 2, 5))
            self.fc = nn.Linear(5 * 16, 7)

        def forward(self, x):
            x = F.unfold(x, 3, stride=2, padding=1)  # 18 x 16, position by position
            x = torch.einsum("nkl,lko->nol", x, self.local)
            self.local_field = x
            return self.fc(x.flatten(1))

    with torch.device("meta"):
        net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), Products())
    seen = trace(net, (3, 1, 8, 8))
    # 3, then 3 at stride 2: 5/2 at 4 x 4 positions; all of them: 5 + 3 x 2
    assert seen.outputs["1.fc"][1].field.size == 11
    assert seen.outputs["1.fc"][1].layers == 3
