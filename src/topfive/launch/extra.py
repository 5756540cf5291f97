"""Libraries that only some launchers need."""

from importlib.util import find_spec

from topfive.problems import Problem


def demand(library: str, extra: str) -> None:
    """Raises Problem, with the command that installs it, where the library is not there."""
    if find_spec(library) is None:
        raise Problem(f"this launcher needs {library}: uv sync --extra {extra}")
