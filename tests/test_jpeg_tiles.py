"""jpeg_tiles against Pillow and against itself: no pixel is lost in tiles, and a crop is the crop of the whole."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from topfive.crops import FILTERS, Box
from topfive.loaders.views import cut

jpeg_tiles = pytest.importorskip("jpeg_tiles", reason="needs the extra ffcv")
from tile_views import decoded_whole, jpeg, one, psnr, views  # noqa: E402

pytestmark = pytest.mark.ffcv

SAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2, "gray": None}


def picture(height: int, width: int, seed: int = 0, gray: bool = False) -> Image.Image:
    """Smooth blobs of color with a little grain: what a photograph is to a codec."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 12 + 2, width // 12 + 2, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = random.normal(0, 4, (height, width, 3))
    pixels = Image.fromarray(np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8))
    return pixels.convert("L") if gray else pixels


def encoded(name: str, height: int, width: int, **options: object) -> bytes:
    sampling = SAMPLINGS[name]
    if sampling is not None:
        options["subsampling"] = sampling
    return jpeg(picture(height, width, gray=sampling is None), **options)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def boxes(height: int, width: int, count: int, seed: int = 0) -> list[Box]:
    """Boxes with fractional corners, large and small, mirrored or not, of every filter."""
    random = np.random.default_rng(seed)
    found = []
    for k in range(count):
        high, wide = height * random.uniform(0.1, 1), width * random.uniform(0.1, 1)
        left, top = random.uniform(0, width - wide), random.uniform(0, height - high)
        found.append(Box(left, top, wide, high, bool(k % 2), FILTERS[k % 4]))
    return found


def restart_interval(content: bytes) -> int:
    place = content.index(b"\xff\xdd\x00\x04")
    return int.from_bytes(content[place + 4 : place + 6], "big")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("height", "width"), [(97, 131), (64, 64), (8, 8), (1, 1), (33, 400)])
def test_tiles_have_the_pixels_of_the_source(sampling, progressive, height, width):
    source = encoded(sampling, height, width, progressive=progressive)
    assert np.array_equal(pixels(jpeg_tiles.tile(source)), pixels(source))


@pytest.mark.parametrize("quality", [1, 30, 75, 100])
def test_tiles_have_the_pixels_of_the_source_at_every_quality(quality):
    source = encoded("4:2:0", 120, 160, quality=quality)
    assert np.array_equal(pixels(jpeg_tiles.tile(source)), pixels(source))


@pytest.mark.parametrize(
    ("width", "tile"),
    [
        (256, 4),
        (240, 3),
        (224, 2),
        (208, 1),
        (48, 3),
        (16, 1),
    ],  # 16, 15, 14, 13, 3 and 1 MCUs of 16 pixels
)
def test_a_tile_is_the_largest_divisor_of_a_row_up_to_four_mcus(width, tile):
    assert restart_interval(jpeg_tiles.tile(encoded("4:2:0", 32, width))) == tile


def test_what_is_no_part_of_the_picture_stays_behind():
    source = jpeg(picture(40, 40), comment=b"a comment", icc_profile=b"p" * 5000)
    tiled = jpeg_tiles.tile(source)
    assert b"a comment" not in tiled
    assert len(tiled) < len(source) - 4000


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_crop_from_tiles_is_the_crop_of_the_whole_bit_for_bit(sampling):
    height, width = 203, 331
    tiled = jpeg_tiles.tile(encoded(sampling, height, width))
    for box in boxes(height, width, 40):
        cropped = one(tiled, height, width, box, 37)
        assert np.array_equal(cropped, one(decoded_whole(tiled), height, width, box, 37))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_view_is_pillows_to_50_decibels(sampling):
    height, width = 300, 401
    tiled = jpeg_tiles.tile(encoded(sampling, height, width))
    whole = Image.open(io.BytesIO(tiled)).convert("RGB")
    for size in (64, 224):  # most are shrunk to the one and enlarged to the other
        found = [
            psnr(one(tiled, height, width, box, size), cut(whole, box, size, True))
            for box in boxes(height, width, 40)
        ]
        assert np.median(found) >= 50
        assert min(found) >= 42


