"""`shapes`: photographs in miniature of 24 kinds of objects, drawn by a program.

They are kept as ImageNet is: root/{train,val}/<class>/<number>.jpg. Nothing is downloaded, any
number can be drawn at any size, and every picture is a function of (seed, split, class, number)
alone: a set with more images of a class begins with those of a smaller one.
"""

import json
import math
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from topfive import whole_files
from topfive.datasets import folders, jpeg_files
from topfive.datasets.images import Dataset
from topfive.datasets.progress import bar
from topfive.datasets.shape_outlines import CLASSES
from topfive.datasets.shape_scene import draw
from topfive.problems import Problem

__all__ = ["CLASS_NAMES", "Settings", "draw", "load", "write"]

CLASS_NAMES = tuple(outline.__name__ for outline in CLASSES)
DRAWING = 1  # raise it whenever the same (seed, index) comes to show another picture
MANIFEST, UNFINISHED = "shapes.json", "shapes.unfinished.json"
QUALITY = 90
ASPECT = 4 / 3
FEW = 256  # so few pictures are drawn before a pool of processes has started


@dataclass(frozen=True)
class Settings:
    """All that decides what a folder of shapes holds. size: pixels of the shorter side."""

    train_per_class: int = 100
    val_per_class: int = 20
    size: int = 96
    seed: int = 0
    classes: int = 20
    drawing: int = DRAWING


@dataclass(frozen=True)
class _Picture:
    path: str
    seed: int
    index: int
    label: int
    size: int


def write(
    root: str | Path,
    train_per_class: int = 100,
    val_per_class: int = 20,
    size: int = 96,
    seed: int = 0,
    classes: int = 20,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Draw what is missing of the set under `root` and return `root`.

    Sides are between `size` and 4/3 of it, aspects between 3:4 and 4:3. `shapes.json` is written
    last, so its presence says that the set is whole. workers: processes, by default one per core.
    Raises Problem where `root` holds anything else, or shapes drawn with other settings.
    """
    folder = Path(root)
    settings = Settings(train_per_class, val_per_class, size, seed, classes)
    _validate(settings)
    finished = _claim(folder, settings)
    todo = list(_missing(folder, settings, trust=finished))
    _draw_all(todo, workers or _cores(), progress)
    if not finished:
        whole_files.write(folder / MANIFEST, _manifest(settings))
        (folder / UNFINISHED).unlink(missing_ok=True)
    return folder


def load(
    root: str,
    train_per_class: int = 100,
    val_per_class: int = 20,
    size: int = 96,
    seed: int = 0,
    classes: int = 20,
) -> Dataset:
    """The pictures under `root`, drawn first if need be; arguments and errors are `write`'s."""
    write(root, train_per_class, val_per_class, size, seed, classes)
    return folders.load(root, classes)


def picture_size(seed: int, index: int, size: int) -> tuple[int, int]:
    """(height, width) of a picture: the shorter side is `size`, the aspect is drawn."""
    key = np.array([seed, index], dtype=np.uint64)
    stream = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, 2]))
    aspect = math.exp(stream.uniform(-math.log(ASPECT), math.log(ASPECT)))
    return (size, round(size * aspect)) if aspect >= 1 else (round(size / aspect), size)


def _validate(settings: Settings) -> None:
    if not 2 <= settings.classes <= len(CLASSES):
        raise Problem(f"shapes has 2 to {len(CLASSES)} classes, {settings.classes} were asked for.")
    least = {"train_per_class": 1, "val_per_class": 1, "size": 16, "seed": 0}
    for name, bound in least.items():
        if getattr(settings, name) < bound:
            raise Problem(f"shapes: {name}={getattr(settings, name)}, at least {bound} is needed.")


def _claim(folder: Path, settings: Settings) -> bool:
    """Whether the folder is marked as whole; marks it as begun if it is new."""
    for name in (MANIFEST, UNFINISHED):
        if (folder / name).is_file():
            found = json.loads((folder / name).read_text())["settings"]
            _compare(folder, found, asdict(settings))
            return name == MANIFEST
    if any((folder / split).exists() for split in ("train", "val")):
        raise Problem(
            f"{folder} holds train or val but neither {MANIFEST} nor {UNFINISHED}: no shapes. "
            "Name another folder: --root FOLDER (data.root=FOLDER in a run)."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        whole_files.write(folder / UNFINISHED, _manifest(settings))
    except OSError as error:
        raise Problem(
            f"shapes cannot be written to {folder} ({error.strerror}). Name another folder: "
            "--root FOLDER (data.root=FOLDER in a run)."
        ) from error
    return False


def _compare(folder: Path, found: dict[str, int], asked: dict[str, int]) -> None:
    unlike = [name for name in asked if found.get(name) != asked[name]]
    if unlike:
        have = ", ".join(f"{name}={found.get(name)}" for name in unlike)
        want = ", ".join(f"{name}={asked[name]}" for name in unlike)
        raise Problem(
            f"{folder} holds shapes drawn with {have}; asked for were {want}. Name another folder "
            f"(--root FOLDER, or data.root=FOLDER in a run), or remove this one: rm -r {folder}"
        )


def _manifest(settings: Settings) -> bytes:
    record = {
        "settings": asdict(settings),
        "class_names": CLASS_NAMES[: settings.classes],
        "train": settings.train_per_class * settings.classes,
        "val": settings.val_per_class * settings.classes,
    }
    return (json.dumps(record, indent=2) + "\n").encode()


def _missing(folder: Path, settings: Settings, trust: bool) -> Iterator[_Picture]:
    """The pictures that are not there, or, where the set was never finished, not whole."""
    counts = (settings.train_per_class, settings.val_per_class)
    for split, (name, count) in enumerate(zip(("train", "val"), counts, strict=True)):
        for label, class_name in enumerate(CLASS_NAMES[: settings.classes]):
            home = folder / name / class_name
            home.mkdir(parents=True, exist_ok=True)
            there = {entry.name for entry in os.scandir(home)}
            for number in range(count):
                file = f"{number:07d}.jpg"
                if file in there and (trust or jpeg_files.examine(home / file)[1] == "JPEG"):
                    continue
                index = split << 60 | number << 12 | label
                yield _Picture(str(home / file), settings.seed, index, label, settings.size)


def _draw_all(todo: list[_Picture], workers: int, show: bool) -> None:
    if not todo:
        return
    with _finished(todo, workers) as done, bar(show) as shown:
        task = shown.add_task("Drawing shapes", total=len(todo))
        for _ in done:
            shown.advance(task)


@contextmanager
def _finished(todo: list[_Picture], workers: int) -> Iterator[Iterable[None]]:
    if workers == 1 or len(todo) <= FEW:
        yield map(_save, todo)
        return
    # Forked as torch's loaders are: other ways to start would import the caller's script again.
    context = get_context("fork" if sys.platform == "linux" else None)
    pool = ProcessPoolExecutor(workers, context, initializer=_ignore_interrupts)
    try:
        yield pool.map(_save, todo, chunksize=16)
    finally:
        # After ^C the pictures in hand are completed, the others left for the next run.
        pool.shutdown(cancel_futures=True)


def _save(picture: _Picture) -> None:
    size = picture_size(picture.seed, picture.index, picture.size)
    pixels = draw(picture.seed, picture.index, picture.label, size)
    encoded = BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=QUALITY)
    whole_files.write(Path(picture.path), encoded.getvalue())


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
