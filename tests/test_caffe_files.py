import struct
from dataclasses import replace
from pathlib import Path

import caffe_files
import caffe_networks
import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from topfive.architecture import architecture
from topfive.config import compose
from topfive.foreign import caffe
from topfive.foreign.caffe_graph import differences
from topfive.foreign.caffe_identity import identified
from topfive.foreign.caffe_networks import RELEASED
from topfive.foreign.caffemodel import Blob, CaffeModel, Layer, read, read_mean
from topfive.problems import Problem


def small(name="AlexNet", **options):
    """A file of one layer, conv1."""
    net = caffe_networks.Net(name, np.random.default_rng(0))
    net.conv("conv1", "data", 3, 4, 5, **options)
    return net


@pytest.mark.parametrize("v1", [True, False])
def test_both_forms_of_the_file_are_read_alike(v1, tmp_path):
    net = small(stride=4, group=1)
    net.lrn("norm1", "conv1")
    net.full("fc8", "norm1", 4, 1)
    (file := tmp_path / "one").write_bytes(b"".join(caffe_files.caffemodel(net, v1)))
    model = read(file)
    assert model.name == "AlexNet"
    assert list(model.layers) == ["conv1", "conv1_relu", "norm1", "fc8"]
    conv = model.layers["conv1"]
    assert conv.options == {"stride": (4, 4), "pad": (0, 0), "dilation": (1, 1), "group": 1}
    for blob, drawn in zip(conv.blobs, net.layers[0].blobs, strict=True):
        np.testing.assert_array_equal(blob.tensor().numpy(), drawn)
    norm = model.layers["norm1"].options
    assert norm.pop("alpha") == pytest.approx(1e-4)
    assert norm == {"local_size": 5, "beta": 0.75, "k": 1, "norm_region": 0}
    assert [one.shape for one in model.layers["fc8"].blobs] == [(4,), ()]  # 1 x 4 and 1


def test_double_precision_is_read_in_single(tmp_path):
    values = np.array([[1.5, -2.25, 1e-3]])
    (file := tmp_path / "m").write_bytes(layer("fc", caffe_files.blob(values, False, "<f8")))
    assert read(file).layers["fc"].blobs[0].tensor().tolist() == [1.5, -2.25, np.float32(1e-3)]


def layer(name, *blobs):
    """A file with one layer of the later form."""
    parts = [
        caffe_files.field(1, name.encode(errors="surrogateescape")),
        *(caffe_files.field(7, one) for one in blobs),
    ]
    return caffe_files.field(100, b"".join(parts))


NO_FILE = "no binary file of Caffe, or its end is missing"


def test_what_is_no_caffe_model_is_refused(tmp_path):
    file = tmp_path / "weights.caffemodel"
    with pytest.raises(Problem, match=r"weights\.caffemodel: No such file"):
        caffe.load(file)
    whole = b"".join(caffe_files.caffemodel(small(), v1=True))
    no_text = layer("\udcff")
    for content in (whole[:-5], whole[:40], b'name: "AlexNet"', b"\x89HDF\r\n\x1a\n", no_text):
        file.write_bytes(content)
        with pytest.raises(Problem, match=NO_FILE):
            caffe.load(file)
    file.write_bytes(b"")
    with pytest.raises(Problem, match="has no layers with weights: expected a"):
        caffe.load(file)


def test_more_than_two_gigabytes_are_refused_unread(tmp_path):
    with (file := tmp_path / "large").open("wb") as sparse:
        sparse.truncate(2**31)
    with pytest.raises(Problem, match="2,147,483,648 bytes, and Caffe's files have less than 2 GB"):
        caffe.load(file)


def test_the_format_of_2013_is_refused_with_the_tool_that_mends_it(tmp_path):
    oldest = caffe_files.field(2, caffe_files.field(1, caffe_files.field(1, b"conv1")))
    (file := tmp_path / "old").write_bytes(oldest)
    with pytest.raises(Problem, match="upgrade_net_proto_binary"):
        caffe.load(file)


def test_numbers_that_do_not_fill_their_shape_are_refused(tmp_path):
    shape = caffe_files.field(7, caffe_files.field(1, b"\x02\x03"))
    blob = shape + caffe_files.field(5, struct.pack("<5f", *range(5)))
    (file := tmp_path / "m").write_bytes(layer("conv1", blob))
    with pytest.raises(Problem, match=r"layer conv1: 20 bytes of numbers, where 6 numbers"):
        caffe.load(file)


