"""One network of every paper takes two steps of its own recipe, from train.py to the record."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from topfive import build
from topfive.config import compose

ROOT = Path(__file__).parents[1]
QUICK = [
    "data=folder", "trainer.max_steps=2", "trainer.accelerator=cpu", "trainer.progress=false",
    "loader.workers=0", "logger=csv", "recipe.batch_size=4", "seed=3", "hydra.run.dir=run",
]  # fmt: skip


def photographs(size: int, *sides: str) -> list[str]:
    """The paper's crop of a photograph, made small in about its proportions; `sides`: keys of it."""
    shorter = size * 8 // 7
    return [
        "protocol=one_crop",
        *(f"recipe.crop.{side}={shorter}" for side in sides),
        f"recipe.crop.size={size}",
        f"protocol.size={size}",
        f"protocol.shorter={shorter}",
    ]


def warped(size: int) -> list[str]:
    """Caffe's crop and test of the image squeezed to a square, made small."""
    side = size * 8 // 7
    crop = [f"recipe.crop.side={side}", f"recipe.crop.size={size}", f"recipe.mean.shorter={side}"]
    return [*crop, f"protocol.side={side}", f"protocol.size={size}"]


def pixels(*unused: str) -> list[str]:
    """Photographs, which must be resized, where the recipe crops CIFAR's pixels as they are."""
    resized = [
        "protocol=one_crop",
        "recipe.crop._target_=topfive.crops.ShorterSide",
        "recipe.mean=null",
        "recipe.whitening=null",
    ]
    sizes = ["+recipe.crop.smallest=40", "+recipe.crop.largest=40", "protocol.shorter=40"]
    return [*resized, *sizes, "protocol.size=${recipe.crop.size}", *unused]


RANGE = ("smallest", "largest")
NETWORKS = {
    "alexnet": [*photographs(67, *RANGE), "recipe.mean.shorter=76", "data.minival=2"],
    "caffenet": warped(67),
    "zfnet": [*photographs(64, "shorter"), "recipe.mean.shorter=73", "data.minival=2"],
    "cuda_convnet": pixels("~recipe.crop.by"),
    "nin_cifar": pixels(),
    "nin_imagenet": warped(67),
    "allcnn_c": pixels(),
    "allcnn_imagenet": [*photographs(99, *RANGE), "recipe.mean.shorter=113"],
    "vgg11": [*photographs(32, *RANGE), "data.minival=2"],
    "googlenet": photographs(96),
    "bn_inception": [*photographs(64), "recipe.bn_batch=4"],
    "preact_resnet164": [*pixels("~recipe.crop.by"), "recipe.bn_batch=4", "model.depth=20"],
    "efficientnet_b0": photographs(64),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_moves_in_two_steps_of_the_papers_recipe(
    name: str, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [f"model={name}", *QUICK, *NETWORKS[name], f"data.root={class_folders}"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *overrides])
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")

    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["scores"][0]["n"] == 4
    assert record["iterations"] == 2
    config = compose([o for o in overrides if not o.startswith("hydra.")])
    first = dict(build.network(config, 2).named_parameters())
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    still = [key for key, value in first.items() if torch.equal(last[f"net.{key}"], value)]
    assert still == []
