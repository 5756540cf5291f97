"""Every network of conf/model learns four images by heart, under its own recipe.

Criterion: some steps on one batch, at the recipe's own optimizer, rates, decay and first weights, bring
the batch's loss below a third of what it was (half is what remains where one class alone is learned). It
is measured with dropout off, and over the batch's own statistics where layers normalize; training itself
leaves nothing out. What departs from the recipe, or from the network, is said in the table.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from conftest import draw_photograph
from hydra.utils import instantiate
from torch.utils.data import DataLoader

import topfive
from topfive import build
from topfive.batch_transforms import MeanImage, Pipeline
from topfive.classifier import Classifier
from topfive.clock import Clock
from topfive.config import compose, options
from topfive.loaders.batch import Batch
from topfive.preprocessing import transform
from topfive.quiet import quiet_lightning

IMAGES, CLASSES = 4, 2
FOR_THE_TEST = {"average", "statistics"}  # callbacks that are not about training
MODELS = Path(topfive.__file__).parent / "models"


@dataclass(frozen=True)
class Case:
    """departures: of the recipe, each with its reason above it; others: of the network and the images' size."""

    steps: int = 20
    others: tuple[str, ...] = ()
    departures: tuple[str, ...] = ()


def small(side: int, *more: str) -> tuple[str, ...]:
    return (f"recipe.crop.size={side}", *more)


def batch(side: int, channels: int, repeats: int) -> Batch:
    """Two photographs of either class, under fixed addresses."""
    drawn = [draw_photograph(side, side, k % CLASSES, seed=k) for k in range(IMAGES)]
    images = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2)[:, :channels]
    labels, index = torch.arange(IMAGES) % CLASSES, torch.arange(IMAGES)
    zeros = torch.zeros(IMAGES, dtype=torch.int64)
    one = Batch(images.contiguous(), labels, index, zeros, zeros, zeros, zeros, zeros.bool())
    return Batch(*(field.repeat_interleave(repeats, 0) for field in one))


class OneBatch(pl.LightningDataModule):
    """The same batch at every step, and where a recipe asks for a sample of the set."""

    def __init__(self, one: Batch, steps: int):
        super().__init__()
        self.one, self.steps = one, steps

    def train_dataloader(self) -> DataLoader:
        return DataLoader([self.one] * self.steps, batch_size=None)

    def sample(self, count: int, when: int) -> Batch:
        return self.one


def classifier(config, steps: int) -> Classifier:
    """As build.classifier, over a flat mean image and without whitening."""
    recipe = config["recipe"]
    clock = Clock(IMAGES * steps, IMAGES)  # one epoch
    transforms = [transform(entry, clock) for entry in recipe["transforms"]]
    if recipe["mean"] is not None:
        flat = torch.full((recipe["channels"], *[recipe["crop"]["size"]] * 2), 110.0)
        transforms.insert(0, MeanImage(flat, recipe["mean"]["follows_crop"]))
    net = build.network(config, CLASSES)
    return Classifier(net, Pipeline(transforms), recipe, clock, CLASSES, 0, 1.0, IMAGES)


@torch.no_grad()
def loss(module: Classifier, one: Batch) -> float:
    module.train()
    for dropout in module.dropouts:
        dropout.eval()
    return float(module.loss(module(one.images, one), one.labels).mean())


def learned(name: str, case: Case, folder) -> tuple[float, float]:
    """The batch's loss before and after."""
    quiet_lightning()
    config = compose([f"model={name}", f"recipe.bn_batch={IMAGES}", *case.departures, *case.others])
    module = classifier(config, case.steps)
    online = config["recipe"]["online"] is not None
    callbacks = config["recipe"].get("callbacks", {})
    one = batch(config["recipe"]["crop"]["size"], config["recipe"]["channels"], 25 if online else 1)
    before = loss(module, one)
    module.train()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=case.steps,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[instantiate(c) for name, c in callbacks.items() if name not in FOR_THE_TEST],
    )
    trainer.fit(module, datamodule=OneBatch(one, case.steps))
    return before, loss(module, one)


