from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_photograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from topfive import streams
from topfive.crops import AreaAspect, Box, Crop, FixedTen, Shift, ShorterSide, Warp, scaled
from topfive.loaders.views import cut
from topfive.problems import Problem

LOW, HIGH = 2.0**-33, 1 - 2.0**-33  # the extremes that streams.uniform can give
CIFAR = Shift(32, by=4, flip=True)  # He et al. 2015, section 4.2
ALEXNET = ShorterSide(256, 256, 224, square=True)  # Krizhevsky et al. 2012, sections 2 and 4.1
RESNET = ShorterSide(256, 480, 224)  # He et al. 2015, section 3.4
ZFNET = FixedTen(224, 256)  # Zeiler and Fergus 2013, section 3.1
CAFFENET = Warp(227, 256)  # models/bvlc_reference_caffenet
EXTREMES = [
    (x, y, mirror, scale)
    for x in (LOW, HIGH)
    for y in (LOW, HIGH)
    for mirror in (LOW, HIGH)
    for scale in (LOW, HIGH)
]


def uniforms(crop: Crop, count: int) -> np.ndarray:
    return streams.uniform(0, "crop", 0, np.arange(count), crop.draws)


def assert_inside(box: Box, height: int, width: int) -> None:
    assert min(box.left, box.top) >= 0
    assert min(box.width, box.height) > 0
    assert box.left + box.width <= width * (1 + 1e-12)
    assert box.top + box.height <= height * (1 + 1e-12)


def chi_square(counts: Counter, cells: int) -> float:
    """In standard deviations above what `cells` equally likely cells give."""
    expected = counts.total() / cells
    total = sum((count - expected) ** 2 / expected for count in counts.values())
    total += (cells - len(counts)) * expected
    return float((total - (cells - 1)) / np.sqrt(2 * (cells - 1)))


@pytest.mark.parametrize(
    ("u", "left", "top", "flip"),
    [
        ((LOW, LOW, LOW), -4, -4, True),
        ((0.5, 0.5, 0.5), 0, 0, False),
        ((HIGH, HIGH, HIGH), 4, 4, False),
        ((0.12, 0.99, 0.49), -3, 4, True),  # 0.12 x 9 = 1.08
        ((0.11, 0.45, 0.51), -4, 0, False),  # 0.11 x 9 = 0.99; 0.45 x 9 = 4.05
    ],
)
def test_cifar_crops_shift_by_up_to_four_pixels(
    u: tuple[float, ...], left: int, top: int, flip: bool
) -> None:
    assert CIFAR(32, 32, u) == Box(left, top, 32, 32, flip)


def test_a_digit_of_28_pixels_is_centered_in_32() -> None:
    # LeCun et al. 1998, section II-B: two pixels of background on every side.
    assert Shift(32)(28, 28, (0.9, 0.1, 0.1)) == Box(-2, -2, 32, 32, False)


def test_alexnet_crops_lie_in_the_central_square() -> None:
    # 500 x 375 becomes 341 x 256 (341.33 rounded); the square starts at (341 - 256) // 2 = 42.
    # 0.5 x 33 = 16.5 puts the crop at 42 + 16 = 58 of 341 columns, 0.1 x 33 = 3.3 at row 3 of 256.
    box = ALEXNET(375, 500, (0.5, 0.1, 0.7, 0.5))
    wide, high = 500 / 341, 375 / 256
    assert box[:5] == pytest.approx((58 * wide, 3 * high, 224 * wide, 224 * high, False))
    portrait = ALEXNET(500, 375, (0.1, 0.5, 0.2, 0.5))
    assert portrait[:5] == pytest.approx((3 * high, 58 * wide, 224 * high, 224 * wide, True))


@pytest.mark.parametrize(("u", "left", "top"), [(LOW, 42, 0), (HIGH, 42 + 32, 32)])
def test_alexnet_crops_reach_the_corners_of_the_square(u: float, left: int, top: int) -> None:
    box = ALEXNET(256, 341, (u, u, 0.7, 0.7))
    assert box == Box(left, top, 224, 224, False)


@pytest.mark.parametrize(
    ("u", "shorter", "longer"), [(LOW, 256, 341), (0.5, 368, 491), (HIGH, 480, 640)]
)
def test_resnet_crops_take_224_of_a_shorter_side_drawn_from_256_to_480(
    u: float, shorter: int, longer: int
) -> None:
    # 225 sizes: 0.5 x 225 = 112.5 gives 256 + 112. A third longer: 341.33, 490.67 and 640.
    box = RESNET(375, 500, (LOW, HIGH, HIGH, u))
    assert box.height == pytest.approx(375 * 224 / shorter)
    assert box.width == pytest.approx(500 * 224 / longer)
    assert (box.left, box.top + box.height) == pytest.approx((0, 375))


def test_resnet_crops_reach_the_ends_of_the_longer_side() -> None:
    # At 480 of 375 rows the 500 columns become 640: the crop starts at 0 to 416 of them.
    assert RESNET(375, 500, (LOW, LOW, HIGH, HIGH)).left == 0
    assert RESNET(375, 500, (HIGH, LOW, HIGH, HIGH)).left == pytest.approx(416 * 500 / 640)


