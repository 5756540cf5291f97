"""How one picture of `shapes` is composed: backdrop, clutter, object, occluders, camera.

Every draw that decides on a color, texture, pose or light comes from one stream, addressed by
(seed, index), whose order of use does not depend on the class. So the same (seed, index) with
another label is the same scene with another silhouette, and nothing but the silhouette tells the
class.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from topfive.datasets.shape_outlines import CLASSES
from topfive.datasets.shape_polygons import Points, oval, poly, smooth

Plane = NDArray[np.float32]
Piece = tuple[str, Points, Plane]  # ink as in shape_outlines, corners in pixels, color in [0, 1]
FINE = 2  # supersampling along each edge


def draw(seed: int, index: int, label: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """One picture, (height, width, 3) uint8, a pure function of its arguments.

    size: (height, width). The place and scale of everything follow it, so one (seed, index)
    at two sizes of the same aspect shows the same scene; the sensor's grain is per pixel.
    """
    key = np.array([seed, index], dtype=np.uint64)
    rng = np.random.Generator(np.random.Philox(key=key))
    # The specimen's proportions come from a stream of their own: classes use different amounts.
    specimen = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, 1]))

    height, width = size
    short, extent = min(height, width), np.array([width, height], dtype=np.float64)
    ground, colors, ink, accent, edges = np.split(_colors(rng, 22), [2, 10, 18, 19])
    light = rng.uniform(0, 2 * np.pi)

    canvas = (ground[1] - ground[0])[:, None, None] * _texture(rng, height, width, short)
    canvas += ground[0][:, None, None]
    for layer in (colors[:4], colors[4:])[: int(rng.integers(1, 3))]:
        scraps = []
        for color in layer[: int(rng.integers(2, 5))]:
            piece, place = rng.uniform(0.06, 0.2) * short, rng.uniform(0, 1, 2) * extent
            scraps.append(("+", _scrap(rng) * piece + place, color))
        _lay(rng, canvas, scraps, 0.14 * short, light)

    reach = rng.uniform(0.3, 0.45) * short
    center = extent / 2 + rng.uniform(-1, 1, 2) * np.maximum(extent / 2 - reach, 0)
    pose = _pose(rng)
    # The first color that stands out from the ground, else the one that stands out most.
    gaps = np.abs(ink - ground[0]).sum(axis=1)
    main = ink[int(np.argmax(gaps > 0.8)) if (gaps > 0.8).any() else int(np.argmax(gaps))]
    outlines = CLASSES[label](specimen)
    corners = _project(np.concatenate([points for _, points in outlines]), pose) * reach + center
    ends = np.cumsum([len(points) for _, points in outlines])[:-1]
    parts = [
        (mark, points, accent[0] if mark == "*" else main)
        for (mark, _), points in zip(outlines, np.split(corners, ends), strict=True)
    ]
    _lay(rng, canvas, parts, reach, light)

    occluders = []
    for color in edges[: int(rng.integers(0, len(edges)))]:
        bearing, piece = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.32) * reach
        toward = np.array([np.cos(bearing), np.sin(bearing)])
        place = center + rng.uniform(0.55, 0.95) * reach * toward
        occluders.append(("+", _scrap(rng) * piece + place, color))
    if occluders:
        _lay(rng, canvas, occluders, 0.3 * reach, light)
    return _photograph(rng, canvas, short)


def _pose(rng: np.random.Generator) -> NDArray[np.float64]:
    """A homography: mirror, stretch, shear and turn by up to 25 degrees, seen slightly aslant."""
    turn, shear = rng.uniform(-np.pi / 7, np.pi / 7), rng.uniform(-0.2, 0.2)
    c, s = np.cos(turn), np.sin(turn)
    stretch = np.exp(rng.uniform(-0.22, 0.22))
    flip = 1.0 if rng.random() < 0.5 else -1.0
    turned = np.array([[c, -s], [s, c]]) @ np.array([[1.0, shear], [0.0, 1.0]])
    pose = np.eye(3)
    pose[:2, :2] = turned @ np.diag([flip * stretch, 1 / stretch])
    pose[2, :2] = rng.uniform(-0.16, 0.16, size=2)
    return pose


def _project(points: Points, pose: NDArray[np.float64]) -> Points:
    flat = points @ pose[:, :2].T + pose[:, 2]
    return flat[:, :2] / flat[:, 2:]


def _scrap(rng: np.random.Generator) -> Points:
    """A piece of clutter about the origin: a pebble, a disc, a card, a wedge or a stick."""
    kind, turn = int(rng.integers(5)), rng.uniform(0, 2 * np.pi)
    a, b = rng.uniform(0.5, 1.0, size=2)
    lumps = rng.uniform(0.55, 1.0, size=7)
    if kind == 0:
        angle = np.arange(7) * 2 * np.pi / 7
        return smooth(*zip(lumps * np.cos(angle), lumps * np.sin(angle), strict=True))
    if kind == 1:
        return oval(0, 0, a, b, turn)
    if kind == 2:
        corners = poly((-a, -b), (a, -b), (a, b), (-a, b))
    elif kind == 3:
        corners = poly((-a, -b), (a, -0.2), (-0.2, b))
    else:
        corners = poly((-1.6, -0.2 * a), (1.6, -0.2 * a), (1.6, 0.2 * b), (-1.6, 0.2 * b))
    c, s = np.cos(turn), np.sin(turn)
    turned: Points = corners @ np.array([[c, s], [-s, c]])
    return turned


def _colors(rng: np.random.Generator, count: int) -> Plane:
    """(count, 3) in [0, 1]: as in nature, most are dull and some vivid."""
    hue, value, vivid = rng.random((3, count, 1))
    wheel = np.cos(2 * np.pi * (hue - np.arange(3) / 3))
    colors = 0.12 + 0.76 * value + 0.4 * vivid**2 * wheel
    clipped: Plane = np.clip(colors, 0.02, 0.98).astype(np.float32)
    return clipped


def _texture(rng: np.random.Generator, height: int, width: int, scale: float) -> Plane:
    """The pattern of a surface, (height, width) in [0, 1], of size `scale` and any contrast."""
    kind, turn, period = int(rng.integers(6)), rng.uniform(0, np.pi), rng.uniform(0.1, 0.5) * scale
    contrast, cells = rng.random(), int(rng.integers(2, 9))
    coarse = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
    pattern: Plane
    if kind < 2 or kind == 3:
        pattern = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    if kind >= 2:
        c, s = (2 * np.pi / period * np.array([np.cos(turn), np.sin(turn)])).astype(np.float32)
        x = np.arange(width, dtype=np.float32)
        y = np.arange(height, dtype=np.float32)[:, None]
        along = c * x + s * y
        if kind == 2:  # stripes
            pattern = 0.5 + 0.5 * np.sin(along)
        elif kind == 3:  # grain of wood
            pattern = 0.5 + 0.5 * np.sin(along + 9 * pattern)
        else:  # checks and dots
            lattice = np.sin(along) * np.sin(c * y - s * x)
            pattern = np.clip(9 * lattice + 0.5 if kind == 4 else 4 * lattice - 1, 0, 1)
    return pattern * np.float32(contrast)


def _lay(
    rng: np.random.Generator, canvas: Plane, pieces: list[Piece], reach: float, light: float
) -> None:
    """Put pieces of radius about `reach` pixels on the canvas: shadow, texture, relief and gloss.

    light: the direction it comes from, an angle in the plane of the picture.
    """
    bulge, gloss = rng.uniform(0.06, 0.2), max(0.0, rng.normal(0, 0.4))
    distance, dark = rng.uniform(0.02, 0.16) * reach, rng.uniform(0.1, 0.5)
    depth = rng.uniform(-0.5, 0.5)

    _, height, width = canvas.shape
    corners = np.concatenate([points for _, points, _ in pieces])
    margin = 0.3 * reach + 2
    x0, y0 = np.clip(corners.min(axis=0) - margin, 0, (width - 1, height - 1)).astype(int)
    x1, y1 = np.clip(corners.max(axis=0) + margin, (x0 + 1, y0 + 1), (width, height)).astype(int)
    mask, paint = _rasterize(pieces, x0, y0, x1 - x0, y1 - y0)
    soft = mask.filter(ImageFilter.BoxBlur(bulge * reach + 0.5))
    cover = np.asarray(mask, dtype=np.float32) * np.float32(1 / 255)
    relief = np.asarray(soft, dtype=np.float32) * np.float32(1 / 255)

    toward = np.array([np.cos(light), np.sin(light)])
    through = 1 - cover
    dx, dy = (round(float(step)) for step in -distance * toward)
    (to_y, from_y), (to_x, from_x) = _overlap(dy), _overlap(dx)
    through[to_y, to_x] *= 1 - np.float32(dark) * relief[from_y, from_x]

    slope = _slope(relief * np.float32(bulge * reach + 0.5), toward)
    texture = _texture(rng, y1 - y0, x1 - x0, 2 * reach)
    shade = 1 + np.float32(depth) * texture + np.float32(0.9) * slope
    window = canvas[:, y0:y1, x0:x1]
    window *= through
    paint *= shade * cover
    window += paint
    window += np.float32(gloss) * np.maximum(slope - np.float32(0.2), 0) * cover


def _overlap(shift: int) -> tuple[slice, slice]:
    """(where to, where from) along an axis when an array is moved and cut at its edges."""
    ahead, back = max(shift, 0), max(-shift, 0)
    return slice(ahead, -back or None), slice(back, -ahead or None)


def _rasterize(
    pieces: list[Piece], x0: int, y0: int, width: int, height: int
) -> tuple[Image.Image, Plane]:
    """(coverage, color (3, height, width)) in the window whose corner is (x0, y0)."""
    fine = (width * FINE, height * FINE)
    mask, color = Image.new("L", fine), Image.new("RGB", fine, _ink(pieces[0][2]))
    stencil, brush = ImageDraw.Draw(mask), ImageDraw.Draw(color)
    for mark, points, rgb in pieces:
        outline = ((points - (x0, y0)) * FINE).ravel().tolist()
        if mark != "*":
            stencil.polygon(outline, fill=255 if mark == "+" else 0)
        if mark != "-":
            brush.polygon(outline, fill=_ink(rgb))
    flat = np.asarray(color.reduce(FINE)).transpose(2, 0, 1)
    return mask.reduce(FINE), np.multiply(flat, np.float32(1 / 255), order="C")


def _ink(rgb: Plane) -> tuple[int, ...]:
    return tuple((rgb * 255).astype(int).tolist())


def _slope(relief: Plane, toward: NDArray[np.float64]) -> Plane:
    """Positive where the surface faces the light, negative where it turns away."""
    slope = np.zeros_like(relief)
    slope[:, 1:-1] -= np.float32(toward[0]) * (relief[:, 2:] - relief[:, :-2])
    slope[1:-1] -= np.float32(toward[1]) * (relief[2:] - relief[:-2])
    return slope


def _photograph(rng: np.random.Generator, canvas: Plane, short: int) -> NDArray[np.uint8]:
    """What the camera makes of it: uneven light, white balance, exposure, focus and grain."""
    _, height, width = canvas.shape
    tilt = rng.uniform(-0.35, 0.35, size=2).astype(np.float32)
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    dim, grain = np.float32(rng.uniform(0, 0.18)), np.float32(rng.uniform(0.004, 0.035))
    balance = (rng.uniform(0.8, 1.2) * rng.uniform(0.92, 1.08, size=3)).astype(np.float32)
    blur = max(0.0, rng.normal(0.1, 0.4)) * short / 96
    canvas *= (1 + tilt[0] * x + tilt[1] * y - dim * (x * x + y * y)) * 255
    canvas *= balance[:, None, None]
    canvas += rng.standard_normal((height, width), dtype=np.float32) * (grain * 255)
    np.clip(canvas, 0, 255, out=canvas)
    pixels = np.ascontiguousarray(canvas.astype(np.uint8).transpose(1, 2, 0))
    if blur < 0.3:
        return pixels
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(blur)))