# One of every file of models: the ordinary run.
FIRST = {
    "lenet5": Case(),
    "caffenet": Case(60, small(67, "model.fc=256"), ("recipe.schedule.rate=0.005",)),  # 0.01 diverges
    # From N(0, 0.01) and a rate of 0.01 the loss stays at log 2.
    "zfnet": Case(20, small(64), ("recipe.schedule.rate=0.1",)),
    "cuda_convnet": Case(),
    "nin_cifar": Case(40),
    "allcnn_c": Case(),
    "vgg11": Case(16, small(32), ("recipe=vgg_glorot",)),  # section 3.1: the remedy for its plateau
    "googlenet": Case(10, small(96), ("recipe.schedule.rate=0.001",)),  # 0.01 diverges
    "bn_inception": Case(10, small(64)),
    "resnet20": Case(10),
    "preact_resnet164": Case(10, ("model.depth=20",)),
    "efficientnet_b0": Case(
        10,
        small(64),
        # Five epochs to warm up are more than this run has; the rate was made for batches of 2,048; and smoothed labels
        # are there to forbid what is asked here.
        ("recipe.schedule.warmup=null", "recipe.schedule.rate=0.016", "recipe.loss.smoothing=0"),
    ),
}  # fmt: skip
ZEROS = (
    "recipe.schedule.rate=0.003",
)  # at 0.05 the ReLU over the classes soon puts out zeros alone
OTHERS = {
    "plain20": Case(10),
    "allcnn_a": Case(),
    "allcnn_b": Case(),
    "strided_cnn_a": Case(),
    "convpool_cnn_b": Case(),
    "inception_naive": Case(10, small(96), ("recipe.schedule.rate=0.001",)),  # as googlenet
    "convpool_cnn_c": Case(),
    "cnn_a": Case(20, (), ZEROS),
    "cnn_b": Case(20, (), ZEROS),
    "cnn_c": Case(60, (), ZEROS),
    "strided_cnn_b": Case(),
    "strided_cnn_c": Case(60, (), ZEROS),
    "convpool_cnn_a": Case(60, (), ZEROS),
    # Its loss stays at log 2 for sixty steps at 0.005.
    "alexnet": Case(60, small(67, "model.fc=256"), ("recipe.schedule.rate=0.02",)),
    "vgg16_1x1": Case(30, small(32), ("recipe=vgg_glorot",)),
    "zfnet_big": Case(20, small(64), ("recipe.schedule.rate=0.1",)),  # as zfnet
    "vgg11_lrn": Case(16, small(32), ("recipe=vgg_glorot",)),
    # With the ReLU over the classes one of two is put out, and the loss stays at half of log 2.
    "nin_imagenet": Case(40, small(99, "model.class_relu=false"), ("recipe.schedule.rate=0.001",)),
    "allcnn_imagenet": Case(20, small(99), ("recipe.schedule.rate=0.001",)),  # 0.01: zeros alone
    "resnet18": Case(10, small(32)),
    "resnet50": Case(10, small(64)),
    "preact_resnet200": Case(10, small(64, "model.depth=50")),
}  # fmt: skip
# They differ in depth alone from one above.
DEEPER = {
    "plain32", "plain44", "plain56", "plain110", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202",
    "preact_resnet110", "preact_resnet1001", "resnet34", "resnet101", "resnet152", "plain18", "plain34",
    "vgg13", "vgg16", "vgg19",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:You defined a .validation_step. but have no .val_dataloader")
@pytest.mark.parametrize(
    "name", [*FIRST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_four_images_are_learned_by_heart(name, tmp_path):
    before, after = learned(name, (FIRST | OTHERS)[name], tmp_path)
    assert after < before / 3


def test_every_network_is_learned_from_or_named_as_left_out():
    named = [*FIRST, *OTHERS, *DEEPER]
    assert sorted(named) == sorted(options("model"))


def test_every_file_of_models_has_a_network_in_the_ordinary_run():
    files = {f"topfive.models.{file.stem}" for file in MODELS.glob("*.py")}
    reached = {compose([f"model={name}"])["model"]["_target_"].rpartition(".")[0] for name in FIRST}
    assert reached == files - {"topfive.models.__init__", "topfive.models.preact_units"}
