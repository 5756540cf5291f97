import math

import numpy as np
import pytest
import torch
from torch import Tensor

from topfive import streams
from topfive.batch_transforms import (
    GlobalContrastNormalization,
    MeanImage,
    PCAColor,
    Pipeline,
    PixelMap,
    PlanarDistortion,
    Standardize,
)
from topfive.crops import Shift
from topfive.datasets import Pixels
from topfive.loaders.batch import Batch
from topfive.loaders.memory_loader import MemoryTraining
from topfive.order import Share, TrainingOrder

# Krizhevsky's cuda-convnet2: principal components of RGB values on the scale 0..255.
DEVIATIONS = [121.780, 37.094, 19.721]
COMPONENTS = [[-0.5635, -0.5762, -0.5920], [-0.7126, -0.0235, 0.7012], [0.4180, -0.8170, 0.3973]]


def address(index: list[int], epoch: int = 0, copy: int | list[int] = 0) -> Batch:
    """A batch of samples whose images are passed beside it."""
    which = torch.tensor(index)
    zeros = torch.zeros_like(which)
    copies = zeros + torch.tensor(copy)
    return Batch(zeros, zeros, which, copies, zeros + epoch, zeros, zeros, zeros.bool())


def images(count: int, channels: int = 3, side: int = 8) -> Pixels:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, channels, side, side), dtype=np.uint8)
    return Pixels(pixels, np.zeros(count, dtype=np.int64))


def crops(source: Pixels, crop: Shift) -> Batch:
    order = TrainingOrder(np.arange(len(source)), len(source), seed=0)
    loader = MemoryTraining(source, crop, 0, order, Share(), 1, 0, torch.device("cpu"))
    return next(iter(loader))


