import numpy as np
import pytest
from conftest import draw_photograph
from PIL import Image

from topfive.crops import Box
from topfive.loaders.views import cut
from topfive.problems import Problem
from topfive.protocols import (
    GridOfScales,
    OneCrop,
    OneView,
    Protocol,
    SquaresOfScales,
    TenCrop,
    WarpedCrop,
)

RECTANGLE = TenCrop()  # He et al. 2015, Tables 2 and 3
SQUARE = TenCrop(square=True)  # Krizhevsky et al. 2012, section 4.1


def corners(boxes: list[Box]) -> list[tuple[float, float]]:
    return [(box.left, box.top) for box in boxes]


@pytest.mark.parametrize(
    ("protocol", "height", "width", "places"),
    [
        # 341 - 224 = 117 columns and 256 - 224 = 32 rows to spare; the center at half, rounded down.
        (RECTANGLE, 256, 341, [(0, 0), (117, 0), (0, 32), (117, 32), (58, 16)]),
        (RECTANGLE, 400, 256, [(0, 0), (32, 0), (0, 176), (32, 176), (16, 88)]),
        # The central square begins (341 - 256) // 2 = 42 columns, (400 - 256) // 2 = 72 rows in.
        (SQUARE, 256, 341, [(42, 0), (74, 0), (42, 32), (74, 32), (58, 16)]),
        (SQUARE, 400, 256, [(0, 72), (32, 72), (0, 104), (32, 104), (16, 88)]),
    ],
)
def test_ten_crops_are_four_corners_and_the_center_and_their_mirrors(
    protocol: TenCrop, height: int, width: int, places: list[tuple[float, float]]
) -> None:
    boxes = protocol(height, width)
    assert corners(boxes) == places * 2
    assert [box.flip for box in boxes] == [False] * 5 + [True] * 5
    assert {(box.width, box.height) for box in boxes} == {(224, 224)}


def test_boxes_are_given_in_pixels_of_the_unresized_image() -> None:
    # Twice as large as above: every number doubles.
    boxes = RECTANGLE(512, 682)
    assert corners(boxes)[:5] == [(0, 0), (234, 0), (0, 64), (234, 64), (116, 32)]
    assert {(box.width, box.height) for box in boxes} == {(448, 448)}


def test_square_and_rectangle_agree_on_a_square_image() -> None:
    assert RECTANGLE(300, 300) == SQUARE(300, 300)
    assert RECTANGLE(300, 400) != SQUARE(300, 400)


def test_the_second_half_of_ten_crops_mirrors_the_first() -> None:
    image = Image.fromarray(draw_photograph(75, 102, 0, seed=4))
    protocol = TenCrop(size=48, shorter=64)
    views = np.stack([cut(image, box, 48, resizes=True) for box in protocol(75, 102)])
    assert np.array_equal(views[5:], views[:5, :, :, ::-1])
    assert len({view.tobytes() for view in views}) == 10


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (256, 341, (58, 16, 224, 224, False)),
        (341, 256, (16, 58, 224, 224, False)),
        (256, 257, (16, 16, 224, 224, False)),  # 33 to spare, rounded down
        (512, 682, (116, 32, 448, 448, False)),
    ],
)
def test_one_crop_is_the_center(height: int, width: int, box: tuple[float, ...]) -> None:
    assert OneCrop()(height, width) == [Box(*box)]


def test_one_crop_warped_is_the_center_of_the_image_squeezed_to_256_by_256() -> None:
    # Caffe: (256 - 227) // 2 = 14 rows and columns in; 512 rows shrink to half, 341 columns by 3/4.
    (box,) = WarpedCrop(227)(512, 341)
    assert box == Box(14 * 341 / 256, 28, 227 * 341 / 256, 454, False)
    assert WarpedCrop(227)(256, 256) == [Box(14, 14, 227, 227, False)]
    assert WarpedCrop()(256, 256) == OneCrop()(256, 256)


def test_one_view_is_the_whole_image() -> None:
    assert OneView(32)(32, 32) == [Box(0, 0, 32, 32, False)]
    assert OneView(32)(28, 28) == [Box(-2, -2, 32, 32, False)]


@pytest.mark.parametrize(
    ("protocol", "name", "views", "resizes"),
    [
        (OneView(32), "one_view", 1, False),
        (OneCrop(), "one_crop", 1, True),
        (WarpedCrop(), "one_crop_warped", 1, True),
        (RECTANGLE, "ten_crop", 10, True),
        (SQUARE, "ten_crop_square", 10, True),
        (SquaresOfScales(), "crops144", 144, True),
        (GridOfScales(), "crops150", 150, True),
    ],
)
def test_a_protocol_knows_its_name_and_number_of_views(
    protocol: Protocol, name: str, views: int, resizes: bool
) -> None:
    assert (protocol.name, protocol.views, protocol.resizes) == (name, views, resizes)
    boxes = protocol(300, 400)
    assert len(boxes) == views
    assert {box.filter for box in boxes} == {"triangle"}


