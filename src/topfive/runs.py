"""A run: its identity, its directory, and where it resumes."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from topfive.problems import Problem

CHECKPOINT = "last.ckpt"
CONFIG = "config.yaml"
RESULT = "result.json"

# What a run is; everything else (devices, loader, logger, paths) only decides how it is carried out.
SUBJECTS = ("model", "recipe", "data", "seed", "trainer")
PATHS = {"root", "download"}
# Of the trainer, only what changes the result.
TRAINER = {"max_steps", "max_epochs", "precision"}


def subject(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that makes the run what it is."""
    kept = {name: config.get(name) for name in SUBJECTS}
    kept["data"] = {k: v for k, v in config["data"].items() if k not in PATHS}
    kept["trainer"] = {k: v for k, v in config["trainer"].items() if k in TRAINER}
    return {**kept, "ablation": config["choices"]["ablation"]}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"recipe": {"batch_size": 128}} to {"recipe.batch_size": 128}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def identity(config: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that two configurations share exactly if they describe the same run."""
    text = json.dumps(subject(config), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Run:
    """directory: where everything of this run lies; checkpoint: what it continues from, if anything."""

    directory: Path
    checkpoint: Path | None

    @property
    def result(self) -> Path:
        return self.directory / RESULT


def start(config: Mapping[str, Any], output: str) -> Run:
    """The run of `config`, in the folder `output` unless `resume` finds it elsewhere.

    resume: None starts anew; "auto" continues the newest unfinished run of the same identity beside
    `output`, or starts anew where there is none; else a run directory or a checkpoint file. The first
    process writes config.yaml. Raises Problem where a checkpoint is of another run.
    """
    resume, directory = config["resume"], Path(output)
    run = Run(directory, None)
    if resume == "auto":
        found = _unfinished(directory, identity(config))
        run = Run(found, found / CHECKPOINT) if found else run
    elif resume is not None:
        run = _named(Path(resume))
        _check_same(config, run)
    if int(os.environ.get("LOCAL_RANK", 0)) == 0 and int(os.environ.get("NODE_RANK", 0)) == 0:
        run.directory.mkdir(parents=True, exist_ok=True)
        (run.directory / CONFIG).write_text(yaml.safe_dump(dict(config), sort_keys=False))
        if run.directory != directory:
            remove_if_empty(directory)
    return run


def read_config(directory: Path) -> dict[str, Any] | None:
    """The resolved configuration of the run in `directory`, or None where there is none to be read."""
    try:
        config = yaml.safe_load((directory / CONFIG).read_text())
    except (OSError, yaml.YAMLError):
        return None
    return config if isinstance(config, dict) else None


def _unfinished(directory: Path, wanted: str) -> Path | None:
    """The newest sibling run that has this identity, a checkpoint and no result."""
    candidates = []
    for checkpoint in directory.parent.glob(f"*/{CHECKPOINT}"):
        folder = checkpoint.parent
        config = None if (folder / RESULT).exists() else read_config(folder)
        if config is not None and identity(config) == wanted:
            candidates.append((checkpoint.stat().st_mtime, folder))
    return max(candidates)[1] if candidates else None


def _named(path: Path) -> Run:
    checkpoint = path / CHECKPOINT if path.is_dir() else path
    if not checkpoint.exists():
        raise Problem(
            f"resume={path}: there is no checkpoint {checkpoint}. Name a run directory, a checkpoint file, or "
            f"resume=auto."
        )
    if (checkpoint.parent / RESULT).exists():
        raise Problem(
            f"resume={path}: that run is finished; its result is {checkpoint.parent / RESULT}."
        )
    return Run(checkpoint.parent, checkpoint)


def _check_same(config: Mapping[str, Any], run: Run) -> None:
    """Refuses to continue a run under another model, recipe, data or seed."""
    before = read_config(run.directory)
    if before is None:
        raise Problem(
            f"resume={run.checkpoint}: {run.directory / CONFIG} is missing or damaged, so nobody can say which run "
            f"this checkpoint is of. Resume from the run's own directory."
        )
    # Through JSON and back, so that tuples and lists compare alike.
    now, then = (flatten(json.loads(json.dumps(subject(c), default=str))) for c in (config, before))
    differing = [key for key in sorted(now.keys() | then.keys()) if now.get(key) != then.get(key)]
    if differing:
        shown = "; ".join(f"{k}: {then.get(k)!r} then, {now.get(k)!r} now" for k in differing[:4])
        more = f" and {len(differing) - 4} more" if len(differing) > 4 else ""
        raise Problem(
            f"resume={run.directory} is another run: {shown}{more}. Give the same model, recipe, data and seed as "
            f"then, or start anew without resume."
        )


def remove_if_empty(directory: Path) -> None:
    """Takes back the directory that Hydra made for a job that wrote nothing, and its empty parents."""
    for folder in (directory, *directory.parents[:2]):
        try:
            os.rmdir(folder)
        except OSError:
            return
