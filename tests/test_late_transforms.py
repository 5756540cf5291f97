"""Transforms that a recipe switches off late: AlexNet's color noise, in the code's last 24 epochs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from topfive import build
from topfive.batch_transforms import PCAColor, Pipeline, Until
from topfive.clock import Clock
from topfive.config import compose
from topfive.loaders.batch import Batch, still
from topfive.preprocessing import pipeline, transform
from topfive.problems import Problem
from topfive.runs import Run

ALEXNET = Clock(images=1_281_167, batch=128)
CODE = compose(["model=alexnet", "recipe=alexnet_code"])["recipe"]
(COLOR,) = CODE["transforms"]
IMAGES = torch.full((4, 3, 2, 2), 110, dtype=torch.uint8)
BATCH = still(IMAGES, torch.arange(4), torch.arange(4))

FIT = [
    "trainer.accelerator=cpu", "trainer.accumulate_grad_batches=2", "trainer.max_steps=5",
    "trainer.checkpoint_every=2", "trainer.check_every=1000", "trainer.progress=false", "logger=csv",
]  # fmt: skip
seen: list[int] = []


class Recorder(nn.Module):
    """Notes, or fails at, the step of every training batch that passes through it."""

    module: Any
    fails_at: int | None = None

    def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
        if batch is not None:
            if self.module.global_step == self.fails_at:
                raise RuntimeError("the power went")
            seen.append(self.module.global_step)
        return x


def test_a_transform_works_until_its_step_and_not_from_then_on() -> None:
    pipeline = Pipeline([transform(COLOR, replace(ALEXNET, images=1280))])
    views = []
    for step in (0, 669, 670, 9999, 669):  # 67 epochs of 10 steps
        pipeline.set_step(step)
        views.append(pipeline(IMAGES, BATCH, torch.float32))
    assert [torch.equal(view, IMAGES.float()) for view in views] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert torch.equal(views[0], views[1])  # the noise itself does not look at the step


@pytest.mark.parametrize(
    ("shorten", "end"),
    [
        (1, 670_611),  # 67 x 1,281,167 / 128 = 670,610.9
        (10, 67_061),
        (91, 7369),  # 91 epochs made one: 7369.4
    ],
)
def test_the_color_noise_ends_with_epoch_67_and_is_squeezed_with_the_whole(
    shorten: float, end: int
) -> None:
    late = transform(COLOR, replace(ALEXNET, shorten=shorten))
    assert isinstance(late, Until)
    assert late.end == end


def test_recipe_shorten_moves_the_end_of_a_transform(class_folders: Path) -> None:
    small = ["recipe.crop.smallest=40", "recipe.crop.largest=40", "recipe.crop.size=32"]
    data = ["data=folder", f"data.root={class_folders}", "loader.workers=0"]
    shorten = ["recipe.batch_size=7", "recipe.shorten={iterations:13}", "recipe.mean=null"]
    config = compose(["model=alexnet", "recipe=alexnet_code", *small, *data, *shorten])
    # 7 images a step and an epoch: 91 steps are squeezed into 13, 67 into 67 / 7 = 9.6.
    data = build.data_module(config)
    (color,) = pipeline(config, data, build.clock(config, data)).transforms
    assert isinstance(color, Until)
    assert color.end == 10


def test_evaluation_views_pass_through_whatever_the_step() -> None:
    class Double(nn.Module):
        def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
            return 2 * x

    pipeline = Pipeline([Until(Double(), 5)])
    pipeline.set_step(5)
    assert torch.equal(pipeline(IMAGES, BATCH, torch.float32), IMAGES.float())
    assert torch.equal(pipeline(IMAGES, None, torch.float32), 2 * IMAGES.float())


def test_an_entry_without_until_is_the_transform_itself_and_no_entry_is_changed() -> None:
    before = dict(COLOR)
    plain = {key: value for key, value in COLOR.items() if key != "until"}
    assert isinstance(transform(plain, ALEXNET), PCAColor)
    transform(COLOR, ALEXNET)
    assert before == COLOR


def test_an_until_of_no_unit_is_a_problem() -> None:
    with pytest.raises(Problem, match=r"found the length \{'steps': 3\}"):
        transform({**COLOR, "until": {"steps": 3}}, ALEXNET)


def fit(folder: Path, checkpoint: Path | None) -> None:
    config = compose(
        ["model=resnet20", "data=digits", "recipe.batch_size=4", "recipe.bn_batch=2", *FIT]
    )
    config["recipe"]["transforms"] = [
        {"_target_": f"{__name__}.Recorder", "until": {"iterations": 3}}
    ]
    data, run = build.data_module(config), Run(folder, checkpoint)
    trainer = build.trainer(config, run, data)
    Recorder.module = build.classifier(config, data, trainer, trained=False)
    build.resume(run, data, trainer)
    trainer.fit(Recorder.module, data, ckpt_path=checkpoint)


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch")
def test_a_run_tells_its_transforms_the_step_after_a_resume_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen.clear()
    monkeypatch.setattr(Recorder, "fails_at", 2)
    with pytest.raises(RuntimeError, match="the power went"):
        fit(tmp_path, None)
    assert seen == [0, 0, 1, 1]  # two rounds a step
    monkeypatch.setattr(Recorder, "fails_at", None)
    fit(tmp_path, tmp_path / "last.ckpt")
    assert seen == [0, 0, 1, 1, 2, 2]


def test_the_codes_color_noise_is_followed_by_a_division_by_1_1() -> None:
    color = {key: value for key, value in COLOR.items() if key not in ("until", "divisor")}
    noisy = transform(color, ALEXNET)(IMAGES.float(), BATCH)
    divided = transform(COLOR, ALEXNET)(IMAGES.float(), BATCH)
    assert color["strength"] == 0.1
    torch.testing.assert_close(divided * 1.1, noisy)
    assert torch.equal(transform(COLOR, ALEXNET)(IMAGES.float(), None), IMAGES.float())
