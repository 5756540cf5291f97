"""The record of a run: one `result.json` per run directory, written once, read by every report.

Counts are kept, never rates: an interval needs the counts, and a rate follows from them.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from topfive import whole_files
from topfive.problems import Problem

SCHEMA = 1
FILE_NAME = "result.json"

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Score:
    """What one protocol counted on one split; `top5_errors` is None for 5 classes or fewer.

    `filter` is what resized the images, None where an older version tested.
    """

    protocol: str
    split: str
    n: int
    top1_errors: int
    top5_errors: int | None = None
    unreadable: int = 0
    filter: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A network of an ensemble, as its own record has it; `origin` names the checkpoint or the foreign weights."""

    model: str
    options: Mapping[str, Json]
    recipe: str
    identity: str
    seed: int
    origin: str
    started: str
    departures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished run. An empty `departures` means: as the paper says.

    `train` holds fractions of the last logging window; what is not finite is written as null.
    `members`: of an ensemble, whose seed is 0, whose model says how many of which, whose options are by model and
    whose departures are those of all; empty for a single network.
    `path` is where the record was read from; it is not written.
    """

    identity: str
    model: str
    options: Mapping[str, Json]
    recipe: str
    data: str
    ablation: str | None
    seed: int
    scores: tuple[Score, ...]
    departures: tuple[str, ...]
    trained_on: Mapping[str, Json]
    iterations: int
    epochs: float
    train: Mapping[str, float | None]
    config: Mapping[str, Json]
    command: str
    git: Mapping[str, Json]
    world_size: int
    device: str
    versions: Mapping[str, str | None]
    started: str
    finished: str
    wall_seconds: float
    images_per_second: float | None = None
    threads: int | None = None
    selection: Mapping[str, Json] = field(default_factory=dict)
    started_from: Mapping[str, Json] | None = None  # see predecessors.origin
    members: tuple[Member, ...] = ()
    path: Path | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that `find` left out, and why."""

    path: Path
    reason: str


_NUMBER = (int, float)
_TEXT_OR_NONE = (str, type(None))
_KINDS: dict[str, tuple[type, ...]] = {
    "identity": (str,), "model": (str,), "options": (dict,), "recipe": (str,), "data": (str,),
    "ablation": _TEXT_OR_NONE, "seed": (int,), "scores": (list,), "departures": (list,),
    "trained_on": (dict,), "iterations": (int,), "epochs": _NUMBER, "train": (dict,),
    "config": (dict,), "command": (str,), "git": (dict,), "world_size": (int,), "device": (str,),
    "versions": (dict,), "started": (str,), "finished": (str,), "wall_seconds": _NUMBER,
}  # fmt: skip
_OPTIONAL: dict[str, tuple[type, ...]] = {
    "images_per_second": (*_NUMBER, type(None)), "threads": (int, type(None)), "selection": (dict, type(None)),
    "started_from": (dict, type(None)), "members": (list, type(None)),
}  # fmt: skip
_MEMBER_KINDS = {
    name: _KINDS[name] for name in ("model", "options", "recipe", "identity", "seed", "started")
}
_MEMBER_KINDS |= {"origin": (str,), "departures": (list,)}
_SCORE_KINDS: dict[str, tuple[type, ...]] = {
    "protocol": (str,), "split": (str,), "n": (int,), "top1_errors": (int,),
    "top5_errors": (int, type(None)), "unreadable": (int,), "filter": _TEXT_OR_NONE,
}  # fmt: skip


def write(record: Record, path: Path) -> None:
    """Writes atomically: a reader, or a crash, finds either the old file or the whole new one."""
    content = {"schema": SCHEMA, **asdict(record)}
    del content["path"]
    text = json.dumps(_finite(content), indent=1, ensure_ascii=False, default=_plain) + "\n"
    _record(json.loads(text), path)  # what could not be read back must not replace what can
    whole_files.write(path, text.encode(), synced=True)


def read(path: Path) -> Record:
    """The record at `path`; a Problem if the file is missing, cut short, or something else."""
    return _record(_parsed(path), path)


