"""One process a run: a lock beside the runs, named after the run's identity, that dies with its process."""

import errno
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

# Lustre mounted without flock, NFS without its lock service.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
# Whoever only asks holds the lock for an instant.
PATIENCE = 1.0  # seconds


class Lock:
    """Held by this process, unless the file system knows no locks: then the note is all there is."""

    def __init__(self, file: Path):
        self.file = file

    def sign(self, directory: Path) -> None:
        """Says in the file where the run lies and who trains it."""
        note = {"directory": str(directory), "host": socket.gethostname(), "pid": os.getpid()}
        # Not renamed into place: the lock is on this very file.
        self.file.write_text(json.dumps(note) + "\n")


def file(home: Path, which: str) -> Path:
    """The lock of the run of identity `which` among the runs in the folder `home`."""
    return home / f".{which}.lock"


@contextmanager
def held(home: Path, which: str) -> Iterator[Lock | None]:
    """The lock, as long as the context; None where another process holds it."""
    place = file(home, which)
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(place)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        yield None
        return
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        print(f"{home} takes no locks ({error.strerror}): keep other processes away", flush=True)
    try:
        yield Lock(place)
    finally:
        # Whoever has opened it meanwhile finds that it has no name any more, and tries again.
        with suppress(OSError):
            place.unlink()
        lock.release()


def holder(home: Path, which: str) -> Mapping[str, Any] | None:
    """What the process that holds the lock has signed; None where none does."""
    place = file(home, which)
    if not place.exists():
        return None
    lock = _lock(place)
    try:
        with lock.acquire(timeout=0):
            return None
    except Timeout:
        return signed(home, which)
    except OSError:  # as where there are no locks, or the file is another user's
        return None


def _lock(place: Path) -> FileLock:
    # The soft lock that filelock falls back to would outlive a killed process.
    return FileLock(place, fallback_to_soft=False)


def signed(home: Path, which: str) -> Mapping[str, Any]:
    """What the last holder of the lock has signed: directory, host, pid; empty where that cannot be read."""
    try:
        note = json.loads(file(home, which).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