def test_an_unknown_network_is_refused_with_its_layers(tmp_path):
    net = small("VGG_CNN_S")
    (file := tmp_path / "m").write_bytes(b"".join(caffe_files.caffemodel(net, v1=True)))
    with pytest.raises(Problem, match=r"none of the networks .* its layers are conv1, conv1_relu"):
        caffe.load(file)
    with pytest.raises(Problem, match=r"no Caffe weights of model=zfnet are known\. Name one of"):
        caffe.load(file, "zfnet")
    with pytest.raises(
        Problem, match=r"another network than Caffe's VGG_ILSVRC_16_layers: it lacks"
    ):
        caffe.load(file, "vgg16")


@pytest.fixture(scope="module")
def googlenet(tmp_path_factory):
    """GoogLeNet as read from a file."""
    file = tmp_path_factory.mktemp("googlenet") / "GoogleNet.caffemodel"
    file.write_bytes(b"".join(caffe_files.caffemodel(caffe_networks.googlenet(), v1=False)))
    model = read(file)
    file.unlink()
    return model


@pytest.fixture(scope="module")
def ours():
    released = next(one for one in RELEASED if one.title == "GoogleNet")
    with torch.device("meta"):
        return released, architecture(compose(released.overrides), 1000)


@pytest.mark.parametrize(
    ("name", "option", "value", "said"),
    [
        ("conv1/7x7_s2", "stride", (1, 1), "(1, 1) in layer conv1/7x7_s2 where (2, 2)"),
        ("conv2/3x3", "dilation", (2, 2), "(2, 2) in layer conv2/3x3 where (1, 1)"),
        ("pool1/norm1", "k", 2.0, "2.0 in layer pool1/norm1 where 1.0"),
        ("pool1/norm1", "alpha", 5e-4, "0.0005 in layer pool1/norm1 where 0.0001"),
        ("conv2/norm2", "norm_region", 1, "1 in layer conv2/norm2 where 0"),
        ("pool2/3x3_s2", "pad", (1, 1), "(1, 1) in layer pool2/3x3_s2 where (0, 0)"),
        ("pool3/3x3_s2", "round_mode", 1, "1 in layer pool3/3x3_s2 where 0"),
        ("inception_3a/pool", "pool", 1, "1 in layer inception_3a/pool where 0"),
    ],
)
def test_what_a_network_computes_otherwise_is_listed(name, option, value, said, googlenet, ours):
    assert differences(googlenet, *ours) == []
    layer = googlenet.layers[name]
    assert option in layer.options
    other = replace(layer, options={**layer.options, option: value})
    changed = replace(googlenet, layers={**googlenet.layers, name: other})
    assert differences(changed, *ours) == [f"has {option} {said} is expected"]


def test_missing_and_superfluous_layers_are_listed(googlenet, ours):
    layers = dict(googlenet.layers)
    layers["extra"] = layers.pop("inception_4c/5x5")
    assert differences(replace(googlenet, layers=layers), *ours) == [
        "lacks layer inception_4c/5x5",
        "has layer extra besides",
    ]


def test_a_damaged_mean_image_is_refused(tmp_path):
    (file := tmp_path / "imagenet_mean.binaryproto").write_bytes(
        caffe_files.blob(np.zeros((4, 8), np.float32), v1=True)
    )
    with pytest.raises(Problem, match=r"shape \(4, 8\): expected a mean image"):
        read_mean(file)
    file.write_bytes(caffe_files.blob(np.zeros((3, 8, 8), np.float32), v1=True)[:-7])
    with pytest.raises(Problem, match=NO_FILE):
        read_mean(file)


def outline(name, *layers):
    """A file by the shapes of its layers' weights alone."""
    return CaffeModel(
        name,
        {
            layer: Layer(tuple(Blob(shape, b"", "<f4") for shape in shapes), {})
            for layer, shapes in layers
        },
    )


def shapes(module):
    return [tuple(one.shape) for one in module.parameters()]


def convolutions(net):
    return [shapes(one) for one in net.modules() if isinstance(one, nn.Conv2d)]


def vgg(depth):
    """Of torchvision's network, under the names of ksimonyan's prototxt."""
    with torch.device("meta"):
        net = getattr(torchvision.models, f"vgg{depth}")()
    long = {16: "123", 19: "1234"}[depth]
    names = [
        f"conv{block}_{i}"
        for block, count in zip("12345", ("12", "12", long, long, long), strict=True)
        for i in count
    ]
    full = [shapes(one) for one in net.classifier if isinstance(one, nn.Linear)]
    layers = [
        *zip(names, convolutions(net), strict=True),
        *zip(("fc6", "fc7", "fc8"), full, strict=True),
    ]
    return outline(f"VGG_ILSVRC_{depth}_layers", *layers)


