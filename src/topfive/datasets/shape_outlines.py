"""The silhouettes of the `shapes` data set: one function per class, in the unit frame.

Each takes a random stream (the proportions of this one specimen) and returns its parts in drawing
order. x runs right and y down, both in about [-1, 1]. A part is `(ink, outline)`: ink `"+"` adds
the polygon to the silhouette, `"-"` cuts it out, `"*"` lies on top in the object's second color.
No function draws a color: colors must not depend on the class.
"""

from collections.abc import Callable

import numpy as np

from topfive.datasets.shape_polygons import Points, bar, box, lathe, oval, poly, smooth

Part = tuple[str, Points]
Outline = Callable[[np.random.Generator], list[Part]]


def _about(rng: np.random.Generator, value: float, spread: float = 0.25) -> float:
    return float(value * rng.uniform(1 - spread, 1 + spread))


def airplane(rng: np.random.Generator) -> list[Part]:
    w, sweep, body = _about(rng, 0.95, 0.1), _about(rng, 0.35, 0.6), _about(rng, 0.14)
    tail = _about(rng, 0.38)
    return [
        ("+", poly((0, -0.3), (w, sweep - 0.05), (w, sweep + 0.12), (0, 0.25),
                   (-w, sweep + 0.12), (-w, sweep - 0.05))),
        ("+", poly((0, 0.6), (tail, 0.82), (tail, 0.95), (0, 0.85), (-tail, 0.95), (-tail, 0.82))),
        ("+", oval(0, 0, body, 1.0)),
        ("*", oval(0, -0.72, body * 0.5, 0.1)),
    ]  # fmt: skip


def anchor(rng: np.random.Generator) -> list[Part]:
    reach, thick, stock = _about(rng, 0.75, 0.15), _about(rng, 0.17), _about(rng, 0.42)
    return [
        ("+", oval(0, 0.3, reach + 0.1, 0.65)),
        ("-", oval(0, 0.16, reach - 0.12, 0.58)),
        ("-", box(-1.2, -0.5, 1.2, 0.25)),
        ("+", poly((reach + 0.25, 0.38), (reach - 0.3, 0.32), (reach + 0.06, -0.02))),
        ("+", poly((-reach - 0.25, 0.38), (-reach + 0.3, 0.32), (-reach - 0.06, -0.02))),
        ("+", oval(0, -0.78, 0.22, 0.22)),
        ("-", oval(0, -0.78, 0.11, 0.11)),
        ("+", bar(0, -0.55, 0, 0.85, thick)),
        ("+", bar(-stock, -0.4, stock, -0.4, 0.15)),
    ]


def bell(rng: np.random.Generator) -> list[Part]:
    top, lip = _about(rng, 0.42), _about(rng, 0.85, 0.12)
    return [
        ("+", oval(0, -0.82, 0.16, 0.16)),
        ("+", oval(0, 0.74, 0.2, 0.2)),
        ("+", smooth((0, -0.75), (top, -0.5), (top + 0.1, 0.1), (lip, 0.68), (0.3, 0.72),
                     (-0.3, 0.72), (-lip, 0.68), (-top - 0.1, 0.1), (-top, -0.5))),
        ("*", box(-lip, 0.42, lip, 0.52)),
    ]  # fmt: skip


def bottle(rng: np.random.Generator) -> list[Part]:
    body, neck, shoulder = _about(rng, 0.38), _about(rng, 0.14), _about(rng, -0.3, 0.5)
    return [
        ("+", lathe((neck, -0.95), (neck, shoulder - 0.18), (body * 0.85, shoulder + 0.05),
                    (body, shoulder + 0.2), (body, 0.92), (body * 0.9, 0.98))),
        ("*", box(-neck - 0.05, -1.0, neck + 0.05, -0.84)),
        ("+", box(-neck - 0.05, -1.0, neck + 0.05, -0.84)),
        ("*", box(-body, 0.2, body, 0.62)),
    ]  # fmt: skip


def bulb(rng: np.random.Generator) -> list[Part]:
    glass, cap = _about(rng, 0.62, 0.15), _about(rng, 0.26, 0.15)
    return [
        ("+", oval(0, -0.36, glass, 0.62)),
        ("+", lathe((glass * 0.86, -0.05), (cap, 0.5), (cap, 0.85), (cap * 0.4, 0.98))),
        ("*", box(-cap, 0.46, cap, 0.56)),
        ("*", box(-cap, 0.63, cap, 0.71)),
        ("*", box(-cap, 0.78, cap, 1.0)),
    ]


