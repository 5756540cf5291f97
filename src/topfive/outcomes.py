"""What became of a job: the record of its run, a note that it failed, or the lock of who trains it now."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from topfive import choice, locks, results, whole_files
from topfive.identity import identity
from topfive.problems import Diverged, Problem
from topfive.runs import take_back

FAILED = "failed.json"

State = Literal["open", "done", "running", "failed"]


@dataclass(frozen=True)
class Outcome:
    """where: the directory of the run, None where it is open or not known. why: it failed, or who runs it.

    when: it ended, an ISO time; empty where it did not.
    """

    state: State
    where: Path | None = None
    why: str = ""
    when: str = ""

    def calls_for_work(self, retry: bool) -> bool:
        """Whether there is something to do; `retry`: also where it failed."""
        return self.state == "open" or (self.state == "failed" and retry)

    @property
    def line(self) -> str:
        """Why it is left alone where it is."""
        where = "a place unknown" if self.where is None else os.path.relpath(self.where)
        if self.state == "done":
            return f"done before: {where}; to do it again, delete that"
        if self.state == "running":
            return f"running elsewhere: {where}, {self.why}; it is left to that"
        return f"failed before: {where}: {self.why.rstrip('.')}; retry=true tries it again"


@dataclass(frozen=True)
class Failure:
    """The note that a job leaves that failed. diverged: its numbers were no longer finite."""

    directory: Path
    why: str
    when: str
    diverged: bool


def state(config: Mapping[str, Any], output: Path) -> Outcome:
    """What became of the job of `config` that would run in `output`: of it, or of its like beside.

    Raises Problem where `selection` does not fit the run.
    """
    over = ended(config, output)
    if over.state == "done":
        return over
    signed = locks.holder(output.parent, identity(config))
    return over if signed is None else running(signed)


def ended(config: Mapping[str, Any], output: Path) -> Outcome:
    """The same, whoever trains it now. A candidate that diverged is done."""
    which = identity(config)
    record = recorded(output, which, choice.of(config))
    if record is not None and record.path is not None:
        return Outcome("done", record.path.parent, when=record.finished)
    failure = failed(output, which)
    if failure is None:
        return Outcome("open")
    tested = failure.diverged and config["data"].get("candidate")
    return Outcome("done" if tested else "failed", failure.directory, failure.why, failure.when)


def running(signed: Mapping[str, Any]) -> Outcome:
    """Of what the process that trains it has signed."""
    where = Path(signed["directory"]) if "directory" in signed else None
    return Outcome(
        "running", where, f"process {signed.get('pid', '?')} on {signed.get('host', '?')}"
    )


def recorded(
    output: Path, which: str, selection: Mapping[str, Any] | None = None
) -> results.Record | None:
    """The newest record of the run of identity `which`, chosen by `selection`, in `output` or beside it."""
    for path in sorted(output.parent.glob(f"*/{results.FILE_NAME}"), reverse=True):
        try:
            record = results.read(path)
        except Problem:
            continue
        if record.identity == which and record.selection == (selection or {}):
            return record
    return None


def failed(output: Path, which: str) -> Failure | None:
    """The newest note that the run of identity `which` failed, in `output` or beside it."""
    for path in sorted(output.parent.glob(f"*/{FAILED}"), reverse=True):
        note = _note(path)
        if note.get("identity") == which:
            why, when = str(note.get("why")), str(note.get("when"))
            return Failure(path.parent, why, when, bool(note.get("diverged")))
    return None


def note_failure(directory: Path, which: str, error: BaseException) -> None:
    """Leaves FAILED in `directory`, so that the run of identity `which` is not tried again unasked."""
    directory.mkdir(parents=True, exist_ok=True)
    note = {
        "identity": which,
        "why": str(error) if isinstance(error, Problem) else f"{type(error).__name__}: {error}",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "diverged": isinstance(error, Diverged),
    }
    whole_files.write(directory / FAILED, (json.dumps(note) + "\n").encode())


def forget_failures(output: Path, which: str) -> None:
    """Takes back the notes that the run of identity `which` failed, and folders that hold nothing else."""
    while (failure := failed(output, which)) is not None:
        (failure.directory / FAILED).unlink()
        take_back(failure.directory)


def _note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
