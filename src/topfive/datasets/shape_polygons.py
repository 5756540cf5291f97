"""Polygons of (n, 2) corners, x right and y down: what the silhouettes of `shapes` are made of."""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_HALF = np.linspace(-np.pi / 2, np.pi / 2, 7)


def poly(*points: tuple[float, float]) -> Points:
    return np.array(points, dtype=np.float64)


def box(x0: float, y0: float, x1: float, y1: float) -> Points:
    return poly((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def oval(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Points:
    u, v = rx * np.cos(_TURN), ry * np.sin(_TURN)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([x + u * c - v * s, y + u * s + v * c], axis=1)


def bar(x0: float, y0: float, x1: float, y1: float, width: float) -> Points:
    """A line of this width with round ends."""
    along = np.arctan2(y1 - y0, x1 - x0)
    end, start = along + _HALF, along + np.pi + _HALF
    x = np.concatenate([x1 + width / 2 * np.cos(end), x0 + width / 2 * np.cos(start)])
    y = np.concatenate([y1 + width / 2 * np.sin(end), y0 + width / 2 * np.sin(start)])
    return np.stack([x, y], axis=1)


def smooth(*points: tuple[float, float]) -> Points:
    """The closed Catmull-Rom curve through these points."""
    p1 = poly(*points)
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    t = np.linspace(0, 1, 5, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = p0[:, None], p1[:, None], p2[:, None], p3[:, None]
    curve = p1 + t / 2 * (
        p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
    )
    return curve.reshape(-1, 2)


def lathe(*profile: tuple[float, float]) -> Points:
    """A right-hand profile of (half width, y) from top to bottom, mirrored about the axis."""
    right = poly(*profile)
    return np.concatenate([right, right[::-1] * (-1, 1)])