def test_libjpegs_other_samplings_are_read():
    """4:4:0 (chroma of half the height) has no name in Pillow: a 4:2:2 image turned by its header."""
    source = encoded("4:2:2", 96, 96)
    place = source.index(b"\xff\xc0")
    assert source[place + 11] == 0x21
    turned = source[: place + 11] + b"\x12" + source[place + 12 :]
    tiled = jpeg_tiles.tile(turned)
    whole = Image.open(io.BytesIO(tiled)).convert("RGB")
    for box in boxes(96, 96, 12):
        assert np.array_equal(
            one(tiled, 96, 96, box, 20), one(decoded_whole(tiled), 96, 96, box, 20)
        )
        assert psnr(one(tiled, 96, 96, box, 40), cut(whole, box, 40, True)) >= 40


@pytest.mark.parametrize(
    ("kind", "levels"), [("nearest", 0), ("box", 1), ("triangle", 1), ("cubic", 3)]
)
def test_raw_pixels_are_pillows_but_for_its_rounding_between_the_passes(kind, levels):
    """Cubic weights sum to 1.5 in magnitude, and Pillow also cuts off their overshoot between the passes."""
    whole = picture(90, 120)
    for box in boxes(90, 120, 12):
        box = box._replace(filter=kind)
        for size in (16, 150):
            ours = one(whole.tobytes(), 90, 120, box, size, raw=True).astype(int)
            assert np.abs(ours - cut(whole, box, size, True)).max() <= levels


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(("left", "top"), [(0, 0), (-4, -3), (5, 7), (-40, 2), (30, 30)])
@pytest.mark.parametrize("flip", [False, True])
def test_whole_pixel_crops_are_copied_with_zeros_beyond_the_edge(raw, left, top, flip):
    whole = picture(32, 32)
    content = whole.tobytes() if raw else jpeg_tiles.tile(jpeg(whole, subsampling=0, quality=100))
    source = whole if raw else Image.open(io.BytesIO(content))
    box = Box(left, top, 28, 28, flip)
    made, failed = views([content], [(32, 32)], [[box]], 28, raw=raw, copy=True)
    expected = cut(source, box, 28, False)
    if left == -40:  # nothing of the image is in it
        assert failed
        assert not made.any()
    else:
        assert np.abs(made[0, 0].astype(int) - expected).max() <= (0 if raw else 2)
        assert not made[0, 0][:, expected.max(0) == 0].any()


def test_several_views_of_an_image_are_those_that_come_one_by_one():
    height, width = 130, 170
    tiled = jpeg_tiles.tile(encoded("4:2:0", height, width))
    wanted = boxes(height, width, 10)
    together, failed = views([tiled], [(height, width)], [wanted], 48)
    assert not failed
    for view, box in zip(together[0], wanted, strict=True):
        assert np.array_equal(view, one(tiled, height, width, box, 48))


def test_threads_change_nothing():
    sides = [(60 + 7 * k, 90 + 5 * k) for k in range(17)]
    contents = [jpeg_tiles.tile(encoded("4:2:0", *side)) for side in sides]
    wanted = [boxes(*side, 2, seed=k) for k, side in enumerate(sides)]
    alone, _ = views(contents, sides, wanted, 32)
    for threads in (2, 5, 40):
        assert np.array_equal(views(contents, sides, wanted, 32, threads=threads)[0], alone)


def test_a_decoder_at_work_refuses_a_second_thread():
    decoder = jpeg_tiles.Decoder(1)
    side, tiled = (400, 400), jpeg_tiles.tile(encoded("4:4:4", 400, 400))
    box, refused = Box(0, 0, 400, 400, False), []

    def decode():
        try:
            views([tiled] * 40, [side] * 40, [[box]] * 40, 224, decoder=decoder)
        except RuntimeError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=decode) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert "needs its own" in refused[0]


