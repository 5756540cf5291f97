"""GoogLeNet's crop (Szegedy et al. 2014, section 6): areas, aspects, places and resampling filters."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from conftest import draw_photograph
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_crops import HIGH, LOW, assert_inside, chi_square, uniforms

from topfive.config import compose
from topfive.crops import FILTERS, AreaAspect, Box, Filter, ShorterSide
from topfive.loaders.views import cut
from topfive.problems import Problem

GOOGLENET = AreaAspect(224, filters="random")
NEVER = (HIGH, HIGH)  # all of the area at an aspect of 4/3: no box in a square
ROOT2 = math.sqrt(2)


def numbers(*tries: tuple[float, float], x: float = 0.25, y: float = 0.5) -> list[float]:
    """u of one box: place, no mirror, the first filter, then (area, aspect) of ten tries."""
    pairs = [*tries, *[(0.5, 0.5)] * (10 - len(tries))]
    return [x, y, 0.7, LOW, *(u for pair in pairs for u in pair)]


def test_a_box_has_the_drawn_area_aspect_and_place() -> None:
    # 16 % of 300 x 300 is 14400 pixels: 120 x 120, or 144 x 100 at an aspect of 1.44.
    square = AreaAspect(224, 0.16, 0.16, 1, 1)
    assert square(300, 300, numbers())[:5] == pytest.approx((45, 90, 120, 120, False))
    wide = AreaAspect(224, 0.16, 0.16, 1.44, 1.44)
    assert wide(300, 300, numbers())[:5] == pytest.approx((39, 100, 144, 100, False))


def test_the_papers_ranges_are_8_to_100_percent_and_three_to_four() -> None:
    # 8 % of 300 x 400 is 9600 pixels; at width / height = 3/4 it is 60 by 80 times the root of 2.
    box = GOOGLENET(300, 400, numbers((LOW, LOW)))
    assert (box.width, box.height) == pytest.approx((60 * ROOT2, 80 * ROOT2))
    whole = AreaAspect(224, min_area=1, min_aspect=4 / 3)(300, 400, numbers(NEVER))
    assert whole[:5] == pytest.approx((0, 0, 400, 300, False), abs=1e-6)


@pytest.mark.parametrize(("log_aspect", "middle"), [(True, 1), (False, 25 / 24)])
def test_the_middle_of_the_aspects_is_1_or_the_mean_of_the_limits(
    log_aspect: bool, middle: float
) -> None:
    box = AreaAspect(224, log_aspect=log_aspect)(500, 500, numbers())  # 3/4 + 4/3 = 25/12
    assert box.width / box.height == pytest.approx(middle)


@pytest.mark.parametrize("misses", [0, 1, 9])
def test_a_box_that_does_not_fit_is_drawn_anew(misses: int) -> None:
    # 8 % of 300 x 300 is 7200 pixels: 60 x 60 times 2.
    box = GOOGLENET(300, 300, numbers(*[NEVER] * misses, (LOW, 0.5)))
    assert (box.width, box.height) == pytest.approx((60 * ROOT2, 60 * ROOT2))


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (300, 300, (0, 0, 300, 300)),
        (100, 1000, (1300 / 3, 0, 400 / 3, 100)),  # the widest: 4/3 of the height
        (1000, 100, (0, 1300 / 3, 100, 400 / 3)),  # the narrowest: 3/4 of the height
    ],
)
def test_after_ten_tries_it_is_the_largest_central_box(
    height: int, width: int, box: tuple[float, ...]
) -> None:
    assert GOOGLENET(height, width, numbers(*[NEVER] * 10))[:4] == pytest.approx(box)


@given(
    height=st.integers(1, 4000),
    width=st.integers(1, 4000),
    u=st.lists(st.floats(LOW, HIGH), min_size=24, max_size=24),
    log_aspect=st.booleans(),
)
def test_no_crop_leaves_the_image(
    height: int, width: int, u: list[float], log_aspect: bool
) -> None:
    crop = AreaAspect(224, log_aspect=log_aspect)
    for drawn in (u, [LOW] * 24, [HIGH] * 24, [HIGH] * 4 + [LOW] * 20):
        box = crop(height, width, drawn)
        assert_inside(box, height, width)
        assert 3 / 4 - 1e-9 <= box.width / box.height <= 4 / 3 + 1e-9


def test_areas_are_uniform_but_for_large_ones_that_fit_less_often() -> None:
    # A share a of a square fits where the aspect lies in [a, 1 / a]: always up to 3/4, beyond it for
    # ln(1 / a) / ln(4/3) of the aspects. Integrated: (1/4 + 3/4 ln 3/4) / ln(4/3) = 0.119 beside 0.67.
    boxes = [GOOGLENET(100, 100, u) for u in uniforms(GOOGLENET, 30_000)]
    areas = np.array([box.width * box.height / 10_000 for box in boxes])
    assert 0.08 < areas.min() < 0.0802
    assert areas.max() <= 1
    small = Counter(np.floor((areas[areas < 0.75] - 0.08) * 100).astype(int).tolist())
    assert set(small) == set(range(67))
    assert chi_square(small, 67) < 5
    share = 0.1190 / (0.67 + 0.1190)
    assert abs((areas > 0.75).mean() - share) < 5 * math.sqrt(share * (1 - share) / len(areas))


@pytest.mark.parametrize("log_aspect", [True, False])
def test_all_aspects_are_equally_likely_by_their_logarithm_or_as_they_are(
    log_aspect: bool,
) -> None:
    crop = AreaAspect(224, max_area=0.75, log_aspect=log_aspect)  # all of which fit a square
    boxes = [crop(100, 100, u) for u in uniforms(crop, 20_000)]
    aspects = np.array([box.width / box.height for box in boxes])
    low, high = 3 / 4, 4 / 3
    if log_aspect:
        aspects, low, high = np.log(aspects), math.log(low), math.log(high)
    cells = Counter(np.floor((aspects - low) / (high - low) * 20).astype(int).tolist())
    assert set(cells) == set(range(20))
    assert chi_square(cells, 20) < 5


def test_places_are_uniform_and_filters_equally_likely() -> None:
    boxes = [GOOGLENET(90, 120, u) for u in uniforms(GOOGLENET, 20_000)]
    loose = [box for box in boxes if box.width < 119 and box.height < 89]
    assert len(loose) > 18_000
    across = Counter(int(10 * box.left / (120 - box.width)) for box in loose)
    down = Counter(int(10 * box.top / (90 - box.height)) for box in loose)
    assert set(across) == set(down) == set(range(10))
    assert chi_square(across, 10) < 5
    assert chi_square(down, 10) < 5
    filters = Counter(box.filter for box in boxes)
    assert set(filters) == {"triangle", "box", "cubic", "nearest"}
    assert chi_square(filters, 4) < 5


@pytest.mark.parametrize("filter", FILTERS)
def test_a_named_filter_is_always_taken(filter: Filter) -> None:
    crop = AreaAspect(224, filters=filter)
    assert {crop(90, 120, u).filter for u in uniforms(crop, 40)} == {filter}


def test_other_crops_are_resampled_by_the_triangle() -> None:
    assert ShorterSide(256, 256, 224)(300, 400, (0.5, 0.5, 0.5, 0.5)).filter == "triangle"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_area": 0}, r"min_area=0 and .* expected 0 < min_area <= max_area <= 1"),
        ({"max_area": 1.1}, r"max_area=1\.1 .* expected 0 < min_area"),
        ({"min_aspect": 2}, r"min_aspect=2 and .* expected 0 < min_aspect <= max_aspect"),
        ({"filters": "lanczos"}, r"filters='lanczos' .* random or one of triangle, box, cubic"),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(Problem, match=rf"recipe\.crop\..*{message}"):
        AreaAspect(224, **wrong)


@pytest.mark.parametrize("model", ["googlenet", "bn_inception", "efficientnet_b0"])
def test_the_recipes_crop_has_the_papers_ranges(model: str) -> None:
    crop = instantiate(compose([f"model={model}"])["recipe"]["crop"])
    assert (crop.size, crop.min_area, crop.max_area, crop.min_aspect) == (224, 0.08, 1, 0.75)
    assert crop.max_aspect == pytest.approx(4 / 3)
    assert crop.filters == ("cubic" if model == "efficientnet_b0" else "random")


# -- the filters, on pixels -------------------------------------------------------------------------


def resampled(pixels: np.ndarray, box: tuple[float, ...], size: int, filter: Filter) -> np.ndarray:
    view = cut(Image.fromarray(pixels), Box(*box, False, filter), size, resizes=True)
    return view.transpose(1, 2, 0)


def test_nearest_takes_source_pixels() -> None:
    pixels = draw_photograph(97, 141, 0, seed=5) // 16 * 16
    box = (11.3, 7.9, 83.1, 62.2)
    assert not np.any(resampled(pixels, box, 48, "nearest") % 16)
    assert np.any(resampled(pixels, box, 48, "triangle") % 16)
    doubled = resampled(pixels, (5, 9, 20, 20), 40, "nearest")
    assert np.array_equal(doubled, pixels[9:29, 5:25].repeat(2, 0).repeat(2, 1))


def test_the_box_filter_is_the_mean_of_what_it_covers() -> None:
    # Multiples of 16, whose means over rows, then columns, of 4 are whole: nothing is rounded.
    pixels = draw_photograph(80, 120, 0, seed=6) // 16 * 16
    means = pixels[8:72, 12:76].reshape(16, 4, 16, 4, 3).mean((1, 3))
    assert np.array_equal(resampled(pixels, (12, 8, 64, 64), 16, "box"), means)
    assert not np.array_equal(resampled(pixels, (12, 8, 64, 64), 16, "triangle"), means)


@pytest.mark.parametrize(
    ("filter", "row"),
    [
        # Keys's weights with a = -1/2 at distances 1.25, 0.25, 0.75 and 1.75: -9/128, 111/128, 29/128 and
        # -3/128; of the step of 150 that makes -3.5, -10.5, 30.5 and their mirrors.
        ("cubic", [50, 46, 39, 80, 170, 211, 204, 200]),
        ("triangle", [50, 50, 50, 88, 163, 200, 200, 200]),  # quarters of 150 are 37.5
        ("box", [50, 50, 50, 50, 200, 200, 200, 200]),
        ("nearest", [50, 50, 50, 50, 200, 200, 200, 200]),
    ],
)
def test_an_edge_enlarged_twice(filter: Filter, row: list[int]) -> None:
    edge = np.full((32, 32, 3), 50, dtype=np.uint8)
    edge[:, 16:] = 200
    view = resampled(edge, (8, 8, 16, 16), 32, filter)
    assert view[5, 12:20, 0].tolist() == row
    assert (view == view[5, :, 0][:, None]).all()
