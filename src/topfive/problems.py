"""The one error that a user is meant to read."""


class Problem(Exception):
    """What was found, what was expected, and the command or key that mends it.

    Raised wherever the cause lies with the input (a path, a key, a file, a machine) rather than
    with the code; `train.py` and the command lines print it as one line, without a stack trace.
    """


class Diverged(Problem):
    """The numbers are no longer finite: for a candidate of a sweep an outcome, for any other run the end."""
