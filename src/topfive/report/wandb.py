"""`python -m topfive.report wandb=ENTITY/PROJECT`: the table and the curves as a report of Weights & Biases."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from wandb_workspaces.reports.v2.interface import Report

from topfive.problems import Problem
from topfive.report.contents import Contents, gather
from topfive.report.roots import usual
from topfive.report.wandb_blocks import Target, blocks
from topfive.report.wandb_offline import sync
from topfive.wandb_account import first_line, trouble

TITLE = "The ImageNet top-5 error table"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with one line of what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m topfive.report wandb",
        description="Saves the table, with the curves and a comparison of its runs, as a report of "
        "Weights & Biases, and prints its address.",
    )
    parser.add_argument("target", metavar="ENTITY/PROJECT", help="where the runs are logged")
    parser.add_argument(
        "roots",
        nargs="*",
        type=Path,
        help="folders of runs, or single records (default: outputs/ and results/ if they exist)",
    )
    parser.add_argument(
        "--sync", action="store_true", help="first upload what those runs logged offline"
    )
    asked = parser.parse_args(argv)
    try:
        _report(_target(asked.target), asked.roots, upload=asked.sync)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _target(text: str) -> Target:
    entity, slash, project = text.partition("/")
    if not (entity and slash and project) or "/" in project:
        raise Problem(
            f"wandb={text}: expected wandb=ENTITY/PROJECT, as in the address of the project."
        )
    return Target(entity, project)


def _report(target: Target, roots: Sequence[Path], upload: bool) -> None:
    contents = gather(roots or usual())
    _demand_account()
    if upload:
        print(sync(contents.records, *target))
    print(f"report: {_saved(target, contents)}")


def _demand_account() -> None:
    """Raises Problem where W&B would refuse, or let us wait."""
    import wandb

    mode = os.environ.get("WANDB_MODE", "online")
    if mode != "online":
        raise Problem(f"WANDB_MODE={mode}: a report is made online. Unset WANDB_MODE.")
    wandb.setup(wandb.Settings(silent=True))
    why = trouble()
    if why:
        raise Problem(f"W&B: {why}. Everything else of topfive.report works without an account.")


def _saved(target: Target, contents: Contents) -> str:
    """The address of the report."""
    report = Report(
        entity=target.entity,
        project=target.project,
        title=TITLE,
        width="fluid",
        blocks=blocks(target, contents),
    )
    try:
        report.save()
    except Exception as error:  # of whatever kind its client raises
        raise Problem(
            f"W&B did not take the report: {first_line(error)} Name a project that this key may "
            "write to; --sync makes one of runs that were logged offline."
        ) from error
    url: str = report.url
    return url