# The central square begins (341 - 256) // 2 = 42 columns in; 32 are to spare, 16 beside the center.
TEN = [(42, 0), (74, 0), (42, 32), (74, 32), (58, 16)]


@pytest.mark.parametrize(
    ("u", "place", "flip"),
    [(LOW, 0, False), (0.19, 1, False), (0.45, 4, False), (0.5, 0, True), (HIGH, 4, True)],
)
def test_zfnets_crop_is_one_of_ten(u: float, place: int, flip: bool) -> None:
    assert ZFNET(256, 341, (u,)) == Box(*TEN[place], 224, 224, flip)
    # Twice as large, every number doubles.
    assert ZFNET(512, 682, (u,)) == Box(*(2 * x for x in TEN[place]), 448, 448, flip)


def test_all_ten_crops_of_zfnet_are_equally_likely() -> None:
    boxes = Counter(ZFNET(256, 341, u)[:5] for u in uniforms(ZFNET, 20_000))
    assert set(boxes) == {(*place, 224, 224, flip) for place in TEN for flip in (False, True)}
    assert chi_square(boxes, 10) < 5


def test_caffenets_crop_is_of_the_image_squeezed_to_256_by_256() -> None:
    # 30 places: 0.5 x 30 = 15 columns, 0.1 x 30 = 3 rows in.
    wide, high = 500 / 256, 375 / 256
    box = CAFFENET(375, 500, (0.5, 0.1, 0.7))
    assert box[:5] == pytest.approx((15 * wide, 3 * high, 227 * wide, 227 * high, False))
    assert CAFFENET(256, 256, (LOW, LOW, LOW)) == Box(0, 0, 227, 227, True)
    assert CAFFENET(256, 256, (HIGH, HIGH, HIGH)) == Box(29, 29, 227, 227, False)


def test_all_900_offsets_of_caffenet_are_equally_likely() -> None:
    boxes = [CAFFENET(256, 512, u) for u in uniforms(CAFFENET, 900 * 30)]
    offsets = Counter((box.left, box.top) for box in boxes)
    assert set(offsets) == {(2 * x, y) for x in range(30) for y in range(30)}
    assert chi_square(offsets, 900) < 5


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((375, 500), (256, 341)),
        ((500, 375), (341, 256)),
        ((256, 256), (256, 256)),
        ((500, 333), (384, 256)),  # 384.38
        ((20, 17), (301, 256)),  # 301.18
        ((1, 3000), (256, 768_000)),
    ],
)
def test_the_shorter_side_becomes_256_and_the_longer_is_rounded(
    size: tuple[int, int], resized: tuple[int, int]
) -> None:
    assert scaled(*size, 256) == resized


@given(
    height=st.integers(1, 4000),
    width=st.integers(1, 4000),
    smallest=st.integers(1, 500),
    jitter=st.integers(0, 300),
    cut_off=st.integers(0, 300),
    square=st.booleans(),
)
def test_no_crop_leaves_the_image(
    height: int, width: int, smallest: int, jitter: int, cut_off: int, square: bool
) -> None:
    size = max(1, smallest - cut_off)
    crop = ShorterSide(smallest, smallest + jitter, size, square)
    for u in EXTREMES:
        assert_inside(crop(height, width, u), height, width)
        assert_inside(Warp(size, smallest)(height, width, u), height, width)
    for k in range(10):
        assert_inside(FixedTen(size, smallest)(height, width, ((k + 0.5) / 10,)), height, width)


def test_all_81_offsets_of_cifar_are_equally_likely() -> None:
    boxes = [CIFAR(32, 32, u) for u in uniforms(CIFAR, 81 * 200)]
    offsets = Counter((box.left, box.top) for box in boxes)
    assert set(offsets) == {(x, y) for x in range(-4, 5) for y in range(-4, 5)}
    assert chi_square(offsets, 81) < 5


def test_all_1089_offsets_of_alexnet_are_equally_likely() -> None:
    boxes = [ALEXNET(256, 256, u) for u in uniforms(ALEXNET, 1089 * 30)]
    offsets = Counter((box.left, box.top) for box in boxes)
    assert set(offsets) == {(x, y) for x in range(33) for y in range(33)}
    assert chi_square(offsets, 1089) < 5


def test_all_225_scales_of_resnet_are_equally_likely() -> None:
    heights = [RESNET(1000, 1000, u).height for u in uniforms(RESNET, 225 * 60)]
    scales = Counter(round(224 * 1000 / height) for height in heights)
    assert set(scales) == set(range(256, 481))
    assert chi_square(scales, 225) < 5


@pytest.mark.parametrize("crop", [CIFAR, ALEXNET, RESNET, ZFNET, CAFFENET, AreaAspect(224)])
def test_half_of_all_crops_are_mirrored(crop: Crop) -> None:
    n = 10_000
    mirrored = sum(crop(300, 400, u).flip for u in uniforms(crop, n))
    assert abs(mirrored - n / 2) < 5 * np.sqrt(n) / 2


