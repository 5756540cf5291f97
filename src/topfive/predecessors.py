"""The run that a run starts from: the one that its recipe wants, and what follows from the one it got.

A recipe that starts from a trained network says under `starts_from` which: `model` (null: the same one),
`recipes` that it may have been trained under, and the recipe that needs none, under `instead`, or null.
`initialization.checkpoint` names the run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from topfive import results
from topfive.config import compose
from topfive.problems import Problem
from topfive.runs import CHECKPOINT, RESULT, checkpoint_of

KEY = "recipe.initialization.checkpoint"


def demand(config: Mapping[str, Any]) -> None:
    """Raises Problem, with the command that makes the run, where the start of a recipe is not there."""
    start = config["recipe"]["initialization"]
    if start is None or "checkpoint" not in start:
        return
    given = start["checkpoint"]
    if given is not None and checkpoint_of(Path(given)).exists():
        return
    missing = "" if given is None else f"{KEY}={given}: there is no {checkpoint_of(Path(given))}. "
    wanted = config["recipe"].get("starts_from")
    if wanted is None:
        raise Problem(f"{missing}The first weights are those of a run: name it in {KEY}.")
    model, under = _wanted(config)
    own = compose([f"model={model}"])["choices"]["recipe"]
    recipe = own if own in under else under[0]
    command = f"python train.py model={model}" + ("" if recipe == own else f" recipe={recipe}")
    instead = f" Or start without it: recipe={wanted['instead']}." if wanted["instead"] else ""
    raise Problem(
        f"{missing}This recipe starts from a trained {model}. Train it first: {command}. Then give its run, as "
        f"seen from where you stand: {KEY}=outputs/{model}/{recipe}/TIME.{instead}"
    )


def departures(config: Mapping[str, Any]) -> list[str]:
    """What departs from the paper in the start of a run; each line begins with "start: "."""
    start = _start(config)
    if start is None:
        return []
    record = _record(start)
    if record is None:
        return [f"start: {named(start)} has no record, so how it was trained is not known"]
    listed = []
    if config["recipe"].get("starts_from"):
        model, under = _wanted(config)
        if record.model != model or record.recipe not in under:
            paper = f"model={model} recipe={' or '.join(under)}"
            listed.append(f"model={record.model} recipe={record.recipe} (paper: {paper})")
    if record.model == config["choices"]["model"]:
        # Of one network, but perhaps with other options, such as dropout, that leave the weights' shapes alone.
        for key, value in record.options.items():
            if value != config["model"].get(key):
                listed.append(f"model.{key}={value} (here: {config['model'].get(key)})")
    return [f"start: {line}" for line in (*listed, *record.departures)]


def origin(config: Mapping[str, Any]) -> dict[str, results.Json] | None:
    """The run that the weights started from, as a record keeps it; None where they were drawn."""
    start = _start(config)
    if start is None:
        return None
    record = _record(start)
    if record is None:
        return {"run": named(start), "identity": None, "git": None}
    return {"run": named(start), "identity": record.identity, "git": record.git}


def named(path: Path) -> str:
    """Of the path of a run, what train.py called it: MODEL/RECIPE/TIME."""
    folder = _folder(path).absolute()
    return "/".join(folder.relative_to(folder.anchor).parts[-3:])


def _wanted(config: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The network and the recipes that `starts_from` asks for."""
    wanted = config["recipe"]["starts_from"]
    return wanted["model"] or config["choices"]["model"], wanted["recipes"]


def _start(config: Mapping[str, Any]) -> Path | None:
    start = config["recipe"]["initialization"]
    given = None if start is None else start.get("checkpoint")
    return None if given is None else Path(given)


def _folder(path: Path) -> Path:
    """Of a run that is named by its checkpoint, the directory; it may be gone."""
    return path.parent if path.suffix == Path(CHECKPOINT).suffix else path


def _record(path: Path) -> results.Record | None:
    try:
        return results.read(_folder(path) / RESULT)
    except Problem:
        return None
