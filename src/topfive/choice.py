"""What a sweep tried on the minival, and which of it was chosen for the reported run."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from topfive import whole_files
from topfive.problems import Problem
from topfive.results import Json, Record

MINIVAL = "minival"  # the part of train that candidates are tested on
RULE = "lowest top-1 error on the minival, mean over the seeds; of equals the first"


@dataclass(frozen=True)
class Candidate:
    """One value under every seed. top1_errors: per seed, over the minival; None where it diverged."""

    value: Json
    seeds: tuple[int, ...]
    top1_errors: tuple[int | None, ...]

    @property
    def mean(self) -> float | None:
        """Errors, averaged over the seeds; None where one of them diverged."""
        counted = [errors for errors in self.top1_errors if errors is not None]
        return fmean(counted) if len(counted) == len(self.top1_errors) else None


@dataclass(frozen=True)
class Choice:
    """Candidates in the order in which they were listed, each tested on `n` images of the minival.

    key: the swept one, as on the command line; group: `group` of the runs that it was made for.
    """

    key: str
    group: str
    protocol: str
    n: int
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> Candidate:
        """By RULE; raises Problem where every candidate diverged."""
        finished = [(one.mean, one) for one in self.candidates if one.mean is not None]
        if not finished:
            raise Problem(
                f"all {len(self.candidates)} candidates of {self.key} diverged: nothing is chosen. Sweep "
                f"others: {self.key}=VALUE,VALUE."
            )
        # min() keeps the first of equals.
        return min(finished, key=lambda pair: pair[0])[1]

    def content(self) -> dict[str, Json]:
        """As the file and the record of the chosen run hold it."""
        candidates: list[Json] = [
            {"value": one.value, "seeds": list(one.seeds), "top1_errors": list(one.top1_errors)}
            for one in self.candidates
        ]
        return {
            "key": self.key,
            "group": self.group,
            "rule": RULE,
            "split": MINIVAL,
            "protocol": self.protocol,
            "n": self.n,
            "candidates": candidates,
            "chosen": self.chosen.value,
        }


def is_candidate(record: Record) -> bool:
    """Whether this run was tested on images of train only, so that it is no result."""
    return all(score.split == MINIVAL for score in record.scores)


def group(config: Mapping[str, Any], key: str) -> str:
    """Twelve hexadecimal digits that runs share which differ in `key`, seed and being candidates only."""
    from topfive.identity import digest, subject

    common = copy.deepcopy(subject(config))
    del common["seed"]
    common["data"].pop("candidate", None)
    *parents, last = key.split(".")
    place = common
    for name in parents:
        place = place[name]
    place.pop(last, None)
    return digest([key, common])


def write(choice: Choice, path: Path) -> None:
    """Renamed into place once it is on the disk: whole or absent."""
    text = json.dumps(choice.content(), indent=1) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    whole_files.write(path, text.encode(), synced=True)


def of(config: Mapping[str, Any]) -> dict[str, Json]:
    """What was chosen for this run; empty where it names no `selection`.

    Raises Problem where the file cannot be read, or chose for another run or another value.
    """
    named = config.get("selection")
    if named is None:
        return {}
    try:
        content: dict[str, Any] = json.loads(Path(named).read_text(encoding="utf-8"))
        key, chosen, made_for = content["key"], content["chosen"], content["group"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Problem(
            f"selection={named} is no file of a sweep's choice ({type(error).__name__}): leave the key "
            f"out, or repeat the sweep, which writes the file."
        ) from error
    if made_for != group(config, key):
        raise Problem(
            f"selection={named} was chosen for another run than this one: repeat the sweep with these "
            f"arguments, or leave selection out."
        )
    if value_of(config, key) != chosen:
        raise Problem(
            f"selection={named} chose {key}={chosen}, not {value_of(config, key)}: give the chosen "
            f"value, or leave selection out."
        )
    return content


def value_of(config: Mapping[str, Any], key: str) -> Any:
    """What stands at a dotted key."""
    found: Any = config
    for name in key.split("."):
        found = found[name]
    return found