# The part of the image at each scale, for 144 crops: (top, left) of the three squares, by hand. 1.5 times as wide as
# high, as 384 x 576 is: widths 384, 432, 480, 528, so 128, 144, 160, 176 columns to spare.
LANDSCAPE = {256: (0, 64, 128), 288: (0, 72, 144), 320: (0, 80, 160), 352: (0, 88, 176)}


def views_by_hand(image: Image.Image, parts: list[tuple[int, tuple[int, ...]]]) -> list[np.ndarray]:
    """(shorter side, box of the resized image) to pixels: the image is resized whole, cut, and cut again."""
    shown = []
    for shorter, part in parts:
        scale = shorter / min(image.size)
        resized = image.resize(
            (round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR
        )
        shown.append(np.asarray(resized.crop(part)).transpose(2, 0, 1))
    return shown


def assert_alike(image: Image.Image, protocol: Protocol, parts: list[tuple[int, tuple[int, ...]]]):
    """That views of `protocol` are `parts`, in any order of mirrors: each once as it is, once mirrored."""
    boxes = protocol(image.height, image.width)
    plain, mirrored = ([box for box in boxes if box.flip == flip] for flip in (False, True))
    assert [box._replace(flip=True) for box in plain] == mirrored
    for box, expected in zip(plain, views_by_hand(image, parts), strict=True):
        found = cut(image, box, expected.shape[-1], resizes=True)
        assert np.abs(found.astype(int) - expected).max() <= 2  # each pass is rounded
        turned = cut(image, box._replace(flip=True), expected.shape[-1], resizes=True)
        assert np.array_equal(turned, found[..., ::-1])


@pytest.mark.parametrize("turned", [False, True])
def test_144_crops_are_six_of_three_squares_at_four_scales(turned: bool) -> None:
    image = Image.fromarray(draw_photograph(384, 576, 0, seed=4))
    image = image.transpose(Image.Transpose.TRANSPOSE) if turned else image
    parts = []
    for s, squares in LANDSCAPE.items():
        for offset in squares:
            x, y = (0, offset) if turned else (offset, 0)
            far, mid = s - 224, (s - 224) // 2
            for top, left in ((0, 0), (0, far), (far, 0), (far, far), (mid, mid)):
                parts.append((s, (x + left, y + top, x + left + 224, y + top + 224)))
            parts.append((s, (x, y, x + s, y + s)))
    assert_alike(image, SquaresOfScales(), parts)
    # The whole square, too, becomes a view of 224.
    whole = SquaresOfScales()(image.height, image.width)[5]
    assert cut(image, whole, 224, resizes=True).shape == (3, 224, 224)


def test_a_square_image_has_one_square_thrice() -> None:
    boxes = SquaresOfScales()(400, 400)
    assert len(boxes) == 144
    assert boxes[:12] == boxes[12:24] == boxes[24:36]


def test_150_crops_are_a_grid_of_25_at_three_scales() -> None:
    image = Image.fromarray(draw_photograph(384, 576, 0, seed=5))
    # By hand: 32, 160 and 288 rows and 160, 352 and 544 columns to spare, in four steps.
    grids = {256: (8, 40), 384: (40, 88), 512: (72, 136)}
    parts = [
        (s, (k * wide, i * high, k * wide + 224, i * high + 224))
        for s, (high, wide) in grids.items()
        for i in range(5)
        for k in range(5)
    ]
    assert_alike(image, GridOfScales(), parts)


def test_a_grid_of_one_place_is_refused() -> None:
    with pytest.raises(Problem, match=r"protocol\.places=1: a grid has two places or more"):
        GridOfScales(places=1)


@pytest.mark.parametrize("protocol", [SquaresOfScales, GridOfScales])
def test_views_larger_than_the_smallest_scale_are_refused(protocol) -> None:
    with pytest.raises(Problem, match=r"320 pixels .* side is 256: raise protocol\.shorters"):
        protocol(size=320)


@pytest.mark.parametrize("protocol", [OneCrop, TenCrop])
def test_views_larger_than_the_image_are_refused(protocol: type[OneCrop | TenCrop]) -> None:
    with pytest.raises(Problem, match=r"320 pixels .* side is 256: raise protocol\.shorter"):
        protocol(size=320, shorter=256)
    with pytest.raises(Problem, match=r"320 pixels .* side is 256: raise protocol\.side"):
        WarpedCrop(size=320)
