"""A Hydra callback that ends a multirun with the table of its runs.

In the configuration: `hydra.callbacks.table._target_: topfive.report.multirun.MultirunTable`.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class MultirunTable(Callback):
    """Prints the runs below `hydra.sweep.dir` that finished since the multirun started.

    A run that it resumed is among them; one that was finished before, and skipped, is not. Nor are the
    candidates of a sweep that chooses.
    """

    def __init__(self) -> None:
        self.started = datetime.now(UTC)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self.started = datetime.now(UTC)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from rich.console import Console

        from topfive.choice import is_candidate
        from topfive.published import load
        from topfive.report.table import render
        from topfive.results import find

        folder = Path(config.hydra.sweep.dir)
        if not folder.is_dir():
            return
        # Hydra imports this file for --help and every single run: nothing heavy at its top.
        since = self.started.replace(microsecond=0)  # a record may keep whole seconds only
        records = [
            one
            for one in find([folder])[0]
            if not is_candidate(one) and _moment(one.finished) >= since
        ]
        if records:
            render(records, load(), Console())


def _moment(text: str) -> datetime:
    """An ISO time; one without a zone is local time."""
    return datetime.fromisoformat(text).astimezone(UTC)
