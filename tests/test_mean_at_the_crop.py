"""Caffe's mean image, subtracted where the crop lies in the 256 square, and mirrored with it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import draw_photograph
from PIL import Image
from test_loaders import by_workers, joined, order

from topfive import build
from topfive.batch_transforms import MeanImage
from topfive.config import compose
from topfive.crops import AreaAspect, Crop, FixedTen, Shift, ShorterSide, Warp
from topfive.datasets import Photographs
from topfive.order import Share
from topfive.preprocessing import pipeline
from topfive.problems import Problem

SIDE, SIZE = 40, 32
WARP = Warp(SIZE, SIDE)
SQUARE = ShorterSide(SIDE, SIDE, SIZE, square=True)
LOW, HIGH = 0.001, 0.999


@pytest.fixture
def squares(tmp_path: Path) -> Photographs:
    """Seven of 40 x 40: a resize to SIDE changes no pixel, so every crop is a window of them."""
    for k in range(7):
        Image.fromarray(draw_photograph(SIDE, SIDE, 0, seed=k)).save(tmp_path / f"{k}.png")
    return Photographs(tmp_path, [f"{k}.png" for k in range(7)], np.zeros(7, dtype=np.int64))


@pytest.mark.parametrize("shape", [(256, 256), (375, 500), (500, 333), (1000, 257)])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (29, 0), (14, 14), (3, 28)])
def test_caffes_crop_tells_its_place_in_the_256_square(
    shape: tuple[int, int], x: int, y: int
) -> None:
    crop = Warp(227, 256)  # models/bvlc_reference_caffenet: 30 x 30 places
    u = ((x + 0.5) / 30, (y + 0.5) / 30, 0.2)
    assert crop.frame == 256
    assert crop.place(*shape, crop(*shape, u)) == (x, y)


@pytest.mark.parametrize("shape", [(256, 256), (375, 500), (500, 333), (1000, 257)])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (32, 0), (16, 16), (3, 31)])
def test_alexnets_crop_tells_its_place_in_the_central_square(
    shape: tuple[int, int], x: int, y: int
) -> None:
    crop = ShorterSide(256, 256, 224, square=True)  # 33 x 33 places
    u = ((x + 0.5) / 33, (y + 0.5) / 33, 0.2, 0.5)
    assert crop.frame == 256
    assert crop.place(*shape, crop(*shape, u)) == (x, y)


@pytest.mark.parametrize(
    "crop",
    [AreaAspect(32), FixedTen(32, 40), ShorterSide(40, 40, 32), ShorterSide(40, 60, 32, True)],
)
def test_a_crop_of_no_one_square_has_no_place(crop: Crop) -> None:
    assert crop.frame is None
    assert crop.place(90, 120, crop(90, 120, [HIGH] * crop.draws)) == (0, 0)


def test_a_crop_of_whole_pixels_tells_its_place_in_the_source() -> None:
    crop = Shift(32, by=4)  # He et al. 2015, section 4.2: 4 pixels beyond each edge
    assert crop.frame is None
    assert crop.place(32, 32, crop(32, 32, (LOW, HIGH, 0.5))) == (-4, 4)


@pytest.mark.parametrize("crop", [WARP, SQUARE])
def test_the_loader_hands_over_where_the_crop_lies(crop: Crop, squares: Photographs) -> None:
    whole = joined(by_workers(squares, crop, order(7, 7), Share(), 20))
    assert set(whole.left.tolist()) == set(whole.top.tolist()) == set(range(9))
    for k, index in enumerate(whole.index.tolist()):
        left, top = int(whole.left[k]), int(whole.top[k])
        window = np.asarray(squares.read(index))[top : top + SIZE, left : left + SIZE]
        window = window[:, ::-1] if whole.flip[k] else window
        assert np.array_equal(whole.images[k], window.transpose(2, 0, 1))


def test_the_mean_is_subtracted_from_the_whole_image_before_it_is_cropped(
    squares: Photographs,
) -> None:
    """data_transformer.cpp: mean[h_off + h, w_off + w] of the 256 square, then the mirror."""
    pixels = np.stack([np.asarray(squares.read(k)).transpose(2, 0, 1) for k in range(7)])
    mean = pixels.mean(0, dtype=np.float64).astype(np.float32)
    batch = joined(by_workers(squares, WARP, order(7, 7), Share(), 6))
    ours = MeanImage(torch.from_numpy(mean), follows_crop=True, stretch=True)(
        batch.images.float(), batch
    )
    assert set(batch.flip.tolist()) == {True, False}
    for k, view in enumerate(ours):
        top, left = int(batch.top[k]), int(batch.left[k])
        whole = pixels[batch.index[k]] - mean
        window = whole[:, top : top + SIZE, left : left + SIZE]
        assert np.array_equal(view, window[:, :, ::-1] if batch.flip[k] else window)


def test_views_of_a_test_lose_the_central_window_of_the_whole_mean() -> None:
    ramp = torch.arange(256.0).expand(3, 256, 256)
    mean = MeanImage(ramp, follows_crop=True, stretch=True)
    x = mean(torch.zeros(1, 3, 227, 227), None)
    assert (-x[0, 0, 0]).tolist() == list(range(14, 241))  # (256 - 227) // 2 = 14


def configured(class_folders: Path, *overrides: str) -> tuple[MeanImage, int]:
    """The mean image of a small run, and the size of its crop."""
    data = ["data=folder", f"data.root={class_folders}", "data.minival=1", "loader.workers=0"]
    config = compose([*data, "trainer.progress=false", "recipe.crop.size=32", *overrides])
    data = build.data_module(config)
    mean = pipeline(config, data, build.clock(config, data)).transforms[0]
    assert isinstance(mean, MeanImage)
    return mean, config["recipe"]["crop"]["size"]


@pytest.mark.parametrize(
    "model",
    [
        ["model=caffenet"],
        ["model=nin_imagenet"],
        ["model=caffenet", "model.order=norm_pool", "recipe=bvlc_alexnet"],
    ],
    ids=" ".join,
)
def test_caffes_recipes_keep_the_whole_mean_and_let_it_follow_the_crop(
    model: list[str], class_folders: Path
) -> None:
    mean, _ = configured(class_folders, *model, "recipe.crop.side=40", "recipe.mean.shorter=40")
    assert mean.follows_crop
    assert mean.mean.shape == (3, 40, 40)


@pytest.mark.parametrize("recipe", ["alexnet", "alexnet_code"])
def test_krizhevskys_recipes_keep_the_central_window_alone(
    recipe: str, class_folders: Path
) -> None:
    small = ["recipe.crop.smallest=40", "recipe.crop.largest=40", "recipe.mean.shorter=40"]
    mean, size = configured(class_folders, "model=alexnet", f"recipe={recipe}", *small)
    assert not mean.follows_crop
    assert mean.mean.shape == (3, size, size)


def test_alexnets_mean_can_be_made_to_follow_its_crop(class_folders: Path) -> None:
    small = ["recipe.crop.smallest=40", "recipe.crop.largest=40", "recipe.mean.shorter=40"]
    mean, _ = configured(class_folders, "model=alexnet", *small, "recipe.mean.follows_crop=true")
    assert mean.mean.shape == (3, 40, 40)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["model=caffenet", "recipe.crop.side=48", "recipe.mean.shorter=40"],
            r"recipe\.mean\.shorter=40, .* square of 48: set recipe\.mean\.shorter=48",
        ),
        (
            ["model=resnet18", "recipe.mean.follows_crop=true", "recipe.mean.shorter=40"],
            r"no place in a square .* choose recipe\.mean\.follows_crop=false",
        ),
    ],
)
def test_a_mean_that_cannot_follow_its_crop_is_a_problem(
    overrides: list[str], told: str, class_folders: Path
) -> None:
    with pytest.raises(Problem, match=told):
        configured(class_folders, *overrides)
