"""A run: its directory, and where it resumes."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from topfive import whole_files
from topfive.checkpoint_files import newest_first, newest_whole
from topfive.identity import flatten, identity, subject
from topfive.problems import Problem

CHECKPOINT = "last.ckpt"
CONFIG = "config.yaml"
RESULT = "result.json"

# Values of the key `resume`; any other names a run.
AUTO, SWEEP, NEVER = "auto", "sweep", "never"
# By which torchrun, Lightning and SLURM tell a process that it is not the first.
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


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

    resume: None or "never" starts anew; "auto" and "sweep" continue the newest unfinished run of the same
    identity beside `output`, or start anew where there is none; else a run directory or a checkpoint
    file. Of a damaged checkpoint the one before takes the place. The first process writes config.yaml.
    Raises Problem where a checkpoint is of another run.
    """
    resume, directory = config["resume"], Path(output)
    run = Run(directory, None)
    if resume in (AUTO, SWEEP):
        run = _unfinished(directory, identity(config)) or run
    elif _names_a_run(resume):
        run = _named(Path(resume))
        _check_same(config, run)
    if first_process():
        whole_files.tidy(run.directory)
        _write_config(config, run.directory)
    if run.directory != directory:
        remove_empty(directory)
    return run


def home(config: Mapping[str, Any], output: str) -> Path:
    """The folder of the runs among which this one lies; raises Problem where `resume` names none."""
    resume = config["resume"]
    return (_directory(Path(resume)) if _names_a_run(resume) else Path(output)).parent


def first_process() -> bool:
    """Whether this is the one process of a run that decides and writes."""
    return not any(int(os.environ.get(name, 0)) for name in RANKS)


def _names_a_run(resume: str | None) -> bool:
    return resume not in (None, AUTO, SWEEP, NEVER)


def _write_config(config: Mapping[str, Any], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    # Renamed into place: a run that is resumed on a full disk keeps the file it had.
    text = yaml.safe_dump(dict(config), sort_keys=False)
    whole_files.write(directory / CONFIG, text.encode())


def read_config(directory: Path) -> dict[str, Any] | None:
    """The resolved configuration of the run in `directory`; None where none can be read."""
    try:
        config = yaml.safe_load((directory / CONFIG).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return config if isinstance(config, dict) and "choices" in config else None


def _unfinished(directory: Path, wanted: str) -> Run | None:
    """The newest sibling run that has this identity, a checkpoint and no result.

    Raises Problem where none of its checkpoints is whole.
    """
    folders = {file.parent for file in directory.parent.glob(f"*/{Path(CHECKPOINT).stem}*.ckpt")}
    for folder in sorted(folders, key=_written, reverse=True):
        if (folder / RESULT).exists():
            continue
        config = read_config(folder)
        if config is None:
            _say(f"{os.path.relpath(folder / CONFIG)} is missing or damaged: left aside")
        elif identity(config) == wanted:
            checkpoint = newest_whole(folder / CHECKPOINT, _say)
            if checkpoint is None:
                raise Problem(
                    f"no checkpoint of {os.path.relpath(folder)} is whole, and what it has learned is lost unless "
                    f"there is a copy. Delete that folder to start anew, or give resume=never."
                )
            return Run(folder, checkpoint)
    return None


def _written(folder: Path) -> float:
    return max(file.stat().st_mtime for file in newest_first(folder / CHECKPOINT))


def _say(line: str) -> None:
    if first_process():
        print(line, flush=True)


def checkpoint_of(path: Path) -> Path:
    """The checkpoint of a run that is named by its directory, or by the file itself."""
    return path / CHECKPOINT if path.is_dir() else path


def _named(path: Path) -> Run:
    checkpoint = checkpoint_of(path)
    if path.is_dir():
        checkpoint = newest_whole(checkpoint, _say) or checkpoint
    return Run(_directory(path), checkpoint)


def _directory(path: Path) -> Path:
    """Of the unfinished run that `path` names."""
    checkpoint = checkpoint_of(path)
    if not (newest_first(checkpoint) if path.is_dir() else checkpoint.exists()):
        raise Problem(
            f"resume={path}: there is no checkpoint {checkpoint}. Name a run directory, a checkpoint "
            f"file, or resume=auto."
        )
    if (checkpoint.parent / RESULT).exists():
        raise Problem(
            f"resume={path}: that run is finished; its result is {checkpoint.parent / RESULT}."
        )
    return checkpoint.parent


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
    """Removes what a run of this process that came to nothing leaves: a directory with nothing but CONFIG."""
    if os.path.isdir(directory) and os.listdir(directory) == [CONFIG]:
        (directory / CONFIG).unlink()
    remove_empty(directory)


def remove_empty(directory: Path) -> None:
    """Removes a directory, and its parents below the current one, as long as they are empty."""
    here = Path.cwd()
    for folder in (directory, *(parent for parent in directory.parents if here in parent.parents)):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return
