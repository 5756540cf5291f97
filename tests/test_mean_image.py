import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import draw_photograph
from PIL import Image

from topfive import build
from topfive import mean_image as module
from topfive.config import compose
from topfive.datasets import Photographs, Pixels, folders
from topfive.mean_image import mean_image
from topfive.preprocessing import pipeline
from topfive.problems import Problem

SIZE, SHORTER = 48, 64


@pytest.fixture
def photographs(tmp_path: Path) -> Photographs:
    """Five whose shorter side is SHORTER already: nothing is resampled, so the mean is exact."""
    names = []
    for k, (height, width) in enumerate([(64, 90), (75, 64), (64, 64), (64, 65), (101, 64)]):
        names.append(f"{k}.png")
        Image.fromarray(draw_photograph(height, width, 0, seed=k)).save(tmp_path / names[-1])
    return Photographs(tmp_path, names, np.zeros(5, dtype=np.int64))


def centers(images: Photographs, ids: list[int]) -> np.ndarray:
    """Central squares, (n, 3, SIZE, SIZE)."""
    squares = []
    for k in ids:
        pixels = np.asarray(images.read(k))
        top, left = (pixels.shape[0] - SIZE) // 2, (pixels.shape[1] - SIZE) // 2
        squares.append(pixels[top : top + SIZE, left : left + SIZE].transpose(2, 0, 1))
    return np.stack(squares)


def test_the_mean_of_pixels_is_over_the_part_that_trains(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3, 6, 7), dtype=np.uint8)
    ids = np.array([1, 2, 5, 19])
    mean = mean_image(Pixels(pixels, np.zeros(20, dtype=np.int64)), ids, 6, None, tmp_path, False)
    assert mean.dtype == torch.float32
    np.testing.assert_allclose(mean, (pixels[[1, 2, 5, 19]] / 4.0).sum(0), rtol=1e-6)
    assert not list(tmp_path.iterdir())


def test_the_mean_of_photographs_is_over_their_central_squares(
    photographs: Photographs, tmp_path: Path
) -> None:
    ids = [0, 1, 3, 4]
    mean = mean_image(photographs, np.array(ids), SIZE, SHORTER, tmp_path / "cache", False)
    assert (mean.dtype, mean.shape) == (torch.float32, (3, SIZE, SIZE))
    np.testing.assert_allclose(mean, centers(photographs, ids).mean(0), rtol=1e-6)