def test_nothing_is_mirrored_where_the_recipe_does_not_say_so() -> None:
    assert not Shift(32, by=4)(32, 32, (LOW, LOW, LOW)).flip
    assert not ShorterSide(256, 256, 224, flip=False)(300, 400, (LOW, LOW, LOW, LOW)).flip
    assert not Warp(224, 256, flip=False)(300, 400, (LOW, LOW, LOW)).flip
    assert not AreaAspect(224, flip=False)(300, 400, [LOW] * 24).flip


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(Problem, match=r"320 pixels .* side is 256: raise recipe\.crop\.smallest"):
        ShorterSide(256, 480, 320)
    with pytest.raises(Problem, match=r"smallest=300 is above recipe\.crop\.largest=256"):
        ShorterSide(300, 256, 224)
    with pytest.raises(Problem, match=r"320 pixels .* side is 256: raise recipe\.crop\.shorter"):
        FixedTen(320, 256)
    with pytest.raises(Problem, match=r"320 pixels .* side is 256: raise recipe\.crop\.side"):
        Warp(320, 256)


def resized_then_cropped(image: Image.Image, shorter: int, size: int, place: float) -> np.ndarray:
    """The papers' order of work: the whole image first, at fraction `place` of both margins."""
    height, width = (
        shorter if side == min(image.size) else int(side * shorter / min(image.size) + 0.5)
        for side in (image.height, image.width)
    )
    whole = image.resize((width, height), Image.Resampling.BILINEAR)
    top, left = int(place * (height - size + 1)), int(place * (width - size + 1))
    return np.asarray(whole.crop((left, top, left + size, top + size)))


def differences(image: Image.Image, shorter: int, size: int, place: float) -> np.ndarray:
    """In gray levels, between cutting the box and resizing everything first."""
    box = ShorterSide(shorter, shorter, size)(image.height, image.width, (place, place, HIGH, 0.5))
    direct = cut(image, box, size, resizes=True).transpose(1, 2, 0)
    papers = resized_then_cropped(image, shorter, size, place)
    assert direct.shape == papers.shape == (size, size, 3)
    return np.abs(direct.astype(int) - papers)


@pytest.mark.parametrize("place", [LOW, 0.37, HIGH])
@pytest.mark.parametrize("shape", [(97, 141), (160, 81), (64, 64), (31, 45), (403, 59), (48, 333)])
def test_cutting_the_box_equals_resizing_the_image_and_cropping_it(
    shape: tuple[int, int], place: float
) -> None:
    image = Image.fromarray(draw_photograph(*shape, 0, seed=1))
    assert differences(image, 64, 48, place).max() <= 1


@pytest.mark.parametrize("place", [LOW, 0.37, HIGH])
@pytest.mark.parametrize("shape", [(97, 141), (160, 81), (64, 64), (31, 45), (403, 59)])
def test_cutting_the_box_equals_warping_the_image_and_cropping_it(
    shape: tuple[int, int], place: float
) -> None:
    image = Image.fromarray(draw_photograph(*shape, 0, seed=1))
    direct = cut(image, Warp(48, 64)(*shape, (place, place, HIGH)), 48, resizes=True)
    corner = int(place * 17)
    whole = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    warped = whole[:, corner : corner + 48, corner : corner + 48]
    assert np.abs(direct.astype(int) - warped).max() <= 1


def test_cutting_the_box_equals_resizing_and_cropping_real_photographs(real_data: Path) -> None:
    files = sorted((real_data / "imagenet_samples").glob("*/*.JPEG"))[::30]
    assert len(files) >= 5
    for k, file in enumerate(files):
        with Image.open(file) as photograph:
            image = photograph.convert("RGB")
        for shorter in (256, 480):
            apart = differences(image, shorter, 224, (k + 0.5) / len(files))
            # Ratios such as 400 to 480 put many sums of both of Pillow's passes halfway between two
            # levels, where the last bit of a coordinate decides: twice the same way in a few pixels.
            assert apart.max() <= 2, file.name
            assert (apart > 1).mean() < 0.001, file.name


def test_whole_pixel_crops_copy_pixels_and_add_zeros() -> None:
    pixels = draw_photograph(32, 32, 0, seed=2)
    box = CIFAR(32, 32, (LOW, HIGH, LOW, LOW))  # four to the left, four down, mirrored
    expected = np.pad(pixels, ((4, 4), (4, 4), (0, 0)))[8:40, 0:32][:, ::-1].transpose(2, 0, 1)
    view = cut(Image.fromarray(pixels), box, 32, resizes=False)
    assert view.flags.c_contiguous
    assert np.array_equal(view, expected)


def test_a_gray_image_gives_one_channel_and_a_flip_mirrors_columns() -> None:
    pixels = draw_photograph(70, 90, 0, seed=3)[:, :, 0]
    boxes = [ShorterSide(64, 64, 48)(70, 90, (0.3, 0.6, mirror, 0.5)) for mirror in (HIGH, LOW)]
    straight, mirrored = (cut(Image.fromarray(pixels), box, 48, resizes=True) for box in boxes)
    assert straight.shape == (1, 48, 48)
    assert np.array_equal(mirrored, straight[:, :, ::-1])
