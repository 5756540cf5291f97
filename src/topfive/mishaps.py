"""What befalls a run from outside, told as a Problem: a full disk, a killed worker, a lost rank."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from topfive.problems import Problem

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# torch's words; a worker that raised an exception says "Caught ..." and hands that on.
WORKER = re.compile(r"DataLoader worker \(pid.*")
# Gloo's and NCCL's words for a process that does not answer any more.
RANK = re.compile(
    r"Connection closed by peer|Connection reset by peer|Connection refused|Broken pipe|Timed out waiting"
    r"|NCCL communicator was aborted|remote process exited"
)
GO_ON = "continue with resume=auto; the last checkpoint is whole."


@contextmanager
def mishaps() -> Iterator[None]:
    """Raises a Problem in place of what a mishap makes torch or Python raise."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        problem = told(error)
        if problem is None:
            raise
        raise problem from error


def told(error: BaseException | None) -> Problem | None:
    """The mishap that `error`, or what it was raised for, comes from; None where it is none."""
    while error is not None:
        problem = _disk(error) or _worker(error) or _rank(error)
        if problem is not None:
            return problem
        error = error.__cause__ or error.__context__
    return None


def _disk(error: BaseException) -> Problem | None:
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    where = f" at {error.filename}" if error.filename else ""
    return Problem(f"the disk takes no more{where} ({error.strerror}): free some space and {GO_ON}")


def _worker(error: BaseException) -> Problem | None:
    found = WORKER.search(str(error)) if isinstance(error, RuntimeError) else None
    return found and Problem(
        f"a worker process of the loader was killed ({found[0]}). Where the machine is short of memory, give "
        f"fewer loader.workers; {GO_ON}"
    )


def _rank(error: BaseException) -> Problem | None:
    found = RANK.search(str(error)) if isinstance(error, RuntimeError) else None
    return found and Problem(
        f"a process that trains with this one was lost ({found[0]}): see what it said; {GO_ON}"
    )
