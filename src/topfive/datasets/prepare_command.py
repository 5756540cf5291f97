"""How every data/<set>/prepare.py ends: a problem in one line, an interruption with what goes on from it."""

import sys
from collections.abc import Callable

from topfive.problems import Problem


def status_of(work: Callable[[], None]) -> int:
    """Does the work; the status that the command exits with."""
    try:
        work()
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: the same command goes on where this stopped.", file=sys.stderr)
        return 130
    return 0
