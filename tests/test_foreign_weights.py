"""Torchvision's and timm's weights in networks of ours; their own networks are the judges."""

import socket
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from measure import on_meta
from random_weights import drawn
from timm.models.vgg import ConvMlp
from torch import nn

from topfive.architecture import architecture
from topfive.config import compose
from topfive.foreign import load, states
from topfive.foreign.graph import graph, same_weights
from topfive.foreign.library import carry
from topfive.foreign.timm_weights import entry as timm_entry
from topfive.foreign.torchvision_weights import entry as torchvision_entry
from topfive.layers import FullyConnected
from topfive.models.resnet import ResNet
from topfive.models.vgg import VGG
from topfive.problems import Problem

# torchvision.transforms and the model cards of both libraries: pixels in 0..1 less this, over that
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def theirs(depth, **options):
    """Torchvision's ResNet in float32, with weights that tell every layer apart."""
    net = drawn(getattr(torchvision.models, f"resnet{depth}"), **options).float().eval()
    for name, module in net.named_modules():
        if name.endswith(("bn2", "bn3")):  # or the sum of so many blocks overflows
            module.weight.data.mul_(0.3)
    return net


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def resnet18(folder):
    net = theirs(18)
    torch.save(net.state_dict(), folder / "resnet18.pth")
    return net, folder / "resnet18.pth"


@pytest.fixture(scope="module")
def resnet50(folder):
    net = theirs(50)
    torch.save(net.state_dict(), folder / "resnet50.pth")
    return net, folder / "resnet50.pth"


@pytest.fixture(scope="module")
def trained50(resnet50):
    """Resnet50's weights in a network of ours."""
    return load(f"torchvision:resnet50.IMAGENET1K_V2:{resnet50[1]}", "resnet50")


def photographs(size=64):
    return torch.randint(0, 256, (2, 3, size, size + 7), dtype=torch.uint8)


def close(ours, expected):
    """To 1e-5 of how far the scores of different images and classes lie apart."""
    assert expected.std(0).min() > 0
    assert (ours - expected).abs().max() < 1e-5 * expected.std()


def test_resnet50_scores_photographs_as_torchvision_does(resnet50, trained50):
    images = photographs()
    with torch.no_grad():
        normalize = torchvision.transforms.Normalize(MEAN, DEVIATION)
        close(trained50.scores(images), resnet50[0](normalize(images / 255)))


def test_resnet18_scores_photographs_as_torchvision_does(resnet18):
    net, file = resnet18
    trained = load(f"torchvision:resnet18:{file}", None)
    images = photographs()
    with torch.no_grad():
        normalize = torchvision.transforms.Normalize(MEAN, DEVIATION)
        close(trained.scores(images), net(normalize(images / 255)))
    assert not trained.net.training
    assert len(trained.classes) == 1000
    assert (trained.classes[0], trained.classes[999]) == ("n01440764", "n15075141")  # tench, tissue


def test_resnet50_goes_back_to_torchvision_bit_for_bit(resnet50, trained50):
    net, ours = resnet50[0], trained50.net
    back = on_meta(torchvision.models.resnet50)
    names = same_weights(back, on_meta(ResNet, 50, "B", "3x3", "padded"), "torchvision's")
    carry(ours, back, {ours: theirs for theirs, ours in names.items()})
    assert back.state_dict().keys() == net.state_dict().keys()
    assert all(torch.equal(value, net.state_dict()[n]) for n, value in back.state_dict().items())


@pytest.mark.parametrize(("stride_on", "stem_pool"), [("1x1", "padded"), ("3x3", "ceil")])
def test_the_papers_graph_takes_torchvisions_weights_key_for_key_and_scores_otherwise(
    resnet50, stride_on, stem_pool
):
    net, _ = resnet50
    ours = on_meta(ResNet, 50, "B", stride_on, stem_pool).eval()
    values = net.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)), assign=True)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = net(x)
        assert (ours(x) - expected).abs().max() > 0.1 * expected.std()
    with pytest.raises(Problem, match=r"its step \d+ is .*, ours is "):
        same_weights(
            on_meta(torchvision.models.resnet50),
            on_meta(ResNet, 50, "B", stride_on, stem_pool),
            "theirs",
        )


def narrow_vgg(configuration):
    """Ours with torchvision's rounding and 32 units in fc6 and fc7, on the meta device."""
    net = on_meta(VGG, configuration, pool_rounding="down", num_classes=5)
    with torch.device("meta"):
        net.fc6, net.fc7 = FullyConnected(512, 32, 7), FullyConnected(32, 32)
        net.fc8 = FullyConnected(32, 5)
    return net.eval()


def torchvisions_vgg(name):
    net = getattr(torchvision.models, name)(init_weights=False)
    for index, shape in ((0, (25088, 32)), (3, (32, 32)), (6, (32, 5))):
        net.classifier[index] = nn.Linear(*shape)
    return net


