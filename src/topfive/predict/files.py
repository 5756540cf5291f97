"""The image files that a command line names."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from topfive.datasets.folders import ENDINGS
from topfive.problems import Problem


def found(names: Sequence[str]) -> list[Path]:
    """Every image of every name, each once: a file, a folder with all below it, or a glob.

    A file that is named itself may have any ending; of folders and globs, only images (ENDINGS) that
    are not hidden count. Raises Problem for a name without an image.
    """
    files: dict[Path, None] = {}
    for name in names:
        here = _of(name)
        if not here:
            raise Problem(
                f"{name}: no image is there. Name image files, folders that hold some ({', '.join(ENDINGS)}), "
                f"or a glob in quotes, as in 'photographs/**/*.jpg'."
            )
        files |= dict.fromkeys(here)
    return list(files)


def _of(name: str) -> list[Path]:
    path = Path(name)
    if path.is_file():
        return [path]
    below = _below(path) if path.is_dir() else map(Path, glob.glob(name, recursive=True))
    return sorted(file for file in below if file.name.lower().endswith(ENDINGS) and file.is_file())


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files if not name.startswith("."))
