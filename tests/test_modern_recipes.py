"""Today's recipes on yesterday's networks, from the configuration to a resumed run."""

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from topfive.architecture import architecture
from topfive.classifier import Classifier
from topfive.config import compose
from topfive.loaders.batch import Batch
from topfive.mixup import Mixup
from topfive.parameter_groups import parameter_groups

ROOT = Path(__file__).parents[1]
NETWORKS = {
    "modern": ["alexnet", "vgg11", "googlenet", "bn_inception"],
    "modern_short": ["resnet18"],
    "modern_cifar": ["resnet20", "nin_cifar"],
    "ffcv_16": ["resnet50"],
}


@pytest.mark.parametrize(
    ("recipe", "model"),
    [(recipe, model) for recipe, models in NETWORKS.items() for model in models],
)
def test_a_network_of_any_age_takes_the_views_and_the_optimizer(recipe: str, model: str) -> None:
    config = compose([f"model={model}", f"recipe={recipe}"])
    section, size = config["recipe"], config["recipe"]["crop"]["size"]
    with torch.device("meta"):
        net = architecture(config, 10).train()
        scores = net(torch.empty(2, section["channels"], size, size))
    heads = scores if isinstance(scores, tuple) else (scores,)
    assert {head.shape for head in heads} == {(2, 10)}
    groups = parameter_groups(net, section["weight_decay"], section["decayed"])
    optimizer = instantiate({**section["optimizer"], "_partial_": True})(groups, lr=0.0)
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == len(list(net.parameters()))
    assert instantiate(section["augment"]) if "augment" in section else recipe == "ffcv_16"
    loss = instantiate(section["loss"])
    assert loss(torch.zeros(4, 10), torch.tensor([1, -1, 0, 9])).isfinite()


def test_a_head_of_googlenet_is_trained_under_the_modern_recipe() -> None:
    recipe = compose(["model=googlenet", "recipe=modern"])["recipe"]
    scores = [torch.randn(4, 10, requires_grad=True) for _ in range(3)]
    mix = Mixup(0, 10, **{k: v for k, v in recipe["mixup"].items() if k != "_target_"})
    _, shares = mix(torch.rand(4, 3, 8, 8), torch.tensor([1, 2, 0, 9]), 0)
    instantiate(recipe["loss"])(tuple(scores), shares).backward()
    assert all(head.grad is not None and head.grad.any() for head in scores)


def test_lamb_keeps_the_rate_and_the_decay_of_each_step_and_group() -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2).double()
    section = compose(["model=resnet20", "recipe=modern"])["recipe"]
    groups = parameter_groups(net, section["weight_decay"], section["decayed"])
    lamb = instantiate({**section["optimizer"], "_partial_": True})(groups, lr=0.0)
    assert [group["weight_decay"] for group in lamb.param_groups] == [0.02, 0.0]
    before = [p.detach().clone() for p in net.parameters()]
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 0.01)
    lamb.step()
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))
    for group in lamb.param_groups:
        group["lr"] = 0.1
    lamb.step()
    # Two equal gradients: Adam's ratio is 1 in every element, up to eps, and the bias's step the rate.
    assert net.bias.tolist() == pytest.approx((before[1] - 0.1).tolist(), abs=1e-4)
    # The weights' step, decay included, has the length rate x |w| (arXiv:1904.00962).
    step = (net.weight - before[0]).norm().item()
    assert step == pytest.approx(0.1 * before[0].norm().item(), rel=1e-9)


# Everything modern at once: sizes and smoothing are the recipe's.
RUN = [
    "model=resnet20", "model.depth=8", "recipe=ffcv_16", "data=folder", "protocol=one_crop", "seed=3",
    "recipe.batch_size=4", "recipe.bn_batch=4", "recipe.shorten=4", "recipe.crop.size=48",
    "recipe.sizes.smallest=32", "recipe.sizes.multiple=16", "recipe.sizes.start={epochs:4}",
    "recipe.sizes.end={epochs:8}", "protocol.size=48", "protocol.shorter=56",
    "+recipe.augment={_target_:topfive.augmentation.RandAugment,policy:rand-m7-mstd0.5-inc1,fill:[9,9,9]}",
    "+recipe.mixup={_target_:topfive.mixup.Mixup,mixup:0.2,cutmix:1}",
    "~recipe.loss.smoothing", "recipe.loss._target_=topfive.binary_cross_entropy.BinaryCrossEntropy",
    "+recipe.loss.threshold=0.2", "trainer.accelerator=cpu", "trainer.progress=false", "logger=csv",
    "trainer.checkpoint_every=3", "loader.workers=0", "data.max_unreadable=0.5",
]  # fmt: skip


def train(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["train.py", *RUN, *arguments])
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "last.ckpt", weights_only=True)["state_dict"]
    return state


@pytest.mark.filterwarnings(
    "ignore:You're resuming from a checkpoint that ended before"
)  # at a step
def test_a_resumed_modern_run_ends_with_the_same_weights_bit_for_bit(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    step = Classifier.training_step

    def watched(self: Classifier, batch: Batch, batch_idx: int) -> Any:
        sizes.append(batch.images.shape[-1])
        return step(self, batch, batch_idx)

    def broken(self: Classifier, batch: Batch, batch_idx: int) -> Any:
        if self.global_step == 5:
            raise KeyError("the machine is gone")
        return step(self, batch, batch_idx)

    root = f"data.root={class_folders}"
    monkeypatch.setattr(Classifier, "training_step", watched)
    train(monkeypatch, tmp_path, root, "hydra.run.dir=whole")
    # 7 images in batches of 4, four times shortened: 16 epochs are 7 steps, 4 and 8 epochs 2 and 4.
    assert sizes == [32, 32, 32, 32, 48, 48, 48]

    monkeypatch.setattr(Classifier, "training_step", broken)
    with pytest.raises((KeyError, SystemExit)):
        train(monkeypatch, tmp_path, root, "hydra.run.dir=cut")
    sizes.clear()
    monkeypatch.setattr(Classifier, "training_step", watched)
    train(monkeypatch, tmp_path, root, "hydra.run.dir=cut", "resume=cut")
    assert sizes == [32, 48, 48, 48]  # from the checkpoint of step 3 on
    ours, theirs = weights(tmp_path / "cut"), weights(tmp_path / "whole")
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    first = [key for key, value in theirs.items() if "weight" in key and not value.isfinite().all()]
    assert first == []