def timms_vgg(name):
    net = timm.create_model(name)
    net.pre_logits, net.head.fc = ConvMlp(512, 32, 7), nn.Linear(32, 5)
    return net


@pytest.mark.parametrize(
    ("name", "configuration", "build"),
    [("vgg16", "D", torchvisions_vgg), ("vgg11", "A", timms_vgg)],
)
def test_a_librarys_vgg_gives_its_scores_and_goes_back(name, configuration, build):
    net, ours = drawn(build, name).float().eval(), narrow_vgg(configuration)
    names = same_weights(on_meta(build, name), ours, name)
    carry(net, ours, names)
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = net(x)
        assert (ours(x) - expected).abs().max() < 1e-5 * expected.std()
    back = on_meta(build, name)
    carry(ours, back, {ours: theirs for theirs, ours in names.items()})
    assert all(torch.equal(value, net.state_dict()[n]) for n, value in back.state_dict().items())


def test_the_names_of_vgg16_are_matched_layer_by_layer():
    config = compose(["model=vgg16", "model.pool_rounding=down"])
    names = same_weights(
        on_meta(torchvision.models.vgg16), on_meta(architecture, config, 1000), "theirs"
    )
    # torchvision's features count convolutions, activations and pooling; D has 13 convolutions
    assert len(names) == 32
    assert names["features.0.weight"] == "conv1_1.weight"
    assert names["features.10.bias"] == "conv3_1.bias"
    assert names["features.28.weight"] == "conv5_3.weight"
    assert names["classifier.0.weight"] == "fc6.weight"
    assert names["classifier.6.bias"] == "fc8.bias"


def test_timms_efficientnet_from_tensorflow_gives_its_scores():
    config = compose(["model=efficientnet_b0"])
    net = drawn(timm.create_model, "tf_efficientnet_b0").float().eval()
    ours = on_meta(architecture, config, 1000).eval()
    carry(net, ours, same_weights(on_meta(timm.create_model, "tf_efficientnet_b0"), ours, "timm's"))
    x = torch.randn(2, 3, 75, 96)
    with torch.no_grad():
        close(ours(x), net(x))


# What else is not seen in the names and shapes of the weights.
@pytest.mark.parametrize(
    ("change", "step"),
    [
        (lambda net: setattr(net.bn1, "eps", 1e-3), r"batch_norm\(.*0\.001\)"),
        (lambda net: setattr(net, "relu", nn.GELU()), r"gelu"),
        (lambda net: setattr(net.maxpool, "ceil_mode", True), r"max_pool2d.*True"),
        (
            lambda net: vars(net.layer2[0].conv2).update(dilation=(2, 2), padding=(2, 2)),
            "convolution",
        ),
        (lambda net: net.layer3[0].downsample.insert(0, nn.AvgPool2d(1)), r"avg_pool2d"),
    ],
)
def test_a_change_of_their_graph_that_keeps_every_weight_is_refused(change, step):
    net, ours = on_meta(torchvision.models.resnet18), on_meta(ResNet, 18, "B", "1x1", "padded")
    assert len(same_weights(net, ours, "theirs")) == 122
    change(net)
    with pytest.raises(Problem, match=rf"theirs is another network .* step \d+ is {step}"):
        same_weights(net, ours, "theirs")


class Sums(nn.Module):
    """The same operations on the same weights, wired in one of two ways."""

    def __init__(self, straight):
        super().__init__()
        self.straight, self.first, self.second = straight, nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        a = self.first(x)
        b = self.second(a if self.straight else x)
        return a + b


def test_the_wiring_is_compared_and_not_the_operations_alone():
    a, b = on_meta(Sums, True), on_meta(Sums, False)
    assert graph(a).shown == graph(b).shown
    with pytest.raises(Problem, match="its step 2 is convolution"):
        same_weights(a, b, "theirs")


def test_the_departures_of_resnet50_are_the_weights_the_graph_and_the_preprocessing(trained50):
    assert trained50.name == "resnet50.IMAGENET1K_V2"
    assert trained50.origin == "torchvision:resnet50.IMAGENET1K_V2:resnet50.pth"
    assert trained50.departures == (
        f"weights={trained50.origin} (paper: trained as recipe=resnet says)",
        "model.stride_on=3x3 (paper: 1x1)",
        "model.stem_pool=padded (paper: ceil)",
        "mean=[123.675, 116.28, 103.53] (paper: the mean image)",
        "deviation=[58.395, 57.12, 57.375] (paper: none)",
    )
    assert trained50.config["model"]["stride_on"] == "3x3"


