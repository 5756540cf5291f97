"""A run: its identity, its directory, and where it resumes."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from topfive.clock import UNITS
from topfive.problems import Problem
from topfive.rates import listens

CHECKPOINT = "last.ckpt"
CONFIG = "config.yaml"
RESULT = "result.json"

# What a run is; all else (devices, loader, logger, paths) only decides how it is carried out.
SUBJECTS = ("model", "recipe", "data", "seed", "trainer")
# Of the data, what does not change the result.
ACCESS = {"root", "download", "max_unreadable"}
# Of the trainer, only what changes the result; check_every does where a schedule listens.
TRAINER = {"max_steps", "max_epochs", "precision"}


def subject(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that makes the run what it is."""
    kept = {name: config.get(name) for name in SUBJECTS}
    # Older runs were made without the key `candidate`.
    skipped = ACCESS if config["data"].get("candidate") else ACCESS | {"candidate"}
    kept["data"] = {k: v for k, v in config["data"].items() if k not in skipped}
    # Among what the paper chose is not what this run does.
    kept["recipe"] = {k: v for k, v in config["recipe"].items() if k != "candidates"}
    decides = TRAINER | ({"check_every"} if listens(config["recipe"]) else set())
    kept["trainer"] = {k: v for k, v in config["trainer"].items() if k in decides}
    choices = config["choices"]
    # Only under data=folder is the path the data.
    folder = config["data"]["root"] if choices["data"] == "folder" else None
    return {**kept, "ablation": choices["ablation"], "folder": folder}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"recipe": {"batch_size": 128}} to {"recipe.batch_size": 128}; a length is one value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and not value.keys() <= set(UNITS):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def identity(config: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that two configurations share exactly if they describe the same run."""
    return digest(subject(config))


def digest(content: object) -> str:
    """Twelve hexadecimal digits of whatever JSON can say, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, default=str)
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
        _write_config(config, run.directory)
    if run.directory != directory:
        take_back(directory)
    return run


def _write_config(config: Mapping[str, Any], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    # Renamed into place: a run that is resumed on a full disk keeps the file it had.
    temporary = directory / f".{CONFIG}.part"
    temporary.write_text(yaml.safe_dump(dict(config), sort_keys=False))
    os.replace(temporary, directory / CONFIG)


def read_config(directory: Path) -> dict[str, Any] | None:
    """The resolved configuration of the run in `directory`; None where none can be read."""
    try:
        config = yaml.safe_load((directory / CONFIG).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return config if isinstance(config, dict) and "choices" in config else None


def _unfinished(directory: Path, wanted: str) -> Path | None:
    """The newest sibling run that has this identity, a checkpoint and no result."""
    candidates = []
    for checkpoint in directory.parent.glob(f"*/{CHECKPOINT}"):
        folder = checkpoint.parent
        config = None if (folder / RESULT).exists() else read_config(folder)
        if config is not None and identity(config) == wanted:
            candidates.append((checkpoint.stat().st_mtime, folder))
    return max(candidates)[1] if candidates else None


def checkpoint_of(path: Path) -> Path:
    """The checkpoint of a run that is named by its directory, or by the file itself."""
    return path / CHECKPOINT if path.is_dir() else path


def _named(path: Path) -> Run:
    checkpoint = checkpoint_of(path)
    if not checkpoint.exists():
        raise Problem(
            f"resume={path}: there is no checkpoint {checkpoint}. Name a run directory, a checkpoint "
            f"file, or resume=auto."
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
            f"resume={run.checkpoint}: {run.directory / CONFIG} is missing or damaged, so nobody can say "
            f"which run this checkpoint is of. Resume from the run's own directory."
        )
    # Through JSON and back, so that tuples and lists compare alike.
    now, then = (flatten(json.loads(json.dumps(subject(c), default=str))) for c in (config, before))
    differing = [key for key in sorted(now.keys() | then.keys()) if now.get(key) != then.get(key)]
    if differing:
        shown = "; ".join(f"{k}: {then.get(k)!r} then, {now.get(k)!r} now" for k in differing[:4])
        more = f" and {len(differing) - 4} more" if len(differing) > 4 else ""
        raise Problem(
            f"resume={run.directory} is another run: {shown}{more}. Give the same model, recipe, data and "
            f"seed as then, or start anew without resume."
        )


def take_back(directory: Path) -> None:
    """Removes what a job that came to nothing leaves: its directory, if nothing but CONFIG is in it.

    So do its parents go below the current directory, where they are empty then.
    """
    if os.path.isdir(directory) and os.listdir(directory) == [CONFIG]:
        (directory / CONFIG).unlink()
    here = Path.cwd()
    for folder in (directory, *(parent for parent in directory.parents if here in parent.parents)):
        try:
            os.rmdir(folder)
        except OSError:
            return
