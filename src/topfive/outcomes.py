"""What became of a job of a sweep that chooses: its record, or the note that it diverged."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from topfive import choice, results, whole_files
from topfive.problems import Problem
from topfive.runs import identity, take_back

DIVERGED = "diverged.json"


def already(config: Mapping[str, Any], output: str) -> bool:
    """Whether a job of a sweep that chooses was done before, beside `output`; then says so.

    Raises Problem where `selection` does not fit the run.
    """
    selection = choice.of(config)
    candidate = config["data"].get("candidate") and config["choices"]["sweep"]
    if not (selection or candidate):
        return False
    record, diverged = outcome(Path(output), identity(config), selection)
    done = record.path if record else diverged
    if done is None:
        return False
    print(f"done before: {os.path.relpath(done.parent)}; to do it again, delete that", flush=True)
    take_back(Path(output))
    return True


def outcome(
    directory: Path, which: str, selection: Mapping[str, Any] | None = None
) -> tuple[results.Record | None, Path | None]:
    """Of a run that lies in `directory` or beside it: its record, or the note that it diverged."""
    wanted = selection or {}
    for path in sorted(directory.parent.glob(f"*/{results.FILE_NAME}"), reverse=True):
        try:
            record = results.read(path)
        except Problem:
            continue
        if record.identity == which and record.selection == wanted:
            return record, None
    for path in sorted(directory.parent.glob(f"*/{DIVERGED}")):
        if not wanted and _identity_in(path) == which:
            return None, path
    return None, None


def _identity_in(path: Path) -> Any:
    try:
        return json.loads(path.read_text())["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_divergence(directory: Path, which: str, why: str) -> None:
    """Leaves DIVERGED in `directory`, so that the run of identity `which` is not tried again."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"identity": which, "why": why}) + "\n"
    whole_files.write(directory / DIVERGED, text.encode())
