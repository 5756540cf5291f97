import pytest
import pytorch_lightning as pl
import torch
from small_runs import saved, train
from torch import nn

from topfive import build
from topfive.callbacks.gradient_clip import GradientClip
from topfive.config import compose
from topfive.problems import Problem

CLIP = "+recipe.callbacks={clip:{_target_:topfive.callbacks.gradient_clip.GradientClip,norm:%s}}"


class Line(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 1, bias=False)


@pytest.mark.parametrize(("norm", "clipped"), [(1.0, [0.6, 0.8]), (6.0, [3.0, 4.0])])
def test_a_gradient_of_3_and_4_has_the_norm_5(norm, clipped):
    line = Line()
    line.net.weight.grad = torch.tensor([[3.0, 4.0]])
    GradientClip(norm).on_before_optimizer_step(
        pl.Trainer(accelerator="cpu", logger=False), line, None
    )
    assert line.net.weight.grad.flatten().tolist() == pytest.approx(clipped, rel=1e-5)


@pytest.mark.parametrize("rounds", [1, 2])
def test_the_first_update_is_as_long_as_rate_times_norm(tmp_path, monkeypatch, rounds):
    # Momentum begins at zero: the first update is the rate, 0.1, times the gradient of norm 0.01.
    options = [
        CLIP % 0.01,
        "recipe.weight_decay=0",
        "recipe.duration={iterations:1}",
        f"trainer.accumulate_grad_batches={rounds}",
    ]
    first = dict(build.network(compose(SHAPE), 10).named_parameters())
    last = saved(train(monkeypatch, tmp_path, *options))
    moved = [(last[f"net.{key}"] - value).detach().flatten() for key, value in first.items()]
    assert torch.cat(moved).norm().item() == pytest.approx(0.1 * 0.01, rel=1e-3)


SHAPE = ["model=resnet20", "model.depth=8", "data=digits"]


def test_a_recipe_that_updates_by_single_images_is_refused():
    line = Line()
    line.automatic_optimization = False
    with pytest.raises(Problem, match=r"recipe.online.* GradientClip null"):
        GradientClip(1).setup(pl.Trainer(accelerator="cpu", logger=False), line, "fit")


def test_a_norm_that_is_not_positive_is_refused():
    with pytest.raises(Problem, match="norm of the gradient is 0: expected a number above 0"):
        GradientClip(0)
