"""What the training set's colors say: their mean, and the components along which noise is added."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from topfive import build
from topfive import color_statistics as module
from topfive.batch_transforms import PCAColor, Standardize
from topfive.color_statistics import color_statistics
from topfive.config import compose
from topfive.datasets import Pixels
from topfive.preprocessing import pipeline
from topfive.problems import Problem


def set_of(pixels: np.ndarray) -> Pixels:
    return Pixels(pixels.astype(np.uint8), np.zeros(len(pixels), dtype=np.int64))


def test_two_colors_worked_by_hand(tmp_path: Path) -> None:
    """Pixels (30, 50, 10) and (50, 20, 10), half of each: 40, 35, 10 +- (10, -15, 0)."""
    pixels = np.zeros((2, 3, 4, 4))
    pixels[0], pixels[1] = (np.reshape(c, (3, 1, 1)) for c in ([30, 50, 10], [50, 20, 10]))
    found = color_statistics(set_of(pixels), np.arange(2), tmp_path, False)
    assert_allclose(found.mean, [40, 35, 10])
    assert_allclose(found.deviation, [10, 15, 0])
    length = (10**2 + 15**2) ** 0.5
    assert_allclose(found.deviations, [length, 0, 0], atol=1e-6)
    # The largest entry is positive.
    assert_allclose(found.components[0], [-10 / length, 15 / length, 0], atol=1e-9)


def test_only_the_part_that_trains_counts(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 3, 5, 6))
    ids = np.array([1, 4, 8])
    found = color_statistics(set_of(pixels), ids, tmp_path, False)
    values = pixels[ids].swapaxes(0, 1).reshape(3, -1)
    assert_allclose(found.mean, values.mean(1))
    covariance = found.components.T * found.deviations**2 @ found.components
    assert_allclose(covariance, np.cov(values, bias=True), rtol=1e-9)


def test_the_pass_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, ids = set_of(np.random.default_rng(0).integers(0, 256, (4, 3, 5, 5))), np.arange(4)
    first = color_statistics(images, ids, tmp_path, False)
    monkeypatch.setattr(module, "_moments", None)
    again = color_statistics(images, ids, tmp_path, False)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(TypeError):  # another part has another file
        color_statistics(images, ids[:2], tmp_path, False)


DATA = "{_target_: topfive.batch_transforms.PCAColor, seed: 0, deviations: data, components: data}"


def transforms_of(entry: str, folder: Path) -> list[torch.nn.Module]:
    where = ["data=folder", f"data.root={folder}", "loader.workers=0", "trainer.progress=false"]
    config = compose(["model=vgg11", *where, "data.minival=1", f"recipe.transforms=[{entry}]"])
    data = build.data_module(config)
    return list(pipeline(config, data, build.clock(config, data)).transforms)


def test_a_recipe_takes_them_by_the_word_data(class_folders: Path, tmp_path: Path) -> None:
    root = shutil.copytree(class_folders, tmp_path / "set")
    scaled = "{_target_: topfive.batch_transforms.Standardize, mean: data, deviation: data}"
    noise, scale = transforms_of(f"{DATA},{scaled}", root)
    assert isinstance(noise, PCAColor)
    assert isinstance(scale, Standardize)
    assert list((root / ".topfive").glob("colors-*.npy"))
    # The trace of the covariance, of channels and of components.
    assert noise.deviations.square().sum() == pytest.approx(
        float(scale.deviation.square().sum()), rel=1e-5
    )
    assert 20 < float(scale.mean.mean()) < 235
    assert_allclose(noise.components @ noise.components.T, np.eye(3), atol=1e-6)


def test_what_is_not_of_the_data_is_refused(class_folders: Path) -> None:
    with pytest.raises(Problem, match=r"has seed: data, .* mean, deviation, .*: give a value"):
        transforms_of(DATA.replace("seed: 0", "seed: data"), class_folders)


def test_the_components_of_imagenet_photographs_are_those_of_alexnets_code(
    real_data: Path, tmp_path: Path
) -> None:
    """cuda-convnet2 ships 121.78, 37.09, 19.72 of all of ImageNet; 300 photographs come near."""
    from topfive.datasets import Photographs

    names = sorted(
        str(path.relative_to(real_data)) for path in real_data.glob("imagenet_samples/*/*.JPEG")
    )
    images = Photographs(real_data, names, np.zeros(len(names), dtype=np.int64))
    found = color_statistics(images, np.arange(len(names)), tmp_path, False)
    assert_allclose(found.deviations, [121.780, 37.094, 19.721], rtol=0.2)
    theirs = np.array(
        [[-0.5635, -0.5762, -0.5920], [-0.7126, -0.0235, 0.7012], [0.4180, -0.8170, 0.3973]]
    )
    along = np.abs((found.components.numpy() * theirs).sum(1))
    assert (along > 0.98).all()  # cosines; the sign of a component means nothing