# As the model cards have it. V1: 256 and 224, V2: 232 and 224; 224 / 0.95 = 235.8, 224 / 0.875 = 256
@pytest.mark.parametrize(
    ("entry", "name", "full", "shorter", "filter"),
    [
        (torchvision_entry, "resnet50.IMAGENET1K_V1", "resnet50.IMAGENET1K_V1", 256, "triangle"),
        (torchvision_entry, "resnet50", "resnet50.IMAGENET1K_V2", 232, "triangle"),
        (torchvision_entry, "vgg16", "vgg16.IMAGENET1K_V1", 256, "triangle"),
        (timm_entry, "resnet50.a1_in1k", "resnet50.a1_in1k", 235, "cubic"),
        (timm_entry, "resnet50.tv_in1k", "resnet50.tv_in1k", 256, "triangle"),
        (timm_entry, "resnet50", "resnet50.a1_in1k", 235, "cubic"),
    ],
)
def test_preprocessing_is_the_librarys_own_record(entry, name, full, shorter, filter):
    found = entry(name)
    assert found.name == full
    said = found.preprocessing
    assert (said.size, said.shorter, said.filter) == (224, shorter, filter)
    assert said.mean == (123.675, 116.28, 103.53)  # 255 times MEAN
    assert said.deviation == (58.395, 57.12, 57.375)


def test_timms_inception_colors_and_size_of_training_are_kept():
    said = timm_entry("resnet34.ra4_e3600_r224_in1k").preprocessing  # 0.5 and 0.5, crop_pct 0.9
    assert (said.mean, said.deviation) == ((127.5,) * 3, (127.5,) * 3)
    assert said.shorter == 248
    assert timm_entry("resnet50.tv2_in1k").preprocessing.size == 176


def test_the_recommended_crop_is_the_protocol_of_timms_weights(resnet18):
    trained = load(f"timm:resnet18.a1_in1k:{resnet18[1]}", None)
    assert trained.config["choices"]["protocol"] == "one_crop"
    assert (trained.config["protocol"]["size"], trained.config["protocol"]["shorter"]) == (224, 235)
    assert trained.filter == "cubic"
    assert "filter=cubic (paper: triangle)" in trained.departures
    assert "model.shortcut=B (paper: A)" in trained.departures
    assert not any("stride_on" in line for line in trained.departures)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and nothing that an earlier download left."""

    def refuse(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(
        "huggingface_hub.utils._http.time.sleep", lambda seconds: None
    )  # between tries
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        (
            "torchvision:resnet18",
            r"resnet18-f37072fd\.pth .*torchvision:resnet18\.IMAGENET1K_V1:FILE",
        ),
        ("timm:resnet18.a1_in1k", r"resnet18_a1_0-d63eafa0\.pth .*timm:resnet18\.a1_in1k:FILE"),
    ],
)
def test_without_a_network_the_file_to_fetch_is_named(spec, remedy, offline):
    with pytest.raises(Problem, match=rf"could not be downloaded .*Fetch \S*{remedy}"):
        load(spec, None)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("torchvision:resnet18.IMAGENET1K_V1", "torchvision.models._api.load_state_dict_from_url"),
        ("timm:resnet18.a1_in1k", "timm.models._builder.load_state_dict_from_hf"),
    ],
)
def test_what_a_library_downloads_is_loaded_and_never_unpickled_blindly(
    name, place, resnet18, monkeypatch
):
    asked = []

    def download(*arguments, **options):
        asked.append(options)
        return dict(resnet18[0].state_dict())

    monkeypatch.setattr(place, download)
    trained = load(name, None)
    assert asked[0]["weights_only"] is True
    assert (trained.origin, trained.name) == (name, name.partition(":")[2])
    assert trained.departures[0].startswith(f"weights={name} (paper: ")
    assert torch.equal(trained.net.conv1.weight, resnet18[0].conv1.weight)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("torchvision:alexnet", "one column of other widths and no local response normalization"),
        ("torchvision:googlenet", "batch normalization, and 3x3 convolutions where .* 5x5"),
        ("timm:resnetv2_50", "batch normalization comes after the stem's pooling"),
        ("torchvision:vgg16_bn", r"step 2 is batch_norm\(features\.1\.weight .*, ours is relu"),
        ("timm:resnet50d", r"step 1 is convolution\(conv1\.0\.weight 32x3x3x3.*64x3x7x7"),
        ("timm:resnet50c.gluon_in1k", r"step 1 is convolution\(conv1\.0\.weight 32x3x3x3"),
        ("timm:resnet50_gn", r"step 2 is native_group_norm\("),
        ("timm:efficientnet_b0", r"step 2 is batch_norm\(.*1e-05\), ours is .*0\.001\)"),
        ("torchvision:densenet121", "no network of conf/model is built like it.*resnet18, 34, 50"),
        ("torchvision:resnet21", "torchvision has no such network for images.*resnet18"),
        ("torchvision:resnet50.V3", "no such weights of it. It has IMAGENET1K_V1, IMAGENET1K_V2"),
        ("timm:resnet21", r"timm has no network resnet21\. Its names: timm\.list_models"),
        ("timm:resnet50.a9", r"no such weights of resnet50\. It has .*a1_in1k"),
        ("resnet50", r"weights=resnet50: expected torchvision:NAME"),
        ("keras:resnet50", r"weights=keras:resnet50: expected .*caffe:FILE\.caffemodel"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(spec, reason, offline):
    with pytest.raises(Problem, match=reason):
        load(spec, None)


def test_another_model_than_the_weights_is_refused(resnet18):
    with pytest.raises(Problem, match="is model=resnet18, not model=resnet50: leave model out"):
        load(f"torchvision:resnet18:{resnet18[1]}", "resnet50")


@pytest.fixture
def changed(resnet18, tmp_path):
    """Saves resnet18's state after `change`; what it gives is how to name that."""

    def save(change):
        state = dict(resnet18[0].state_dict())
        change(state)
        torch.save(state, tmp_path / "changed.pth")
        return f"torchvision:resnet18:{tmp_path / 'changed.pth'}"

    return save


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layer1.0.conv1.weight"), r"it lacks layer1\.0\.conv1\.weight"),
        (lambda s: s.update(head=torch.ones(1)), "it has head besides"),
        (
            lambda s: s.update({"fc.bias": torch.ones(10), "fc.weight": torch.ones(10, 512)}),
            r"fc\.bias of \(10,\), expected \(1000,\)",
        ),
    ],
)
def test_a_state_of_another_network_is_refused_by_name(change, message, changed):
    with pytest.raises(Problem, match=message):
        load(changed(change), None)


