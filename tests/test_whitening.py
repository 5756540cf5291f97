import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from topfive import build, whitening
from topfive.batch_transforms import GlobalContrastNormalization, Pipeline
from topfive.config import compose
from topfive.crops import Crop, Shift, ShorterSide
from topfive.datasets import Images, Pixels, folders
from topfive.order import TrainingOrder
from topfive.preprocessing import pipeline
from topfive.problems import Problem
from topfive.whitening import Whitening, fitted

SIDE = 6
VALUES = 3 * SIDE**2
GCN = {"scale": 55}


def pixels(count: int = 150, side: int = SIDE) -> Pixels:
    """Neighboring pixels are alike, as in photographs."""
    random = np.random.default_rng(0)
    steps = random.normal(0, 12, (count, 3, side, side)).cumsum(2).cumsum(3)
    values = (128 + random.normal(0, 30, (count, 3, 1, 1)) + steps).clip(0, 255)
    return Pixels(values.astype(np.uint8), np.zeros(count, dtype=np.int64))


def fit(
    images: Images,
    cache: Path,
    ids: np.ndarray | None = None,
    bias: float = 0.1,
    settings: dict[str, Any] = GCN,
    crop: Crop | None = None,
) -> Whitening:
    ids = np.arange(len(images)) if ids is None else ids
    prepare = Pipeline([GlobalContrastNormalization(**settings)])
    return fitted(images, ids, crop or Shift(SIDE), prepare, settings, bias, cache, False)


