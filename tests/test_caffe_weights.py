from dataclasses import dataclass

import caffe_files
import caffe_networks
import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from topfive.datasets import imagenet_classes
from topfive.foreign import caffe
from topfive.trained import Trained

TOLERANCE = 1e-4  # of the largest score


@dataclass
class Loaded:
    """A Caffe file as loaded here, with what OpenCV's importer makes of it for `images`."""

    trained: Trained
    images: Tensor
    theirs: np.ndarray

    def error(self):
        with torch.no_grad():
            ours = self.trained.scores(self.images).numpy()
        return np.abs(ours - self.theirs).max() / np.abs(self.theirs).max()


def pictures(size):
    """Smooth colors with some noise: uint8 (2, 3, size, size), RGB."""
    rng = np.random.default_rng(9)
    coarse = rng.uniform(0, 255, (2, 7, 7, 3)).astype(np.float32)
    smooth = np.stack([cv2.resize(one, (size, size)) for one in coarse])
    noisy = np.clip(smooth + rng.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)
    return torch.from_numpy(noisy.transpose(0, 3, 1, 2).copy())


def loaded(net, folder, size, mean, v1):
    """mean: blue, green, red, as numbers or as an image of `size`."""
    deploy, weights = folder / "deploy.prototxt", folder / f"{net.name}.caffemodel"
    deploy.write_text(caffe_files.prototxt(net, size))
    with weights.open("wb") as file:
        file.writelines(caffe_files.caffemodel(net, v1))
    importer = cv2.dnn.readNetFromCaffe(str(deploy), str(weights))
    importer.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    importer.enableWinograd(False)
    images = pictures(size)
    mean = np.float32(mean).reshape(3, *np.shape(mean)[1:] or (1, 1))
    theirs = []
    for image in images.numpy():
        importer.setInput((image[::-1].astype(np.float32) - mean)[None])
        theirs.append(importer.forward(net.layers[-1].name).reshape(-1))
    trained = caffe.load(weights)
    weights.unlink()  # hundreds of MB
    return Loaded(trained, images, np.stack(theirs))


@pytest.fixture(scope="module")
def drawn_alexnet():
    return caffe_networks.alexnet()


@pytest.fixture(scope="module")
def alexnet(drawn_alexnet, tmp_path_factory):
    """In the form of 2014, its mean image beside it."""
    folder = tmp_path_factory.mktemp("alexnet")
    mean = np.random.default_rng(3).uniform(60, 180, (3, 256, 256)).astype(np.float32)
    blob = caffe_files.blob(mean, v1=True)
    (folder / "imagenet_mean.binaryproto").write_bytes(blob)
    center = mean[:, 14:241, 14:241]  # (256 - 227) // 2 = 14
    return loaded(drawn_alexnet, folder, 227, center, v1=True)


@pytest.fixture(scope="module")
def caffenet(drawn_alexnet, tmp_path_factory):
    """Without its mean image: BVLC's mean color."""
    net = caffe_networks.caffenet(drawn_alexnet)
    return loaded(
        net, tmp_path_factory.mktemp("caffenet"), 227, (104.007, 116.6688, 122.6789), v1=True
    )


@pytest.fixture(scope="module")
def drawn_googlenet():
    return caffe_networks.googlenet()


@pytest.fixture(scope="module")
def googlenet(drawn_googlenet, tmp_path_factory):
    folder = tmp_path_factory.mktemp("googlenet")
    return loaded(drawn_googlenet, folder, 224, (104, 117, 123), v1=False)


@pytest.fixture(scope="module")
def resnet50(tmp_path_factory):
    """In the form of 2015, its mean image of 224 x 224 beside it."""
    folder = tmp_path_factory.mktemp("resnet50")
    mean = np.random.default_rng(4).uniform(60, 180, (3, 224, 224)).astype(np.float32)
    (folder / "ResNet_mean.binaryproto").write_bytes(caffe_files.blob(mean[None], v1=False))
    return loaded(caffe_networks.resnet50(), folder, 224, mean, v1=False)


@pytest.mark.parametrize("name", ["alexnet", "caffenet", "googlenet", "resnet50"])
def test_a_caffe_file_scores_as_in_opencv(name, request):
    found = request.getfixturevalue(name)
    difference = np.abs(found.theirs[0] - found.theirs[1]).max() / np.abs(found.theirs).max()
    assert difference > 0.1  # the images are told apart, so that the tolerance means something
    assert found.error() < TOLERANCE


@pytest.mark.parametrize("name", ["alexnet", "caffenet"])
@pytest.mark.parametrize(
    ("attribute", "wrong"), [("k", 2.0), ("groups", 2), ("alpha", 5e-4), ("size", 3)]
)
def test_another_normalization_of_alexnet_would_be_seen(
    name, attribute, wrong, request, monkeypatch
):
    found = request.getfixturevalue(name)
    monkeypatch.setattr(found.trained.net.norm1, attribute, wrong)
    assert found.error() > 10 * TOLERANCE