# -- mean -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "crop", [Shift(8, by=2, flip=True), Shift(12, by=1), Shift(5, by=4, flip=True)]
)
def test_a_mean_that_follows_the_crop_is_subtracted_before_padding_and_cropping(
    crop: Shift,
) -> None:
    source = images(60)
    mean = source.pixels.mean(0, dtype=np.float64).astype(np.float32)
    batch = crops(source, crop)
    ours = MeanImage(torch.from_numpy(mean), follows_crop=True)(batch.images.float(), batch)
    # He et al. 2015, section 4.2: (image - mean), four zeros a side, a window of it, or its mirror.
    margin, size = 8, crop.size
    padded = np.pad(source.pixels - mean, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    assert len(set(batch.left.tolist())) > 1
    for k, view in enumerate(ours):
        top, left = int(batch.top[k]) + margin, int(batch.left[k]) + margin
        window = padded[batch.index[k], :, top : top + size, left : left + size]
        assert np.array_equal(view, window[:, :, ::-1] if batch.flip[k] else window)


def test_padding_is_zero_after_the_mean_is_subtracted() -> None:
    mean = MeanImage(torch.full((3, 8, 8), 100.0), follows_crop=True)
    white = Pixels(np.full((40, 3, 8, 8), 255, dtype=np.uint8), np.zeros(40, dtype=np.int64))
    batch = crops(white, Shift(8, by=2))
    x = mean(batch.images.float(), batch)
    assert set(x.flatten().tolist()) == {0.0, 155.0}


@pytest.mark.parametrize("size", [8, 5, 2])
def test_a_fixed_mean_is_its_central_window_whatever_the_crop(size: int) -> None:
    mean = torch.arange(3 * 8 * 8, dtype=torch.float32).view(3, 8, 8)
    batch = crops(images(30), Shift(size, by=2, flip=True))
    x = batch.images.float()
    start = (8 - size) // 2
    window = mean[:, start : start + size, start : start + size]
    assert torch.equal(MeanImage(mean)(x, batch), x - window)
    # Evaluation: both kinds take the center.
    assert torch.equal(MeanImage(mean)(x, None), x - window)
    assert torch.equal(MeanImage(mean, follows_crop=True)(x, None), x - window)


def test_a_mean_smaller_than_the_view_is_surrounded_by_zeros() -> None:
    # As for a digit of 28 in 32: the padding keeps its value.
    x = MeanImage(torch.ones(1, 4, 4))(torch.full((1, 1, 7, 7), 5.0), None)
    expected = np.full((7, 7), 5.0)
    expected[2:6, 2:6] = 4.0  # (4 - 7) // 2 = -2
    assert np.array_equal(x[0, 0], expected)


def test_a_mean_smaller_than_a_photograph_is_stretched_over_it() -> None:
    # A ramp from 0 to 30 over 4 pixels, over 8: bilinear, pixel centers aligned.
    ramp = torch.arange(0.0, 40, 10).expand(1, 4, 4)
    x = MeanImage(ramp, stretch=True)(torch.zeros(1, 1, 8, 8), None)
    assert (-x[0, 0]).tolist() == [[0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30]] * 8
    assert torch.equal(MeanImage(ramp, stretch=True)(torch.zeros(1, 1, 4, 4), None), -ramp[None])


# -- color ------------------------------------------------------------------------------------------


def color_shift(indices: list[int], epoch: int, seed: int = 3) -> Tensor:
    """What is added to the images, (batch, 3); the same at every pixel."""
    transform = PCAColor(DEVIATIONS, COMPONENTS, seed)
    x = torch.zeros(len(indices), 3, 2, 2)
    shifted: Tensor = transform(x, address(indices, epoch))
    assert torch.equal(shifted, shifted[:, :, :1, :1].expand_as(shifted))
    return shifted[:, :, 0, 0]


def test_the_color_shift_is_the_sum_of_the_drawn_principal_components() -> None:
    indices = [5, 0, 12345]
    alpha = streams.normal(3, "color", 9, np.array(indices), 3)
    # Krizhevsky et al. 2012, section 4.1: sum of alpha_i x deviation_i x component_i, alpha ~ N(0, 0.1).
    expected = sum(0.1 * alpha[:, [i]] * DEVIATIONS[i] * np.array(COMPONENTS[i]) for i in range(3))
    np.testing.assert_allclose(color_shift(indices, 9), expected, rtol=1e-5, atol=1e-4)


def test_the_color_shift_belongs_to_the_sample_and_the_epoch() -> None:
    first = color_shift([4, 7], 0)
    assert torch.equal(color_shift([7], 0)[0], first[1])
    drawn = [first[0], first[1], color_shift([4], 1)[0], color_shift([4], 0, seed=4)[0]]
    assert len({tuple(shift.tolist()) for shift in drawn}) == 4


def test_color_shifts_are_normal_along_each_principal_component() -> None:
    n = 20_000
    along = color_shift(list(range(n)), 0).double() @ torch.tensor(COMPONENTS).double().T
    for k, deviation in enumerate(DEVIATIONS):
        multiple = along[:, k] / (0.1 * deviation)  # the vectors are of length 1 to four digits
        assert abs(multiple.mean()) < 5 / math.sqrt(n)
        assert abs(multiple.std() - 1) < 5 / math.sqrt(2 * n) + 0.001
        assert abs((multiple.abs() > 1.96).double().mean() - 0.05) < 5 * math.sqrt(0.05 * 0.95 / n)


def test_there_is_no_color_shift_in_evaluation() -> None:
    transform = PCAColor(DEVIATIONS, COMPONENTS, 0)
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(transform(x, None), x)
    assert torch.equal(transform.eval()(x, address([0, 1])), x)


def test_mixed_precision_does_not_round_the_color_shift() -> None:
    exact = color_shift(list(range(50)), 0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(color_shift(list(range(50)), 0), exact)


# -- pixel map and pipeline -------------------------------------------------------------------------


def test_the_pixel_map_takes_0_to_minus_a_tenth_and_255_to_1_175() -> None:
    # LeCun et al. 1998, section II-B; halfway lies (1.175 - 0.1) / 2.
    mapped = PixelMap(-0.1, 1.175)(torch.tensor([0.0, 127.5, 255.0], dtype=torch.float64), None)
    assert mapped.tolist() == pytest.approx([-0.1, 0.5375, 1.175], abs=1e-12)


def test_the_mean_rgb_of_vgg_is_subtracted_and_nothing_divided() -> None:
    vgg = Standardize([123.68, 116.779, 103.939], [1, 1, 1])
    x = vgg(torch.full((1, 3, 2, 2), 255.0), None)
    assert x[0, :, 1, 1].tolist() == pytest.approx([131.32, 138.221, 151.061])


def test_a_channel_is_divided_by_its_own_deviation() -> None:
    x = Standardize([1, 2, 3], [2, 4, 8])(torch.full((1, 3, 1, 1), 11.0), None)
    assert x.flatten().tolist() == [5, 2.25, 1]


def test_contrast_normalization_gives_every_image_mean_0_and_norm_55() -> None:
    x = torch.tensor([[[[0.0, 2.0]]], [[[10.0, 70.0]]], [[[9.0, 9.0]]]])
    y = GlobalContrastNormalization(55)(x, None)
    # (-1, 1) and (-30, 30) have the same direction; each entry is 55 / sqrt 2. A flat image stays 0.
    side = 55 / math.sqrt(2)
    assert y.flatten().tolist() == pytest.approx([-side, side, -side, side, 0, 0])
    cifar = GlobalContrastNormalization()(torch.rand(1, 3, 32, 32), None)
    assert cifar.square().mean().sqrt().item() == pytest.approx(55 / math.sqrt(3072))  # 0.99


def test_the_pipeline_hands_over_the_layout_of_memory_it_is_asked_for() -> None:
    uint8 = torch.zeros(2, 3, 5, 5, dtype=torch.uint8)
    pipeline = Pipeline(
        [PixelMap(-0.1, 1.175), MeanImage(torch.ones(3, 5, 5))], torch.channels_last
    )
    last = pipeline(uint8, None, torch.float32)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert Pipeline([])(uint8, None, torch.float32).is_contiguous()


def test_the_pipeline_runs_its_transforms_in_turn_at_the_networks_precision() -> None:
    pipeline = Pipeline(
        [MeanImage(torch.full((1, 2, 2), 55.0)), PixelMap(0.0, 255.0), PixelMap(1.0, 256.0)]
    )
    x = pipeline(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), None, torch.float64)
    assert x.dtype == torch.float64
    assert x.unique().tolist() == pytest.approx([201.0])


def test_the_statistics_travel_with_the_checkpoint() -> None:
    pipeline = Pipeline([MeanImage(torch.ones(3, 2, 2)), PCAColor(DEVIATIONS, COMPONENTS, 0)])
    assert set(pipeline.state_dict()) == {
        "transforms.0.mean",
        "transforms.1.deviations",
        "transforms.1.components",
    }


# -- distortion -------------------------------------------------------------------------------------

SIDE = 33
MIDDLE = 16  # the pixel at the center of an odd side
FULL = {"translation": 2.0, "scaling": 0.15, "squeezing": 0.15, "shearing": 0.2}
NONE = dict.fromkeys(FULL, 0.0)


def blob(down: float, right: float) -> Tensor:
    """A smooth spot, so many pixels from the center: (1, 1, SIDE, SIDE)."""
    axis = torch.arange(SIDE, dtype=torch.float64) - MIDDLE
    spot = torch.exp(-((axis[:, None] - down) ** 2 + (axis[None] - right) ** 2) / 8)
    return spot[None, None]


def centroid(x: Tensor) -> tuple[float, float]:
    """Rows below and columns right of the center."""
    axis = torch.arange(SIDE, dtype=torch.float64) - MIDDLE
    weight = x[0, 0] / x.sum()
    return float(weight.sum(1) @ axis), float(weight.sum(0) @ axis)


def distorted(
    x: Tensor, draws: list[float], monkeypatch: pytest.MonkeyPatch, **ranges: float
) -> Tensor:
    """`x` under draws from -1 to 1 of (right, down, scaling, squeezing, shearing)."""
    u = (torch.tensor([draws], dtype=torch.float64) + 1) / 2
    monkeypatch.setattr(streams, "uniform", lambda *_: u)
    transform = PlanarDistortion(0, **(NONE | ranges)).double()
    moved: Tensor = transform(x, address([0], copy=1))
    return moved


def test_a_translation_moves_the_image_by_whole_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.arange(1.0, 26.0, dtype=torch.float64).view(1, 1, 5, 5)
    right = distorted(x, [1, 0, 0, 0, 0], monkeypatch, translation=1.0)
    assert torch.allclose(right[..., 1:], x[..., :-1])
    assert torch.allclose(right[..., 0], torch.zeros(5).double(), atol=1e-12)  # the background
    down = distorted(x, [0, 1, 0, 0, 0], monkeypatch, translation=1.0)
    assert torch.allclose(down[..., 1:, :], x[..., :-1, :])
    left_and_up = distorted(x, [-1, -1, 0, 0, 0], monkeypatch, translation=2.0)
    assert torch.allclose(left_and_up[..., :-2, :-2], x[..., 2:, 2:])


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_a_translation_moves_the_image_by_the_drawn_amount(index: int) -> None:
    u = streams.uniform(5, "distortion", 2, np.array([index]), 5)[0]
    right, down = 3 * (2 * u[:2] - 1)
    assert abs(right - down) > 0.1  # or the axes could be exchanged unseen
    transform = PlanarDistortion(5, **(NONE | {"translation": 3.0})).double()
    moved = transform(blob(1, -2), address([index], copy=2))
    assert centroid(moved) == pytest.approx((1 + down, -2 + right), abs=0.01)


@pytest.mark.parametrize(
    ("draws", "ranges", "down", "right"),
    [
        # A spot 4 rows below and 3 columns right of the center; by 1.5 and by a half:
        ([0, 0, 1, 0, 0], {"scaling": math.log(1.5)}, 6, 4.5),
        ([0, 0, -1, 0, 0], {"scaling": math.log(2)}, 2, 1.5),
        # Elongated along x and compressed along y by 1.5, and the other way round:
        ([0, 0, 0, 1, 0], {"squeezing": math.log(1.5)}, 4 / 1.5, 3 * 1.5),
        ([0, 0, 0, -1, 0], {"squeezing": math.log(1.5)}, 4 * 1.5, 3 / 1.5),
        # Horizontal shearing: columns move by the tangent times the row.
        ([0, 0, 0, 0, 1], {"shearing": 0.5}, 4, 3 + 0.5 * 4),
        ([0, 0, 0, 0, -1], {"shearing": 0.5}, 4, 3 - 0.5 * 4),
    ],
)
def test_scaling_squeezing_and_shearing_move_a_spot_as_worked_by_hand(
    draws: list[float],
    ranges: dict[str, float],
    down: float,
    right: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved = distorted(blob(4, 3), draws, monkeypatch, **ranges)
    assert centroid(moved) == pytest.approx((down, right), abs=0.05)


def test_originals_and_evaluation_views_are_untouched() -> None:
    transform = PlanarDistortion(0, **FULL)
    x = torch.rand(4, 1, 32, 32) * 255
    batch = address([0, 1, 2, 3], copy=[0, 1, 0, 2])
    y = transform(x, batch)
    assert torch.equal(y[[0, 2]], x[[0, 2]])
    assert not torch.isclose(y[[1, 3]], x[[1, 3]]).flatten(1).all(1).any()
    assert torch.equal(transform(x, None), x)
    assert torch.equal(transform.eval()(x, batch), x)


def test_a_copy_is_the_same_in_every_epoch_and_batch_and_unlike_the_others() -> None:
    transform = PlanarDistortion(0, **FULL)
    x = (torch.rand(1, 1, 32, 32) * 255).expand(3, -1, -1, -1)
    first = transform(x, address([5, 5, 6], epoch=0, copy=[1, 2, 1]))
    later = transform(x[:2], address([6, 5], epoch=19, copy=[1, 2]))
    assert torch.equal(later, first[[2, 1]])
    assert len({image.numpy().tobytes() for image in first}) == 3
    other_seed = PlanarDistortion(1, **FULL)(x[:1], address([5], copy=1))
    assert not torch.equal(other_seed[0], first[0])


def test_no_draw_goes_beyond_its_range() -> None:
    # By 2 pixels, a factor e^0.3 and a shear of 0.2, a spot 4 from the center moves less than 5 pixels.
    transform = PlanarDistortion(0, **FULL).double()
    n = 200
    moved = transform(blob(4, 0).expand(n, -1, -1, -1), address(list(range(n)), copy=1))
    places = np.array([centroid(x[None]) for x in moved])
    assert (np.abs(places - [4, 0]) < [2 * math.exp(0.3) + 4 * (math.exp(0.3) - 1), 5]).all()
    # And it goes all ways: three of four pixels to the right, left, below and above.
    assert places[:, 1].max() > 1.5
    assert places[:, 1].min() < -1.5
    assert places[:, 0].max() > 5.5
    assert places[:, 0].min() < 2.5