def test_a_state_from_before_torch_counted_batches_is_whole(changed, resnet18):
    def forget(state):
        for name in [name for name in state if name.endswith("num_batches_tracked")]:
            del state[name]

    state = load(changed(forget), None).net.state_dict()
    assert torch.equal(state["bn1.running_var"], resnet18[0].bn1.running_var)
    assert state["bn1.num_batches_tracked"] == 0


TABLE = {"a.weight": torch.arange(6.0).view(2, 3), "a.count": torch.tensor(7)}


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        {"state_dict": TABLE, "epoch": 90},
        {"model": {f"module.{name}": value for name, value in TABLE.items()}},
        TABLE | {"a.weight": TABLE["a.weight"].double()},
        TABLE | {"a.weight": nn.Parameter(TABLE["a.weight"].half())},
    ],
    ids=["plain", "wrapped", "parallel", "float64", "float16"],
)
def test_the_ways_of_saving_a_state_are_the_same_weights(content, tmp_path):
    torch.save(content, tmp_path / "weights.pth")
    found = states.read(tmp_path / "weights.pth")
    assert found.keys() == TABLE.keys()
    assert all(torch.equal(found[name], TABLE[name]) for name in TABLE)
    assert [value.dtype for value in found.values()] == [torch.float32, torch.int64]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TABLE | {"a.bias": torch.tensor([1, torch.nan])}, r"a\.bias that are not finite"),
        (TABLE | {"epoch": 3}, "holds epoch, a int, among its tensors"),
        ([1, 2], "holds a list: expected a table of named tensors"),
        ({}, "holds a dict: expected a table of named tensors"),
    ],
)
def test_what_is_no_table_of_finite_tensors_is_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(Problem, match=message):
        states.read(tmp_path / "weights.pth")


def test_safetensors_are_read(tmp_path):
    safetensors.torch.save_file(TABLE, tmp_path / "model.safetensors")
    found = states.read(tmp_path / "model.safetensors")
    assert found.keys() == TABLE.keys()
    assert all(torch.equal(found[name], TABLE[name]) for name in TABLE)


class Payload:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def test_a_file_that_could_run_code_is_refused_and_runs_none(tmp_path):
    marker, file = tmp_path / "ran", tmp_path / "unsafe.pth"
    torch.save({"conv1.weight": Payload(marker)}, file)
    with pytest.raises(
        Problem, match=r"besides tensors, and opening it might run any code.*state_dict"
    ):
        load(f"torchvision:resnet18:{file}", None)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.pth", b"PK\x03\x04 cut short", "cut.pth is damaged or was not written by torch.save"),
        ("page.pth", b"<html>not found</html>", "page.pth is damaged or was not written by torch"),
        ("cut.safetensors", b"\xff", r"cut\.safetensors is no readable \.safetensors file"),
        ("absent.pth", None, "there is no file .*absent.pth"),
    ],
)
def test_a_file_that_holds_no_weights_is_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Problem, match=message):
        load(f"torchvision:resnet18:{tmp_path / name}", None)