def butterfly(rng: np.random.Generator) -> list[Part]:
    upper, lower, tilt = _about(rng, 0.5, 0.15), _about(rng, 0.36, 0.15), rng.uniform(0.3, 0.8)
    parts: list[Part] = []
    for side in (1, -1):
        parts.append(("+", oval(side * 0.48, -0.36, 0.6, upper * 0.85, -side * tilt)))
        parts.append(("+", oval(side * 0.36, 0.42, 0.46, lower, side * tilt)))
        parts.append(("*", oval(side * 0.55, -0.4, 0.2, 0.17)))
        parts.append(("+", bar(0, -0.4, side * 0.26, -0.98, 0.07)))
    return [*parts, ("+", oval(0, 0.05, 0.1, 0.62)), ("*", oval(0, 0.05, 0.08, 0.6))]


def cactus(rng: np.random.Generator) -> list[Part]:
    thick = _about(rng, 0.34, 0.2)
    left, right = rng.uniform(-0.15, 0.35, size=2)
    arm, reach = thick * 0.68, thick / 2 + _about(rng, 0.4, 0.15)
    return [
        ("+", bar(0, -0.78, 0, 0.8, thick)),
        ("+", box(-thick / 2, 0.4, thick / 2, 0.98)),
        ("+", bar(0, left, -reach, left, arm)),
        ("+", bar(-reach, left, -reach, left - 0.5, arm)),
        ("+", bar(0, right, reach, right, arm)),
        ("+", bar(reach, right, reach, right - 0.45, arm)),
        ("*", bar(0, -0.7, 0, 0.9, thick * 0.15)),
    ]


def crescent(rng: np.random.Generator) -> list[Part]:
    bite = rng.uniform(0.3, 0.5)
    return [("+", oval(0, 0, 0.92, 0.95)), ("-", oval(bite + 0.08, 0, 0.92 - bite * 0.55, 0.8))]


def fish(rng: np.random.Generator) -> list[Part]:
    deep, tail = _about(rng, 0.44), _about(rng, 0.5)
    return [
        ("+", poly((0.4, 0), (1.0, -tail), (0.84, 0), (1.0, tail))),
        ("+", smooth((-0.1, -deep * 0.7), (0.1, -deep - 0.28), (0.42, -deep * 0.55))),
        ("+", smooth((-0.98, 0.02), (-0.4, -deep), (0.3, -deep * 0.6), (0.6, 0),
                     (0.3, deep * 0.6), (-0.4, deep))),
        ("*", oval(-0.66, -0.1, 0.09, 0.09)),
        ("*", bar(-0.42, -deep * 0.6, -0.42, deep * 0.6, 0.06)),
    ]  # fmt: skip


def gear(rng: np.random.Generator) -> list[Part]:
    teeth, root = int(rng.integers(7, 12)), rng.uniform(0.68, 0.76)
    angle = np.repeat(np.arange(teeth) * 2 * np.pi / teeth, 4)
    angle = angle + np.tile(np.array([-0.3, -0.2, 0.2, 0.3]) * 2 * np.pi / teeth, teeth)
    radius = np.tile([root, 0.98, 0.98, root], teeth)
    rim = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    hole = _about(rng, 0.3)
    return [("+", rim), ("*", oval(0, 0, hole + 0.14, hole + 0.14)), ("-", oval(0, 0, hole, hole))]


def goblet(rng: np.random.Generator) -> list[Part]:
    rim, foot, cup = _about(rng, 0.52), _about(rng, 0.5), rng.uniform(-0.1, 0.15)
    return [
        ("+", smooth((-rim, -0.95), (rim, -0.95), (rim * 1.02, -0.5), (0.25, cup), (-0.25, cup),
                     (-rim * 1.02, -0.5))),
        ("+", bar(0, cup, 0, 0.9, _about(rng, 0.12))),
        ("+", oval(0, 0.9, foot, 0.09)),
        ("*", oval(0, -0.93, rim * 0.9, 0.08)),
    ]  # fmt: skip


