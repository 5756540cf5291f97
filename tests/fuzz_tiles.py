"""Spoilt JPEGs and .beton entries, and what must become of each.

    python tests/fuzz_tiles.py --mutants 100000 [--seed 0]

Every mutant must end as a named error, or as the pixels that Pillow, which tolerates what libjpeg only
warns of, decodes from the same bytes. To run it under the sanitizers, build the extension with them:

    CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -g" uv pip install --reinstall ./src/jpeg_tiles
    LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \\
        uv run --no-sync python tests/fuzz_tiles.py --mutants 100000
"""

import argparse
import io
from collections import Counter

import numpy as np
from PIL import Image, ImageFile
from tile_views import jpeg, views

import jpeg_tiles
from topfive.crops import Box
from topfive.loaders.views import cut

SIDES = ((64, 80), (97, 131), (24, 200), (8, 8))
ORDINARY = 4  # levels by which our colors may be off Pillow's, which rounds chroma at full size


def originals(random: np.random.Generator) -> list[tuple[bytes, int, int]]:
    """(content, height, width) of every sampling, in tiles and not."""
    found = []
    for k, (height, width) in enumerate(SIDES):
        coarse = random.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        for options in ({"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}):
            source = jpeg(picture, quality=60 + 10 * k, **options)
            found += [(jpeg_tiles.tile(source, 1 + k), height, width), (source, height, width)]
        found.append((jpeg_tiles.tile(jpeg(picture.convert("L"))), height, width))
        found.append((jpeg(picture, progressive=True), height, width))
    return found


def spoilt(content: bytes, random: np.random.Generator) -> bytes:
    """Bits flipped, bytes replaced, removed, doubled or cut off; every fourth in the header."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        if len(changed) < 4:
            break
        header = random.random() < 0.25
        place = int(random.integers(0, min(len(changed), 700) if header else len(changed)))
        match random.integers(0, 6):
            case 0:
                changed[place] ^= 1 << int(random.integers(0, 8))
            case 1:
                changed[place] = int(random.choice([0, 1, 0x7F, 0x80, 0xD0, 0xD9, 0xDA, 0xFF]))
            case 2:
                del changed[place : place + int(random.integers(1, 40))]
            case 3:
                changed[place:place] = changed[place : place + int(random.integers(1, 40))]
            case 4:
                changed[place:place] = bytes([0xFF, int(random.integers(0, 256))])
            case _:
                del changed[place:]
    return bytes(changed)


def verdict(content: bytes, height: int, width: int, random: np.random.Generator) -> str:
    """What became of one mutant; raises AssertionError where it may not."""
    size = int(random.integers(1, 40))
    left, top = (
        int(random.integers(0, max(1, width - 8))),
        int(random.integers(0, max(1, height - 8))),
    )
    box = Box(left, top, min(size, width - left), min(size, height - top), False, "nearest")
    side = min(int(box.width), int(box.height))
    box = box._replace(width=side, height=side)
    made, failed = views([content], [(height, width)], [[box]], side)
    if failed:
        assert not made.any()
        return failed[0]
    try:
        with Image.open(io.BytesIO(content)) as image:
            expected = cut(image.convert("RGB"), box, side, True)
    except Exception as error:
        return f"decoded where Pillow does not ({type(error).__name__})"
    assert np.abs(made[0, 0].astype(int) - expected).max() <= ORDINARY
    return "pixels as Pillow's"


def entry(random: np.random.Generator) -> None:
    """A .beton entry of any numbers at all: an error, or pixels that lie in the file."""
    draw = random.integers(0, 2**63, 6, dtype=np.uint64)
    near = random.random() < 0.7
    out = np.zeros((1, 1, 3, 4, 4), np.uint8)
    jpeg_tiles.Decoder(1).views(
        file=bytes(1000),
        pointers=draw[:1] % 1100 if near else draw[:1] * 2 + 1,
        sizes=draw[1:2] % 1100 if near else draw[1:2] * 2 + 1,
        widths=(draw[2:3] % (40 if near else 65536)).astype(np.uint16),
        heights=(draw[3:4] % (40 if near else 65536)).astype(np.uint16),
        raw=np.array([random.integers(0, 2)], np.uint8),
        boxes=random.choice([0, -1, 1, 8, 30, 1e9, -1e9, np.inf, -np.inf, np.nan, 1e-300], 4),
        filters=(draw[4:5] % 7).astype(np.uint8),
        mirrored=(draw[5:6] % 2).astype(np.uint8),
        out=out,
        views=1,
        size=4,
    )


def fuzz(mutants: int, seed: int) -> Counter[str]:
    """How often each thing became of a mutant; every tenth is an entry instead."""
    random = np.random.default_rng(seed)
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    Image.MAX_IMAGE_PIXELS = None
    try:
        found: Counter[str] = Counter()
        sources = originals(random)
        for k in range(mutants):
            if k % 10 == 9:
                entry(random)
                found["entry"] += 1
                continue
            content, height, width = sources[int(random.integers(0, len(sources)))]
            content = spoilt(content, random)
            found[verdict(content, height, width, random)] += 1
            try:
                jpeg_tiles.tile(content)
            except ValueError:
                found["(no tiles)"] += 1
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for what, count in fuzz(asked.mutants, asked.seed).most_common():
        print(f"{count:8,}  {what}")


if __name__ == "__main__":
    main()