def test_photographs_are_resized_by_their_shorter_side_first(
    photographs: Photographs, tmp_path: Path
) -> None:
    mean = mean_image(photographs, np.array([2]), 32, 32, tmp_path / "cache", False)
    whole = np.asarray(photographs.read(2).resize((32, 32), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(mean, whole.transpose(2, 0, 1), atol=1e-4)


def test_a_warped_set_has_the_mean_of_its_warped_images(
    photographs: Photographs, tmp_path: Path
) -> None:
    ids, cache = np.arange(5), tmp_path / "cache"
    mean = mean_image(photographs, ids, 32, 32, cache, False, warped=True)
    squeezed = [photographs.read(k).resize((32, 32), Image.Resampling.BILINEAR) for k in ids]
    expected = np.stack([np.asarray(image) for image in squeezed]).mean(0).transpose(2, 0, 1)
    np.testing.assert_allclose(mean, expected, atol=1e-4)
    assert not torch.equal(mean, mean_image(photographs, ids, 32, 32, cache, False))
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(
    ("model", "kept_as"), [("caffenet", "-warped-40-40-"), ("alexnet", "-40-32-")]
)
def test_the_mean_is_warped_and_whole_where_the_crops_are_and_it_follows_them(
    model: str, kept_as: str, class_folders: Path, tmp_path: Path
) -> None:
    ours = shutil.ignore_patterns(".topfive")  # what other tests keep there
    root = shutil.copytree(class_folders, tmp_path / "set", ignore=ours)
    small = ["recipe.crop.size=32", "recipe.mean.shorter=40", "trainer.progress=false"]
    data = ["data=folder", f"data.root={root}", "data.minival=1", "loader.workers=0"]
    side = ["recipe.crop.side=40"] if model == "caffenet" else []
    config = compose([f"model={model}", *small, *side, *data])
    data = build.data_module(config)
    pipeline(config, data, build.clock(config, data))
    (kept,) = (root / ".topfive").iterdir()
    assert kept.name.endswith(".npy")
    assert kept_as in kept.name
    assert ("warped" in kept.name) == ("warped" in kept_as)


def test_pixels_that_a_recipe_enlarges_are_averaged_enlarged(tmp_path: Path) -> None:
    pixels = np.full((3, 1, 8, 8), 10, dtype=np.uint8)
    pixels[2] = 40
    images = Pixels(pixels, np.zeros(3, dtype=np.int64))
    mean = mean_image(images, np.arange(3), 12, 16, tmp_path, False)
    assert mean.shape == (1, 12, 12)
    assert mean.unique().tolist() == [20.0]


def test_the_pass_is_made_once_and_kept(
    photographs: Photographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "data" / ".topfive"
    first = mean_image(photographs, np.arange(5), SIZE, SHORTER, cache, False)
    (kept,) = cache.iterdir()
    assert kept.name.startswith(f"mean-{photographs.fingerprint()}-{SHORTER}-{SIZE}-")

    def refuse(*_: object) -> None:
        raise AssertionError("the images were read again")

    monkeypatch.setattr(module, "evaluation", refuse)
    assert torch.equal(mean_image(photographs, np.arange(5), SIZE, SHORTER, cache, False), first)


CHANGES: dict[str, Callable[[Photographs], tuple[Photographs, list[int], int, int]]] = {
    "another part": lambda p: (p, [0, 1, 2, 3], SIZE, SHORTER),
    "another crop": lambda p: (p, [0, 1, 2, 3, 4], SIZE - 2, SHORTER),
    "another size": lambda p: (p, [0, 1, 2, 3, 4], SIZE, SHORTER + 2),
    "other channels": lambda p: (p.with_channels(1), [0, 1, 2, 3, 4], SIZE, SHORTER),
    "another file": lambda p: (
        Photographs(p.root, [*p.files[:4], p.files[0]], p.labels),
        [0, 1, 2, 3, 4],
        SIZE,
        SHORTER,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_question_is_not_answered_from_the_cache(
    change: str, photographs: Photographs, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = mean_image(photographs, np.arange(5), SIZE, SHORTER, cache, False)
    images, ids, size, shorter = CHANGES[change](photographs)
    second = mean_image(images, np.array(ids), size, shorter, cache, False)
    assert len(list(cache.iterdir())) == 2
    assert second.shape == (images.channels, size, size)
    assert first.shape != second.shape or not torch.equal(first, second)


def test_unreadable_photographs_do_not_darken_the_mean(
    photographs: Photographs, tmp_path: Path
) -> None:
    (photographs.root / "1.png").write_bytes(b"no image")
    mean = mean_image(photographs, np.arange(5), SIZE, SHORTER, tmp_path / "cache", False)
    np.testing.assert_allclose(mean, centers(photographs, [0, 2, 3, 4]).mean(0), rtol=1e-6)


def test_a_folder_that_cannot_be_written_costs_the_cache_and_nothing_else(
    photographs: Photographs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        mean = mean_image(photographs, np.arange(5), SIZE, SHORTER, tmp_path / "file", False)
    assert mean.shape == (3, SIZE, SIZE)
    assert "could not be kept" in caplog.text


def test_photographs_without_a_shorter_side_are_a_problem(
    class_folders: Path, tmp_path: Path
) -> None:
    images = folders.load(str(class_folders)).train
    with pytest.raises(Problem, match=r"photographs differ in theirs: recipe\.mean\.shorter=256"):
        mean_image(images, np.arange(7), 32, None, tmp_path, False)