def by_pylearn2(x: np.ndarray, bias: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Mean and matrix of rows `x` of pixels, as pylearn2 words it: contrast, center, add, decompose."""
    x = x.reshape(len(x), -1).astype(np.float64)
    x = x - x.mean(1, keepdims=True)
    x = 55 * x / np.sqrt((x**2).sum(1, keepdims=True))
    mean = x.mean(0)
    biased = (x - mean).T @ (x - mean) / len(x) + bias * np.identity(x.shape[1])
    eigenvalues, vectors = np.linalg.eigh(biased)
    return mean, (vectors * (1 / np.sqrt(eigenvalues))) @ vectors.T


def test_mean_and_matrix_are_those_of_pylearn2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, ids = pixels(), np.arange(3, 140)
    monkeypatch.setattr(whitening, "CHUNK", 32)  # 137 images in five uneven parts
    ours = fit(images, tmp_path, ids)
    mean, matrix = by_pylearn2(images.pixels[ids])
    assert (ours.mean.dtype, ours.matrix.dtype) == (torch.float32, torch.float32)
    np.testing.assert_allclose(ours.mean, mean, atol=1e-6)
    np.testing.assert_allclose(ours.matrix, matrix, atol=2e-6)


@pytest.mark.parametrize("bias", [0.1, 2.0])
def test_variance_along_a_principal_component_becomes_lambda_over_lambda_and_the_bias(
    bias: float, tmp_path: Path
) -> None:
    images = pixels(400)
    white = fit(images, tmp_path, bias=bias).double()
    x = GlobalContrastNormalization(55)(torch.from_numpy(images.pixels).double(), None)
    eigenvalues, vectors = np.linalg.eigh(np.cov(x.flatten(1).numpy(), rowvar=False, ddof=0))
    y = white(x, None).flatten(1).numpy()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    along = vectors.T @ np.cov(y, rowvar=False, ddof=0) @ vectors
    np.testing.assert_allclose(along, np.diag(eigenvalues / (eigenvalues + bias)), atol=1e-4)
    assert eigenvalues.max() > 10  # from where it is nearly 1
    assert eigenvalues.min() < 0.1  # to where the bias holds it down


def test_fewer_images_than_values_are_whitened_all_the_same(tmp_path: Path) -> None:
    ours = fit(pixels(20), tmp_path)
    assert np.allclose(ours.matrix, by_pylearn2(pixels(20).pixels)[1], atol=2e-6)


def test_an_image_is_centered_and_multiplied_by_hand() -> None:
    # (7, 1) - (1, 2) = (6, -1); times ((2, 1), (1, 3)): (11, 3).
    white = Whitening(torch.tensor([1.0, 2.0]), torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
    x = torch.tensor([[7.0, 1.0]]).view(1, 1, 1, 2)
    assert white(x, None).flatten().tolist() == [11, 3]
    assert white.train()(x, None).shape == x.shape


def test_mixed_precision_does_not_round_the_product(tmp_path: Path) -> None:
    white = fit(pixels(), tmp_path)
    x = torch.randn(4, 3, SIDE, SIDE)
    exact = white(x, None)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(white(x, None), exact)


def test_the_layout_of_memory_survives(tmp_path: Path) -> None:
    white = fit(pixels(), tmp_path)
    x = torch.randn(4, 3, SIDE, SIDE)
    last = white(x.contiguous(memory_format=torch.channels_last), None)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, white(x, None))
    assert white(x, None).is_contiguous()


def test_mean_and_matrix_travel_with_the_checkpoint(tmp_path: Path) -> None:
    state = Pipeline([fit(pixels(), tmp_path)]).state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes == {"transforms.0.mean": (VALUES,), "transforms.0.matrix": (VALUES, VALUES)}


# -- kept -------------------------------------------------------------------------------------------


def test_the_fit_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "data" / ".topfive"
    first = fit(pixels(), cache)
    (kept,) = cache.iterdir()
    assert kept.name.startswith(f"whitening-{pixels().fingerprint()}-")

    def refuse(*_: object) -> None:
        raise AssertionError("the images were read again")

    monkeypatch.setattr(whitening, "_fit", refuse)
    again = fit(pixels(), cache)
    assert torch.equal(again.mean, first.mean)
    assert torch.equal(again.matrix, first.matrix)


CHANGES: dict[str, Callable[[Path], Whitening]] = {
    "another part": lambda cache: fit(pixels(), cache, np.arange(149)),
    "another bias": lambda cache: fit(pixels(), cache, bias=0.2),
    "another contrast": lambda cache: fit(pixels(), cache, settings={"scale": 10}),
    "other pixels": lambda cache: fit(pixels(151), cache, np.arange(1, 151)),
    "one channel": lambda cache: fit(pixels().with_channels(1), cache),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_question_is_not_answered_from_the_cache(change: str, tmp_path: Path) -> None:
    first = fit(pixels(), tmp_path)
    second = CHANGES[change](tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert first.mean.shape != second.mean.shape or not torch.equal(first.matrix, second.matrix)


def test_a_folder_that_cannot_be_written_costs_the_cache_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        assert fit(pixels(), tmp_path / "file").matrix.isfinite().all()
    assert "could not be kept" in caplog.text


# -- what it cannot take ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "crop"),
    [
        (pixels(), Shift(SIDE - 2)),
        (pixels(), Shift(SIDE + 2)),
        (pixels(), ShorterSide(SIDE, SIDE, SIDE)),  # resized
    ],
    ids=["smaller crop", "larger crop", "resized"],
)
def test_pixels_of_another_size_are_a_problem(images: Pixels, crop: Crop, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"images of 3 x 6 x 6 under .*recipe\.whitening=null"):
        fit(images, tmp_path, crop=crop)


def test_photographs_are_a_problem(class_folders: Path, tmp_path: Path) -> None:
    images = folders.load(str(class_folders)).train
    with pytest.raises(Problem, match=r"photographs, .* data=cifar10 .*recipe\.whitening=null"):
        fit(images, tmp_path)


def test_a_bias_of_0_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"recipe\.whitening\.bias=0 must be positive"):
        fit(pixels(), tmp_path, bias=0)


def test_views_of_another_size_are_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"views of 3 x 5 x 5 have 75: .*protocol=one_view"):
        fit(pixels(), tmp_path)(torch.zeros(2, 3, 5, 5), None)


# -- the recipes ------------------------------------------------------------------------------------


class Data:
    """What preprocessing.pipeline asks of a DataModule."""

    def __init__(self, images: Pixels, crop: Crop):
        self.dataset, self.crop = type("Set", (), {"train": images}), crop
        self.train_ids = np.arange(0, len(images), 2)
        self.order = TrainingOrder(self.train_ids, 8, seed=0)


def by_recipe(name: str, root: Path, *overrides: str) -> Pipeline:
    """The pipeline of a recipe for images of SIDE pixels."""
    config = compose(
        [
            *(f"model={name}", f"recipe.crop.size={SIDE}", f"data.root={root}"),
            *("trainer.progress=false", "trainer.channels_last=true"),
            *overrides,
        ]
    )
    crop = Shift(SIDE, by=1, flip=True)  # as the papers' augmented runs have
    data: Any = Data(pixels(), crop)
    return pipeline(config, data, build.clock(config, data))


@pytest.mark.parametrize("name", ["nin_cifar", "allcnn_c"])
def test_the_recipe_whitens_after_contrast_normalization_over_the_part_that_trains(
    name: str, tmp_path: Path
) -> None:
    pipeline = by_recipe(name, tmp_path)
    views = torch.from_numpy(pixels().pixels[:10])
    ours = pipeline(views, None, torch.float32)
    mean, matrix = by_pylearn2(pixels().pixels[::2])
    x: Tensor = GlobalContrastNormalization(55)(views.double(), None).flatten(1)
    np.testing.assert_allclose(ours.flatten(1), (x.numpy() - mean) @ matrix, atol=1e-4)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert [path.parent.name for path in tmp_path.rglob("whitening-*.npy")] == [".topfive"]


def test_whitening_is_switched_off_by_null(tmp_path: Path) -> None:
    pipeline = by_recipe("nin_cifar", tmp_path, "recipe.whitening=null")
    assert [type(t) for t in pipeline.transforms] == [GlobalContrastNormalization]
    assert list(tmp_path.iterdir()) == []


def test_cifar_10_is_white_where_the_bias_lets_it(real_data: Path, tmp_path: Path) -> None:
    from topfive.datasets import torchvision_sets

    images = torchvision_sets.cifar10(str(real_data)).train
    assert isinstance(images, Pixels)
    # All 3072 values would take half a minute: 8 pixels from the middle, 192 values.
    middle = np.ascontiguousarray(images.pixels[:5000, :, 12:20, 12:20])
    small = Pixels(middle, images.labels[:5000])
    white = fit(small, tmp_path, crop=Shift(8))
    x = GlobalContrastNormalization(55)(torch.from_numpy(middle).float(), None)
    covariance = np.cov(white(x, None).flatten(1).numpy(), rowvar=False)
    before = np.cov(x.flatten(1).numpy(), rowvar=False)
    apart = ~np.eye(192, dtype=bool)
    assert np.abs(before[apart]).mean() > 1
    assert np.abs(covariance[apart]).mean() < 0.02
