"""Uploads what runs logged offline."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from topfive.problems import Problem
from topfive.results import Record

SECONDS = 600  # without a network `wandb sync` tries for ever


def sync(records: Iterable[Record], entity: str, project: str) -> str:
    """Sends the offline logs of `records` to the project, and says how many; each is sent once.

    Raises Problem where some could not be sent.
    """
    waiting = [log for log in _logs(records) if not _sent(log)]
    if not waiting:
        return "No run has offline logs that wait to be sent."
    command = [sys.executable, "-m", "wandb", "sync", "--entity", entity, "--project", project]
    try:
        done = subprocess.run(
            [*command, *map(str, waiting)], capture_output=True, text=True, timeout=SECONDS
        )
        said = done.stderr
    except subprocess.TimeoutExpired:
        said = f"no end after {SECONDS} s"
    # Its exit code is 0 whatever happens.
    failed = [log for log in waiting if not _sent(log)]
    if failed:
        errors = [line for line in said.splitlines() if "ERROR" in line] or said.splitlines()[-1:]
        raise Problem(
            f"{len(failed)} of {len(waiting)} offline logs were not sent, {failed[0].parent} among "
            f"them: {''.join(errors[:1])} Repeat the command; what was sent is not sent again."
        )
    return f"Sent {len(waiting)} offline logs to {entity}/{project}."


def _logs(records: Iterable[Record]) -> list[Path]:
    folders = [record.path.parent for record in records if record.path]
    return sorted(log for folder in folders for log in folder.glob("wandb/offline-run-*/*.wandb"))


def _sent(log: Path) -> bool:
    return log.with_name(f"{log.name}.synced").exists()
