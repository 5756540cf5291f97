"""`python -m topfive.export`: what the files compute, and what they say about themselves."""

import io
import json
import logging
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from compositions import composed
from small_runs import SMALL, fit
from torch import nn

from topfive import trained
from topfive.architecture import architecture
from topfive.batch_transforms import (
    GlobalContrastNormalization,
    MeanImage,
    Pipeline,
    PixelMap,
    Standardize,
)
from topfive.config import compose
from topfive.export import onnx_file, torch_file
from topfive.export.__main__ import main
from topfive.export.check import difference
from topfive.export.program import metadata, program
from topfive.problems import Problem
from topfive.runs import CONFIG
from topfive.trained import Trained
from topfive.whitening import Whitening

SLOW = pytest.mark.slow
# Of every paper a network, made small where it can be, at a size that leaves something of the image.
NETWORKS = [
    ("lenet5", 32, ()),
    ("cuda_convnet", 24, ()),
    ("alexnet", 67, ("model.input_size=67", "model.fc=64", "model.order=code", "model.within_map=true")),
    pytest.param("caffenet", 67, ("model.input_size=67", "model.fc=64"), marks=SLOW),
    pytest.param("alexnet", 99, ("model.input_size=67", "model.fc=64"), marks=SLOW),
    pytest.param("zfnet", 64, ("model.input_size=64", "model.fc=64"), marks=SLOW),
    pytest.param("nin_cifar", 32, (), marks=SLOW),
    pytest.param("nin_imagenet", 67, (), marks=SLOW),
    pytest.param("allcnn_c", 32, (), marks=SLOW),
    pytest.param("allcnn_imagenet", 99, (), marks=SLOW),
    pytest.param("vgg11_lrn", 32, ("model.input_size=32",), marks=SLOW),
    pytest.param("googlenet", 96, (), marks=SLOW),
    pytest.param("bn_inception", 65, (), marks=SLOW),
    pytest.param("resnet20", 32, ("model.depth=8",), marks=SLOW),
    pytest.param("resnet18", 256, ("model.head=sliding",), marks=SLOW),
    pytest.param("resnet50", 64, (), marks=SLOW),
    pytest.param("preact_resnet164", 32, ("model.depth=20",), marks=SLOW),
    pytest.param("efficientnet_b0", 64, (), marks=SLOW),
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A residual network of 8 layers after two steps on digits."""
    folder = tmp_path_factory.mktemp("export") / "run"
    folder.mkdir()
    short = ["recipe.duration={iterations:2}", "recipe.schedule.at={iterations:[1]}"]
    fit(folder, *short)
    (folder / CONFIG).write_text(yaml.safe_dump(compose([*SMALL, *short])))
    return folder


def drawn(name: str, *overrides: str) -> Trained:
    """A network with ten classes and random weights and statistics."""
    config = composed(f"model={name}", *overrides)
    config = {**config, "model": {k: v for k, v in config["model"].items() if k != "num_classes"}}
    torch.manual_seed(0)
    net = architecture(config, 10).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    channels = config["recipe"]["channels"]
    scale = Standardize([120.0] * channels, [60.0] * channels)
    return Trained(name=name, net=net, pipeline=Pipeline([scale]), config=config, filter="cubic")


def with_pipeline(*transforms: nn.Module) -> Trained:
    """Behind `transforms` a network of one layer."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    config = {"choices": {"model": "layer"}, "recipe": {"channels": 3}, "protocol": {}}
    return Trained(name="layer", net=net, pipeline=Pipeline(list(transforms)), config=config)


@torch.no_grad()
def scores_of(net: Trained, images: torch.Tensor) -> torch.Tensor:
    return net.scores(images)


def shape(file: Path) -> list[int | str]:
    """Of the input of an ONNX file, which takes bytes."""
    model = onnx.load(file)
    onnx.checker.check_model(model)
    [entry] = model.graph.input
    assert entry.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    return [d.dim_param or d.dim_value for d in entry.type.tensor_type.shape.dim]


def scores_of_onnx(content: bytes, images: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(content)
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def scores_of_torch(content: bytes, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.export.load(io.BytesIO(content)).module()(images)


def pictures(channels: int, size: int, batch: int) -> torch.Tensor:
    drawn = np.random.default_rng(1).integers(0, 256, (batch, channels, size, size), np.uint8)
    return torch.from_numpy(drawn)


def agree(found: torch.Tensor, expected: torch.Tensor) -> None:
    """To 1e-4 of what tells the classes apart, which is not nothing."""
    apart = float(expected.max() - expected.min())
    assert apart > 1e-3
    assert float((found - expected).abs().max()) < 1e-4 * apart


@pytest.mark.parametrize(("name", "size", "overrides"), NETWORKS)
def test_both_files_give_the_networks_scores_for_any_number_of_images(
    name: str, size: int, overrides: tuple[str, ...]
):
    net = drawn(name, *overrides)
    graph = program(net, size, None)
    archive, model = (form.content(graph, {}) for form in (torch_file, onnx_file))
    for batch in (1, 5):
        images = pictures(net.channels, size, batch)
        expected = scores_of(net, images)
        agree(scores_of_torch(archive, images), expected)
        agree(scores_of_onnx(model, images), expected)


@pytest.mark.parametrize(
    "transforms",
    [
        (
            MeanImage(torch.rand(3, 12, 12) * 200, follows_crop=True),
            GlobalContrastNormalization(),
            Whitening(torch.rand(192), torch.rand(192, 192)),
        ),
        (
            PixelMap(0, 200),
            MeanImage(torch.rand(3, 6, 6) * 200, stretch=True),
            Standardize([1.0] * 3, [60.0] * 3),
        ),
    ],
    ids=["whitened", "stretched"],
)
def test_preprocessing_is_part_of_both_files(transforms: tuple[nn.Module, ...]):
    net = with_pipeline(*transforms)
    graph, images = program(net, 8, None), pictures(3, 8, 3)
    expected = scores_of(net, images)
    agree(scores_of_torch(torch_file.content(graph, {}), images), expected)
    agree(scores_of_onnx(onnx_file.content(graph, {}), images), expected)


def test_metadata_say_all_that_the_pixels_do_not():
    net = drawn("lenet5")
    said = metadata(net, 32)
    assert said["model"] == "lenet5"
    assert said["input"] == "uint8 images (batch, 1, 32, 32), gray"
    assert (said["size"], said["filter"], said["classes"], said["origin"]) == (
        "32",
        "cubic",
        "null",
        "null",
    )
    assert json.loads(said["protocol"])["size"] == 32


def test_what_computes_something_else_is_refused():
    net = with_pipeline()
    right = net.scores
    assert difference(net, right, 8, None) == 0
    step = 1e-3 * spread(net)
    with pytest.raises(
        Problem, match=r"gives other scores than layer: they differ by up to .*\. No file"
    ):
        difference(net, lambda images: right(images) + step, 8, None)
    with pytest.raises(Problem, match="they differ by up to nan"):
        difference(net, lambda images: right(images) * float("nan"), 8, None)


def test_a_difference_is_measured_against_what_tells_the_classes_apart():
    net = with_pipeline()
    far = Trained(**{**vars(net), "net": nn.Sequential(net.net, Shifted())})
    error = 5e-4 * spread(net)
    assert error < 1e-4 * 1e4  # nothing beside scores of ten thousand
    with pytest.raises(Problem, match="gives other scores"):
        difference(far, lambda images: far.scores(images) + error, 8, None)


def spread(net: Trained) -> float:
    """Between the largest and the smallest score of some images."""
    scores = scores_of(net, pictures(3, 8, 3))
    return float(scores.max() - scores.min())


class Shifted(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1e4


# -- the command


@pytest.mark.parametrize("ending", ["pt2", "onnx"])
def test_a_run_is_written_with_its_classes_and_checked(
    run: Path, tmp_path: Path, capfd, ending: str, monkeypatch
):
    # Another test may have let torch take its standard error for a log, and closed it since.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    file = tmp_path / f"net.{ending}"
    assert main(["--run", str(run), "--output", str(file)]) == 0
    printed = capfd.readouterr()
    said = rf"{file}: \d\.\d MiB, differs from run by \d\.\de.\d\d of the scores' range\n"
    assert re.fullmatch(said, printed.out)
    assert printed.err == ""
    net = trained.of_run(run)
    images = pictures(3, 8, 4)
    expected = scores_of(net, images)
    if ending == "onnx":
        agree(scores_of_onnx(file.read_bytes(), images), expected)
        assert shape(file) == ["batch", 3, 8, 8]
        props = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    else:
        extra = {"metadata.json": ""}
        agree(torch.export.load(file, extra_files=extra).module()(images).detach(), expected)
        props = json.loads(extra["metadata.json"])
    assert json.loads(props["classes"]) == [str(digit) for digit in range(10)]
    assert (props["model"], props["size"], props["filter"]) == ("resnet20", "8", "triangle")


def test_a_wrong_file_is_not_written(run: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(
        torch_file, "reader", lambda content: lambda images: torch.zeros(len(images), 10)
    )
    assert main(["--run", str(run), "--output", str(tmp_path / "net.pt2")]) == 1
    assert "gives other scores than run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def without(*names: str):
    return lambda name: None if name in names else "there"


def test_the_extra_is_named_where_it_is_not_installed(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", without("onnxscript"))
    assert main(["--run", "absent", "--output", str(tmp_path / "net.onnx")]) == 1
    assert (
        "takes onnxscript, which the extra onnx installs: uv sync --extra onnx"
        in capsys.readouterr().err
    )


def test_it_is_said_where_nothing_could_be_checked(run: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", without("onnxruntime"))
    file = tmp_path / "net.onnx"
    assert main(["--run", str(run), "--output", str(file), "--batch", "4"]) == 0
    assert "not checked, because onnxruntime is not installed" in capsys.readouterr().out
    assert shape(file) == [4, 3, 8, 8]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--run", "absent", "--output", "{folder}/x.pt2"], "there is no readable config.yaml"),
        (["--run", "{run}", "--output", "{folder}/x.pt"], r"the ending chooses the format: \.pt2 or \.onnx"),
        (["--run", "{run}", "--output", "{folder}/a/x.pt2"], "there is no folder .*/a"),
        (["--run", "{run}", "--output", "/proc/x.pt2"], "--output /proc/x.pt2: .+ Name another file"),
        (["--run", "{run}", "--output", "{folder}/x.pt2", "--batch", "0"], "--batch 0: expected dynamic or a"),
        (["--run", "{run}", "--output", "{folder}/x.pt2", "--size", "0"], "--size 0: expected a number"),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_line(run: Path, tmp_path: Path, capsys, arguments, said):
    assert main([argument.format(run=run, folder=tmp_path) for argument in arguments]) == 1
    line = capsys.readouterr().err
    assert re.fullmatch(f"topfive\\.export: .*{said}.*\n", line), line
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_the_network_does_not_take_is_refused():
    with pytest.raises(Problem, match=r"lenet5 does not take images of 40 x 40 pixels .*--size"):
        program(drawn("lenet5"), 40, None)
    with pytest.raises(Problem, match=r"for a network of model\.input_size=24"):
        program(drawn("cuda_convnet"), 32, None)
