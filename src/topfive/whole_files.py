"""Files that are either there and whole or not there: what makes an interrupted run resumable."""

import os
import shutil
from pathlib import Path
from typing import IO

SUFFIX = ".part"


def write(path: Path, content: bytes, synced: bool = False) -> None:
    """Write under a name that no reader looks for, then rename; a write that fails leaves nothing behind.

    synced: only once the content is on the disk, so that a power cut finds the old file or the new.
    """
    part = _part(path)
    try:
        with part.open("wb") as sink:
            sink.write(content)
            if synced:
                sink.flush()
                os.fsync(sink.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def copy(path: Path, source: IO[bytes]) -> None:
    """As `write`, from a stream; a copy that fails leaves nothing behind."""
    part = _part(path)
    try:
        with part.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def tidy(folder: Path) -> None:
    """Removes what killed processes left behind half-written; nobody else may be writing there."""
    for part in folder.rglob(f".*{SUFFIX}"):
        part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    # The process is in the name: two that write the same file do not disturb each other.
    return path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
