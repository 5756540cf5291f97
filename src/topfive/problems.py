"""The one error that a user is meant to read."""

import sys
from collections.abc import Callable


class Problem(Exception):
    """What was found, what was expected, and the command or key that mends it.

    Raised wherever the cause lies with the input (a path, a key, a file, a machine) rather than
    with the code; `train.py` and the command lines print it as one line, without a stack trace.
    """


class Diverged(Problem):
    """The numbers are no longer finite: for a candidate of a sweep an outcome, for any other run the end."""


def problem_in(error: BaseException | None) -> Problem | None:
    """The Problem that Hydra wraps where a class that it calls raises one."""
    while error is not None and not isinstance(error, Problem):
        error = error.__cause__
    return error


def exit_code(command: str, answer: Callable[[], int | None]) -> int:
    """How a command line ends: 0; 1 where `answer` gives another number or raises a Problem, told in one line."""
    try:
        return 1 if answer() else 0
    except Problem as problem:
        print(f"{command}: {problem}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # | head
        sys.stderr.close()
        return 0