@pytest.mark.parametrize("name", ["alexnet", "caffenet"])
def test_normalizing_on_the_other_side_of_pooling_would_be_seen(name, request, monkeypatch):
    found = request.getfixturevalue(name)
    other = {"norm_pool": "pool_norm", "pool_norm": "norm_pool"}[found.trained.net.order]
    monkeypatch.setattr(found.trained.net, "order", other)
    assert found.error() > 10 * TOLERANCE


class Interleaved(nn.Module):
    """Even maps to the first half, odd ones to the second."""

    def forward(self, x):
        return torch.cat((x[:, ::2], x[:, 1::2]), 1)


@pytest.mark.parametrize("layer", ["conv2", "conv4", "conv5"])
def test_another_grouping_of_maps_would_be_seen(layer, alexnet, monkeypatch):
    modules = alexnet.trained.net._modules
    monkeypatch.setitem(modules, layer, nn.Sequential(Interleaved(), modules[layer]))
    assert alexnet.error() > 10 * TOLERANCE


@pytest.mark.parametrize("pool", ["pool1", "pool2", "pool3", "pool4"])
def test_pooling_that_rounds_down_would_be_seen(pool, googlenet, monkeypatch):
    monkeypatch.setattr(getattr(googlenet.trained.net, pool), "ceil_mode", False)
    assert googlenet.error() > 10 * TOLERANCE


def test_the_windows_of_another_stem_pool_would_be_seen(resnet50, monkeypatch):
    modules = resnet50.trained.net._modules
    monkeypatch.setitem(modules, "pool1", nn.MaxPool2d(3, 2, padding=1))
    assert resnet50.error() > 10 * TOLERANCE


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet50"])
def test_colors_in_another_order_would_be_seen(name, request, monkeypatch):
    found = request.getfixturevalue(name)
    monkeypatch.setattr(found, "images", found.images.flip(1))
    assert found.error() > 10 * TOLERANCE


def test_a_loaded_file_says_which_network_it_is(alexnet, caffenet, googlenet, resnet50):
    found = {
        one.trained.name: (
            one.trained.config["choices"]["model"],
            one.trained.config["choices"]["recipe"],
        )
        for one in (alexnet, caffenet, googlenet, resnet50)
    }
    assert found == {
        "AlexNet": ("caffenet", "bvlc_alexnet"),
        "CaffeNet": ("caffenet", "caffenet"),
        "GoogleNet": ("googlenet", "bvlc_quick"),
        "ResNet-50": ("resnet50", "resnet"),
    }
    assert alexnet.trained.config["model"]["order"] == "norm_pool"
    assert caffenet.trained.config["model"]["order"] == "pool_norm"


def test_the_departures_begin_with_the_origin(alexnet, caffenet, googlenet):
    resized = (
        "filter=triangle (paper: not stated; Caffe's tools resize with OpenCV's bilinear filter, which is not "
        "antialiased)"
    )
    assert alexnet.trained.origin == "caffe:AlexNet"
    assert alexnet.trained.departures == (
        "weights=caffe:AlexNet (paper: trained as recipe=bvlc_alexnet says)",
        resized,
    )
    assert googlenet.trained.departures[1:] == (resized,)
    assert caffenet.trained.departures[1:] == (
        "mean=[122.6789, 116.6688, 104.007] (paper: the mean image, imagenet_mean.binaryproto, which does not lie "
        "beside the weights)",
        resized,
    )


def test_a_thousand_classes_are_those_of_ilsvrc(googlenet, alexnet):
    assert googlenet.trained.classes == imagenet_classes.wordnet_ids()
    assert alexnet.trained.classes is None  # ten


def test_the_auxiliary_heads_of_googlenet_are_loaded(googlenet, drawn_googlenet):
    drawn = {layer.name: layer.blobs for layer in drawn_googlenet.layers}
    net = googlenet.trained.net
    for head, name in ((net.aux1, "loss1"), (net.aux2, "loss2")):
        for module, part in ((head.conv, "conv"), (head.hidden, "fc"), (head.fc, "classifier")):
            weight, bias = drawn[f"{name}/{part}"]
            np.testing.assert_array_equal(module.weight.detach().numpy(), weight)
            np.testing.assert_array_equal(module.bias.detach().numpy(), bias)


def test_a_loaded_network_is_ready_to_train_on(googlenet):
    assert not googlenet.trained.net.training
    assert all(
        one.requires_grad and one.is_contiguous() for one in googlenet.trained.net.parameters()
    )
    assert not any(one.is_meta for one in googlenet.trained.net.state_dict().values())


def test_googlenet_without_auxiliary_heads_is_loaded_without_them(drawn_googlenet, tmp_path):
    layers = [one for one in drawn_googlenet.layers if one.name[:5] not in ("loss1", "loss2")]
    net = caffe_networks.Net("GoogleNet", None, layers)
    (file := tmp_path / "m").write_bytes(b"".join(caffe_files.caffemodel(net, v1=False)))
    trained = caffe.load(file)
    file.unlink()
    assert trained.config["model"]["auxiliary"] is False
    assert trained.net.aux1 is None
