"""What a test has found so far, on disk: a test that was killed goes on from there, on any number of devices."""

import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from topfive.problems import Problem

SECONDS = 20.0  # of work that a kill may cost
BYTES = 2**28  # of answers that wait in memory


class Answers(NamedTuple):
    """Of m images under p protocols; what an unreadable image has is zero.

    images: int64 (m,), numbers in the split. readable: bool (m,). top5: int16 (m, p, k).
    probabilities: float16 (m, p, classes).
    """

    images: np.ndarray
    readable: np.ndarray
    top5: np.ndarray
    probabilities: np.ndarray


class Parts:
    """A folder of answers, one file after the other and for each process; `name` says of which test.

    Nothing of another test is read: a folder has the digest of all that decides the answers in its name.
    """

    def __init__(self, parent: Path, name: str):
        self.folder = parent / f".test-{name}"
        self.waiting: list[Answers] = []
        self.since = time.monotonic()

    def done(self) -> np.ndarray:
        """Numbers of the images that have their answers, int64 in rising order."""
        found = [part.images for part in self._read()]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)

    def add(self, answers: Answers) -> None:
        """Keeps answers in memory, and all of them on disk when it is time."""
        self.waiting.append(answers)
        size = sum(part.probabilities.nbytes for part in self.waiting)
        if size > BYTES or time.monotonic() - self.since > SECONDS:
            self.write()

    def write(self) -> None:
        """Everything that waits, in a file of its own; a Problem where the disk takes no more."""
        self.since = time.monotonic()
        if not self.waiting:
            return
        joined = Answers(*(np.concatenate(column) for column in zip(*self.waiting, strict=True)))
        name = f"{time.time_ns()}-{os.getpid()}"
        part = self.folder / f".{name}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez(file, allow_pickle=False, **joined._asdict())
            os.replace(part, self.folder / f"{name}.npz")
        except OSError as error:
            part.unlink(missing_ok=True)
            raise Problem(
                f"the answers could not be kept in {self.folder} ({error.strerror or error}): free some space and "
                f"repeat the command, which goes on from what is there."
            ) from error
        self.waiting = []

    def whole(self, count: int) -> Answers:
        """The answers to images 0 .. count - 1, each once; a Problem where some are missing."""
        parts = list(self._read())
        if not parts:
            raise Problem(f"nothing was tested: {self.folder} holds no answers.")
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        images, first = np.unique(columns[0], return_index=True)
        if not np.array_equal(images, np.arange(count)):
            raise Problem(
                f"{self.folder} holds answers to {len(images)} of {count} images. Do all processes write to the "
                f"same folder? Repeat the command, which goes on from what is there."
            )
        return Answers(*(column[first] for column in columns))

    def remove(self) -> None:
        """When all that was found is kept elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self) -> list[Answers]:
        found = []
        for path in sorted(self.folder.glob("*.npz")):
            try:
                with np.load(path, allow_pickle=False) as file:
                    found.append(Answers(*(file[name] for name in Answers._fields)))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                continue  # a power cut may leave a torn file: its images are tested again
        return found