def guitar(rng: np.random.Generator) -> list[Part]:
    hip, waist, neck = _about(rng, 0.5, 0.12), _about(rng, 0.24, 0.15), _about(rng, 0.12, 0.15)
    return [
        ("+", bar(0, -0.9, 0, 0.2, neck)),
        ("+", poly((-0.12, -1.0), (0.12, -1.0), (0.09, -0.74), (-0.09, -0.74))),
        ("+", smooth((0, -0.12), (hip * 0.75, 0.02), (waist, 0.33), (hip, 0.68), (0, 0.98),
                     (-hip, 0.68), (-waist, 0.33), (-hip * 0.75, 0.02))),
        ("*", oval(0, 0.3, 0.14, 0.14)),
        ("*", box(-0.16, 0.66, 0.16, 0.73)),
    ]  # fmt: skip


def hammer(rng: np.random.Generator) -> list[Part]:
    face, claw, grip = _about(rng, 0.45, 0.15), _about(rng, 0.6, 0.15), _about(rng, 0.17)
    return [
        ("+", bar(0, -0.6, 0, 0.9, grip)),
        ("*", bar(0, 0.3, 0, 0.9, grip)),
        ("+", poly((-0.16, -0.88), (face, -0.88), (face, -0.45), (0.16, -0.5), (-0.16, -0.5))),
        ("+", poly((-0.1, -0.9), (-0.1, -0.52), (-0.35, -0.5), (-claw - 0.15, -0.25),
                   (-claw, -0.6), (-0.35, -0.85))),
    ]  # fmt: skip


def heart(rng: np.random.Generator) -> list[Part]:
    dip, cheek = rng.uniform(-0.55, -0.3), _about(rng, 0.9, 0.1)
    right = [(0.28, -0.78), (0.68, -0.8), (cheek, -0.38), (0.68, 0.22), (0.28, 0.68)]
    left = [(-x, y) for x, y in reversed(right)]
    return [("+", smooth((0, dip), *right, (0, 0.95), *left))]


def house(rng: np.random.Generator) -> list[Part]:
    wall, eaves, ridge = _about(rng, 0.68, 0.1), rng.uniform(-0.25, 0.05), rng.uniform(-0.1, 0.1)
    return [
        ("+", box(0.3, -0.85, 0.52, 0.0)),
        ("+", box(-wall, eaves, wall, 0.9)),
        ("+", poly((-wall - 0.2, eaves), (ridge, -0.95), (wall + 0.2, eaves))),
        ("*", poly((-wall - 0.2, eaves), (ridge, -0.95), (wall + 0.2, eaves))),
        ("*", box(-0.15, 0.38, 0.17, 0.9)),
        ("*", box(-wall + 0.1, 0.3, -0.3, 0.58)),
        ("*", box(0.32, 0.3, wall - 0.1, 0.58)),
    ]


def key(rng: np.random.Generator) -> list[Part]:
    bow, shaft, bit = _about(rng, 0.38, 0.15), _about(rng, 0.14), _about(rng, 0.34)
    return [
        ("+", oval(-0.58, 0, bow, bow)),
        ("+", bar(-0.4, 0, 0.92, 0, shaft)),
        ("-", oval(-0.62, 0, bow * 0.5, bow * 0.5)),
        ("+", box(0.44, 0, 0.58, bit)),
        ("+", box(0.72, 0, 0.92, bit * rng.uniform(0.8, 1.3))),
    ]


def leaf(rng: np.random.Generator) -> list[Part]:
    wide, low = _about(rng, 0.52), rng.uniform(0.0, 0.3)
    veins: list[Part] = [
        ("*", bar(0, y + 0.2, s * wide * 0.6, y - 0.1, 0.045))
        for y in (-0.25, 0.05, 0.35)
        for s in (1, -1)
    ]
    return [
        ("+", smooth((0, -1.0), (wide * 0.65, -0.45), (wide, low), (0, 0.72), (-wide, low),
                     (-wide * 0.65, -0.45))),
        ("+", bar(0, 0.6, rng.uniform(-0.15, 0.15), 0.98, 0.09)),
        ("*", bar(0, -0.85, 0, 0.7, 0.06)),
        *veins,
    ]  # fmt: skip


def mug(rng: np.random.Generator) -> list[Part]:
    wide, tall, ear = _about(rng, 0.55, 0.12), _about(rng, 0.75, 0.15), _about(rng, 0.36, 0.15)
    return [
        ("+", oval(wide, 0.05, ear, tall * 0.62)),
        ("-", oval(wide, 0.05, ear - 0.16, tall * 0.62 - 0.18)),
        ("+", lathe((wide, -tall), (wide * 0.95, tall * 0.92), (wide * 0.7, tall))),
        ("+", oval(0, -tall, wide, 0.16)),
        ("*", oval(0, -tall, wide * 0.86, 0.11)),
    ]