def numbered(last):
    return ["a", *(f"b{i}" for i in range(1, last + 1))]


# The blocks of each stage in the authors' prototxt.
BLOCKS = {
    50: ("abc", "abcd", "abcdef", "abc"),
    101: ("abc", numbered(3), numbered(22), "abc"),
    152: ("abc", numbered(7), numbered(35), "abc"),
}


def resnet(depth):
    """Of torchvision's network, under the names of the authors' prototxt."""
    with torch.device("meta"):
        net = getattr(torchvision.models, f"resnet{depth}")()
    layers = [*normalized("conv1", "_conv1", net.conv1, net.bn1)]
    stages = zip(
        "2345", BLOCKS[depth], (net.layer1, net.layer2, net.layer3, net.layer4), strict=True
    )
    for stage, names, blocks in stages:
        for name, block in zip(names, blocks, strict=True):
            parts = {
                "2a": (block.conv1, block.bn1),
                "2b": (block.conv2, block.bn2),
                "2c": (block.conv3, block.bn3),
            }
            parts |= {"1": block.downsample} if block.downsample is not None else {}
            for branch, (conv, bn) in parts.items():
                place = f"{stage}{name}_branch{branch}"
                layers += normalized(f"res{place}", place, conv, bn)
    return outline(f"ResNet-{depth}", *layers, ("fc1000", shapes(net.fc)))


def normalized(conv, place, module, bn):
    return (conv, shapes(module)), (f"bn{place}", [*shapes(bn), ()]), (f"scale{place}", shapes(bn))


@pytest.mark.parametrize(
    ("file", "title"),
    [
        (lambda: vgg(16), "VGG_ILSVRC_16_layers"),
        (lambda: vgg(19), "VGG_ILSVRC_19_layers"),
        (lambda: resnet(50), "ResNet-50"),
        (lambda: resnet(101), "ResNet-101"),
        (lambda: resnet(152), "ResNet-152"),
    ],
)
def test_the_layers_of_the_deep_networks_are_known(file, title):
    file = file()
    released = identified(file, None, Path("m"))
    assert released.title == title
    with torch.device("meta"):
        net = architecture(compose(released.overrides), 1000)
    assert differences(file, released, net) == []
    assert differences(outline(title), released, net)[0].startswith("lacks layer conv1")


def alexnet(name="", conv2=(256, 48, 5, 5), norms=()):
    shapes = {
        "conv1": (96, 3, 11, 11),
        "conv2": conv2,
        "conv3": (384, 256, 3, 3),
        "conv4": (384, 192, 3, 3),
    }
    shapes |= {
        "conv5": (256, 192, 3, 3),
        "fc6": (4096, 9216),
        "fc7": (4096, 4096),
        "fc8": (1000, 4096),
    }
    learned = [(layer, [shape, shape[:1]]) for layer, shape in shapes.items()]
    return outline(name, *learned, *((layer, []) for layer in norms))


def test_alexnet_is_told_from_caffenet_by_order_then_by_name_then_by_the_user():
    norm_first, pool_first = ("norm1", "pool1"), ("pool1", "norm1")
    where = Path("m.caffemodel")
    assert identified(alexnet("CaffeNet", norms=norm_first), None, where).title == "AlexNet"
    assert identified(alexnet("AlexNet", norms=pool_first), None, where).title == "CaffeNet"
    assert identified(alexnet("AlexNet"), None, where).title == "AlexNet"
    assert identified(alexnet("CaffeNet"), None, where).title == "CaffeNet"
    assert identified(alexnet(), "alexnet", where).title == "AlexNet"
    assert identified(alexnet(), "caffenet", where).title == "CaffeNet"
    with pytest.raises(Problem, match="Name it: model=alexnet or model=caffenet"):
        identified(alexnet(), None, where)


def test_what_contradicts_the_named_network_or_its_groups_is_listed():
    released = identified(alexnet(), "caffenet", Path("m"))
    with torch.device("meta"):
        net = architecture(compose(released.overrides), 1000)
    assert differences(alexnet(), released, net) == []
    assert differences(alexnet(norms=("norm1", "pool1")), released, net) == [
        "has not the order pool1, norm1, pool2, norm2, pool5"
    ]
    assert differences(alexnet(conv2=(256, 96, 5, 5)), released, net) == [
        "has 256×96×5×5, 256 in layer conv2 where 256×48×5×5, 256 is expected"
    ]