def test_what_fails_is_told_and_black_and_the_rest_is_decoded():
    good = jpeg_tiles.tile(encoded("4:2:0", 64, 64))
    broken = {
        1: (good[: len(good) // 2], "damaged"),
        2: (b"no JPEG at all", "not a JPEG"),
        3: (jpeg_tiles.tile(encoded("4:2:0", 64, 80)), "another height or width"),
        4: (jpeg(picture(64, 64).convert("CMYK")), "other colors"),
    }
    contents = [broken.get(k, (good, ""))[0] for k in range(6)]
    box = Box(0, 0, 64, 64, False)
    made, failed = views(contents, [(64, 64)] * 6, [[box]] * 6, 32)
    assert failed.keys() == broken.keys()
    for k, (_, reason) in broken.items():
        assert reason in failed[k]
        assert not made[k].any()
    assert np.array_equal(made[0], made[5])
    assert made[0].any()


@pytest.mark.parametrize("pointer", [10**6, 2**63, 2**64 - 1])
def test_an_entry_beyond_the_file_is_no_access(pointer):
    out = np.zeros((1, 1, 3, 8, 8), np.uint8)
    failed = jpeg_tiles.Decoder(1).views(
        file=b"x" * 100,
        pointers=np.array([pointer], np.uint64),
        sizes=np.array([90], np.uint64),
        widths=np.array([8], np.uint16),
        heights=np.array([8], np.uint16),
        raw=np.zeros(1, np.uint8),
        boxes=np.array([0, 0, 8, 8], np.float64),
        filters=np.zeros(1, np.uint8),
        mirrored=np.zeros(1, np.uint8),
        out=out,
        views=1,
        size=8,
    )
    assert failed == [(0, "its bytes lie outside of the file")]


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 8), (9, 0, 4, 4), (0, -9, 4, 4), (np.nan,) * 4, (np.inf,) * 4]
)
def test_a_box_that_does_not_meet_the_image_is_refused(box):
    content = picture(8, 8).tobytes()
    for copy in (False, True):
        made, failed = views([content], [(8, 8)], [[Box(*box, False)]], 4, raw=True, copy=copy)
        assert bool(failed) == (not made.any())
    assert failed or box == (0, 0, 0, 8)  # a copy has its size from the view


def test_buffers_of_the_wrong_length_are_refused():
    with pytest.raises(ValueError, match="out: 3 bytes, expected 192"):
        jpeg_tiles.Decoder(1).views(
            b"x",
            bytes(8),
            bytes(8),
            bytes(2),
            bytes(2),
            b"\0",
            bytes(32),
            b"\0",
            b"\0",
            bytearray(3),
            views=1,
            size=8,
        )
    with pytest.raises(ValueError, match="widths: 0 bytes, expected 2"):
        jpeg_tiles.Decoder(1).views(
            b"x",
            bytes(8),
            bytes(8),
            b"",
            bytes(2),
            b"\0",
            bytes(32),
            b"\0",
            b"\0",
            bytearray(192),
            views=1,
            size=8,
        )
    with pytest.raises(ValueError, match="threads=0"):
        jpeg_tiles.Decoder(0)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"\0" * 1000])
def test_what_is_no_jpeg_has_no_tiles(content):
    with pytest.raises(ValueError, match=r"is not a JPEG|is damaged"):
        jpeg_tiles.tile(content)


def test_a_header_that_announces_gigapixels_is_refused_before_memory_is_taken():
    source = bytearray(encoded("4:2:0", 40, 40))
    place = source.index(b"\xff\xc0")
    source[place + 5 : place + 9] = b"\xff\x00\xff\x00"
    with pytest.raises(ValueError, match="more than 2\\^28 pixels"):
        jpeg_tiles.tile(bytes(source))


def test_a_truncated_jpeg_has_no_tiles():
    whole = encoded("4:2:0", 200, 200)
    for length in range(len(whole) // 10, len(whole) - 2, len(whole) // 10):
        with pytest.raises(ValueError, match="damaged"):
            jpeg_tiles.tile(whole[:length])


def test_photographs_are_kept_and_shown_to_50_decibels(real_data):
    """ImageNet's own files, shrunk and enlarged: what the readme promises."""
    files = sorted((real_data / "imagenet_samples").rglob("*.JPEG"))[::10]
    assert len(files) >= 30
    shrunk, enlarged = [], []
    for k, file in enumerate(files):
        source = file.read_bytes()
        tiled = jpeg_tiles.tile(source)
        whole = Image.open(io.BytesIO(source)).convert("RGB")
        assert np.array_equal(np.asarray(whole), pixels(tiled))
        width, height = whole.size
        for share, found in ((0.9, shrunk), (0.3, enlarged)):
            (box,) = boxes(round(height * share), round(width * share), 1, seed=k)
            found.append(psnr(one(tiled, height, width, box, 224), cut(whole, box, 224, True)))
    assert np.median(shrunk) >= 50
    assert np.median(enlarged) >= 50
