"""Two runs beside each other: `settings`, `scores`, `curves` and `overlay` find, `command` shows."""

from topfive.report.compare.command import main

__all__ = ["main"]
