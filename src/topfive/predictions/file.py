"""What a network answered to every image of a split, kept in a file: predictions-PROTOCOL-SPLIT.npz."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive import whole_files
from topfive.predictions.consistency import check
from topfive.problems import Problem
from topfive.results import Json, Score

_ARRAYS = ("labels", "readable", "top5", "probabilities")
_TEXTS = ("images", "classes")
_DAMAGE = (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a network answered to every image of a split under one protocol.

    images: what to call each: its file below the split's folder (n01440764/ILSVRC2012_val_00000293.JPEG), or
    "7" for image 7 of a set in memory. labels: int64 (n,), the image's class among `classes`. readable: bool
    (n,), False where the file could not be decoded; such an image counts as wrong. top5: int16
    (n, min(5, classes)), the classes of the largest probabilities, largest first, taken before they are rounded.
    probabilities: float16 (n, classes), all zero where the image is unreadable. classes: the names of the
    columns. about: what was tested and how; it has `split` and `protocol`, and should have `data`, and `model`,
    `identity`, `seed` and `origin`, by which networks are told apart.
    """

    images: Sequence[str]
    labels: NDArray[np.int64]
    readable: NDArray[np.bool_]
    top5: NDArray[np.int16]
    probabilities: NDArray[np.float16]
    classes: Sequence[str]
    about: Mapping[str, Json]

    def errors(self, k: int) -> NDArray[np.bool_]:
        """bool (n,): whether the label is not among the `k` best, or the image is unreadable.

        A ValueError where `k` is not in 1..5.
        """
        if not 1 <= k <= 5:
            raise ValueError(f"errors among the {k} best: a file keeps the five best")
        found: NDArray[np.bool_] = (self.top5[:, :k] == self.labels[:, None]).any(axis=1)
        return ~(found & self.readable)

    def score(self) -> Score:
        """The counts, as a record keeps them; no top-5 errors for 5 classes or fewer."""
        resized = self.about.get("filter")
        return Score(
            filter=None if resized is None else str(resized),
            protocol=str(self.about["protocol"]),
            split=str(self.about["split"]),
            n=len(self.labels),
            top1_errors=int(self.errors(1).sum()),
            top5_errors=int(self.errors(5).sum()) if len(self.classes) > 5 else None,
            unreadable=int((~self.readable).sum()),
        )


def file_name(protocol: str, split: str) -> str:
    """What a test's file is called in its run's directory."""
    return f"predictions-{protocol}-{split}.npz"


def write(predictions: Predictions, path: Path) -> None:
    """Writes atomically and compressed; a Problem, and no file, where they contradict themselves or it cannot."""
    check(predictions, path)  # what could not be read back must not replace what can
    arrays = {name: getattr(predictions, name) for name in _ARRAYS}
    texts = {name: np.array(list(getattr(predictions, name)), np.str_) for name in _TEXTS}
    packed = io.BytesIO()
    about = np.array(json.dumps(dict(predictions.about), ensure_ascii=False))
    np.savez_compressed(packed, allow_pickle=False, about=about, **arrays, **texts)
    packed.seek(0)
    try:
        whole_files.copy(path, packed)
    except OSError as error:
        raise Problem(
            f"{path} cannot be written: {error.strerror or error}. Name a file in a folder that is there, or "
            f"free some space."
        ) from error


def read(path: Path) -> Predictions:
    """The predictions at `path`; a Problem if the file is missing, cut short, foreign or contradicts itself."""
    try:
        with path.open("rb") as stream:  # np.load leaves a file open that it cannot read
            predictions = _unpacked(np.load(stream, allow_pickle=False), path)
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror or error}.") from error
    except _DAMAGE as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Problem(
            f"{path} is not a whole file of predictions ({said}); it is written in one piece, so it was cut, "
            f"or is something else. Repeat the test: python -m topfive.evaluate."
        ) from error
    check(predictions, path)
    return predictions


def _unpacked(file: Any, path: Path) -> Predictions:
    found = set(file.files) if isinstance(file, np.lib.npyio.NpzFile) else set()
    missing = sorted({*_ARRAYS, *_TEXTS, "about"} - found)
    if missing:
        raise Problem(
            f"{path} is no file of predictions: it lacks {', '.join(missing)}. Name one that "
            f"python -m topfive.evaluate wrote."
        )
    arrays = {name: file[name] for name in _ARRAYS}
    texts = {name: file[name].tolist() for name in _TEXTS}
    return Predictions(about=json.loads(str(file["about"])), **arrays, **texts)