def mushroom(rng: np.random.Generator) -> list[Part]:
    cap, stem, brim = _about(rng, 0.85, 0.12), _about(rng, 0.24), rng.uniform(-0.05, 0.15)
    spots: list[Part] = [
        ("*", oval(x * cap, y, 0.11, 0.08)) for x, y in ((-0.45, -0.3), (0.05, -0.6), (0.5, -0.25))
    ]
    return [
        ("+", lathe((stem * 0.8, brim - 0.1), (stem, 0.5), (stem * 1.3, 0.9), (stem, 0.97))),
        ("+", smooth((0, -0.95), (cap * 0.72, -0.6), (cap, brim), (0.3, brim + 0.08),
                     (-0.3, brim + 0.08), (-cap, brim), (-cap * 0.72, -0.6))),
        *spots,
    ]  # fmt: skip


def pawn(rng: np.random.Generator) -> list[Part]:
    head, base, collar = _about(rng, 0.34, 0.15), _about(rng, 0.56, 0.15), _about(rng, 0.34, 0.15)
    return [
        ("+", oval(0, -0.6, head, head)),
        ("+", lathe((0.17, -0.35), (0.15, 0.1), (0.36, 0.6), (base, 0.66), (base, 0.95))),
        ("+", oval(0, -0.26, collar, 0.09)),
        ("*", box(-base, 0.66, base, 0.72)),
    ]


def spectacles(rng: np.random.Generator) -> list[Part]:
    wide, tall, rim, gap = _about(rng, 0.4, 0.1), _about(rng, 0.34, 0.2), _about(rng, 0.1), 0.52
    return [
        ("+", oval(-gap, 0, wide + rim, tall + rim)),
        ("+", oval(gap, 0, wide + rim, tall + rim)),
        ("-", oval(-gap, 0, wide, tall)),
        ("-", oval(gap, 0, wide, tall)),
        ("+", bar(-0.1, -0.12, 0.1, -0.12, 0.12)),
        ("+", bar(-gap - wide, -0.15, -1.05, -0.4, 0.12)),
        ("+", bar(gap + wide, -0.15, 1.05, -0.4, 0.12)),
    ]


def star(rng: np.random.Generator) -> list[Part]:
    inner = rng.uniform(0.36, 0.48)
    angle = np.arange(10) * np.pi / 5 - np.pi / 2
    radius = np.tile([0.98, inner], 5)
    return [("+", np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))]


def tree(rng: np.random.Generator) -> list[Part]:
    tiers, skirt = int(rng.integers(3, 5)), _about(rng, 0.7, 0.15)
    parts: list[Part] = [("+", box(-0.11, 0.5, 0.11, 0.98)), ("*", box(-0.11, 0.5, 0.11, 0.98))]
    for tier in range(tiers):
        top, bottom = -1.0 + 1.1 * tier / tiers, -0.35 + 1.1 * (tier + 1) / tiers - 0.1
        wide = skirt * (0.5 + 0.5 * (tier + 1) / tiers)
        parts.append(("+", poly((0, top), (wide, bottom), (-wide, bottom))))
    return parts


def umbrella(rng: np.random.Generator) -> list[Part]:
    span, crown = _about(rng, 0.92, 0.1), _about(rng, 0.85, 0.12)
    scallops = [oval(x * span, 0.02, span * 0.26, 0.14) for x in (-0.74, -0.25, 0.25, 0.74)]
    return [
        ("+", oval(0, 0, span, crown)),
        ("-", box(-1.2, 0.0, 1.2, 1.2)),
        *(("-", scallop) for scallop in scallops),
        ("+", bar(0, -0.95, 0, 0.8, 0.1)),
        ("+", oval(0.16, 0.78, 0.21, 0.2)),
        ("-", oval(0.16, 0.76, 0.11, 0.11)),
        ("-", box(0.1, 0.4, 0.5, 0.74)),
        ("*", bar(0, -0.8, 0, -0.1, 0.05)),
    ]


CLASSES: tuple[Outline, ...] = (
    airplane, anchor, bell, bottle, bulb, butterfly, cactus, crescent, fish, gear, goblet, guitar,
    hammer, heart, house, key, leaf, mug, mushroom, pawn, spectacles, star, tree, umbrella,
)  # fmt: skip
