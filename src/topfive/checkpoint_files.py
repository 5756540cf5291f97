"""The checkpoints that lie in a run's directory: the newest, those before it, and whether they are whole."""

import os
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path


def before(newest: Path, rank: int) -> Path:
    """Where the checkpoint lies that was written `rank` saves ahead of `newest`; rank 0 is itself."""
    return newest.with_name(f"{newest.stem}-{rank}{newest.suffix}") if rank else newest


def move_up(newest: Path, kept: int) -> None:
    """Makes room for a newer one: of all that are there, the `kept` newest stay, each a rank further back."""
    for file in newest_first(newest)[kept:]:
        file.unlink()
    for rank in reversed(range(kept)):
        if before(newest, rank).exists():
            os.replace(before(newest, rank), before(newest, rank + 1))


def newest_first(newest: Path) -> list[Path]:
    """Those that are there."""
    several = sorted(newest.parent.glob(f"{newest.stem}-[0-9]*{newest.suffix}"), key=_rank)
    return [newest, *several] if newest.exists() else several


def newest_whole(newest: Path, say: Callable[[str], None]) -> Path | None:
    """`newest`, or where that is damaged the one before it, and so on; None where none is whole.

    say: told of each that is damaged.
    """
    for file in newest_first(newest):
        wrong = damage(file)
        if wrong is None:
            return file
        say(
            f"the checkpoint {os.path.relpath(file)} is damaged ({wrong}): looking for the one before it"
        )
    return None


def _rank(file: Path) -> int:
    return int(file.stem.rpartition("-")[2])


def damage(file: Path) -> str | None:
    """What is wrong with the bytes of a checkpoint; None where each record has the CRC-32 it was written with.

    torch.save writes zip's checksums; torch.load does not look at them, and a flipped bit becomes a weight.
    A file is read once, as long as nobody writes it.
    """
    about = file.stat()
    return _damage(file, about.st_mtime_ns, about.st_size)


@cache
def _damage(file: Path, changed: int, size: int) -> str | None:
    try:
        with zipfile.ZipFile(file) as records:
            broken = records.testzip()
    except Exception as error:  # whatever a flipped bit makes zipfile stumble over
        return f"{type(error).__name__}: {error}"
    return None if broken is None else f"the checksum of {broken} differs"