def find(roots: Iterable[Path]) -> tuple[list[Record], list[Skipped]]:
    """Every record below `roots` (folders or single files), and what was left out with its reason.

    A file called result.json claims to be a record; any other *.json is one if it holds a
    "schema", and is none of ours otherwise. Links to folders and hidden folders are not entered.
    A run found twice (a committed copy) counts once, with the record that has more scores.
    """
    runs: dict[tuple[str, str], Record] = {}
    skipped: list[Skipped] = []
    paths = (path for root in roots for path in _json_files(root, skipped))
    for path in dict.fromkeys(paths):
        try:
            content = _parsed(path)
            if path.name != FILE_NAME and not (isinstance(content, dict) and "schema" in content):
                continue
            record = _record(content, path)
        except Problem as problem:
            skipped.append(Skipped(path, str(problem).removeprefix(str(path)).lstrip(": ")))
            continue
        run = (record.identity, record.started)
        other = runs.setdefault(run, record)
        if other is not record:
            if len(record.scores) > len(other.scores):
                runs[run] = record
                record, other = other, record
            skipped.append(Skipped(record.path or path, f"the same run as {other.path}"))
    return list(runs.values()), skipped


def _json_files(root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    if root.is_file():
        yield root.resolve()
        return
    if not root.is_dir():
        raise Problem(
            f"{root} is neither a folder nor a record. Name the folder that holds the runs "
            "(outputs/, as seen from the root of the repository) or a single result.json."
        )
    folders = [root.resolve()]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                listing = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            skipped.append(Skipped(folder, f"cannot be opened: {error.strerror or error}"))
            continue
        for entry in listing:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif entry.name.endswith(".json") and entry.is_file():
                yield Path(entry.path)


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise Problem(
            f"{path} is not whole JSON ({error}); a record is written in one piece, so it was cut "
            "or edited. Delete it and repeat the run."
        ) from error


def _record(content: Any, path: Path) -> Record:
    if not isinstance(content, dict) or "schema" not in content:
        raise Problem(f'{path} is not the record of a run: it has no "schema".')
    if content["schema"] != SCHEMA:
        raise Problem(
            f"{path} has schema {content['schema']!r}, this version of topfive reads {SCHEMA}: "
            "read it with the version that wrote it, or repeat the run."
        )
    _check(content, _KINDS, path)
    optional = {key: content.get(key) for key in _OPTIONAL}
    _check(optional, _OPTIONAL, path)
    scores = tuple(_score(score, path) for score in content["scores"])
    given = {key: value for key, value in optional.items() if value is not None}
    fields = {key: content[key] for key in _KINDS} | given
    fields["members"] = tuple(_member(one, path) for one in given.get("members", ()))
    departures = tuple(str(departure) for departure in content["departures"])
    return Record(**fields | {"scores": scores, "departures": departures, "path": path})


def _member(content: Any, path: Path) -> Member:
    if not isinstance(content, dict):
        raise Problem(f"{path}: a member is {content!r}, expected an object that describes a run.")
    _check(content, _MEMBER_KINDS, path, " in a member")
    departures = tuple(str(departure) for departure in content["departures"])
    return Member(**{key: content[key] for key in _MEMBER_KINDS} | {"departures": departures})


def _score(content: Any, path: Path) -> Score:
    if not isinstance(content, dict):
        raise Problem(f"{path}: a score is {content!r}, expected an object with counts.")
    content = {"top5_errors": None, "unreadable": 0, "filter": None} | content
    _check(content, _SCORE_KINDS, path, " in a score")
    score = Score(**{key: content[key] for key in _SCORE_KINDS})
    top5 = 0 if score.top5_errors is None else score.top5_errors
    if not (0 <= top5 <= score.top1_errors <= score.n and score.n > 0 and score.unreadable >= 0):
        raise Problem(f"{path}: impossible counts in {score}; expected 0 <= top5 <= top1 <= n > 0.")
    return score


def _check(
    content: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]], path: Path, where: str = ""
) -> None:
    for key, kind in kinds.items():
        if key not in content:
            raise Problem(f"{path} is only part of a record: {key!r} is missing{where}.")
        value = content[key]
        if not isinstance(value, kind) or isinstance(value, bool):  # True is an int to Python
            names = " or ".join("null" if one is type(None) else one.__name__ for one in kind)
            raise Problem(f"{path}: {key!r}{where} is {value!r}, expected {names}.")


def _finite(value: Any) -> Any:
    """JSON has no NaN, and the record of a run that diverged must still be readable."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """NumPy and torch scalars by their value, everything else (paths, dates) by its text."""
    return _finite(value.item()) if hasattr(value, "item") else str(value)
