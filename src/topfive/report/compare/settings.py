"""What two runs were told otherwise: what decides their results, and apart from it what only carries them out."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from topfive.identity import flatten, subject
from topfive.inspect.table import Table
from topfive.problems import Problem
from topfive.report.compare.sides import Side
from topfive.results import Record

CHOICES = ("model", "recipe", "data", "protocol", "ablation")
ABSENT = "—"


def settings(first: Side, second: Side) -> list[Table]:
    """Two tables of what differs: the configurations in what decides a result, and all the rest.

    Raises Problem where a record does not hold its whole configuration.
    """
    sides = (first, second)
    configs = [_config(one) for one in sides]
    decisive = {key for config in configs for key in _decisive(config)}
    told = [_leaves(config) for config in configs]
    decides = [
        {key: value for key, value in leaves.items() if key in decisive} | _trained(one.record)
        for leaves, one in zip(told, sides, strict=True)
    ]
    carries = [
        {key: value for key, value in leaves.items() if key not in decisive} | _origin(one.record)
        for leaves, one in zip(told, sides, strict=True)
    ]
    return [
        _table("What decides the result", *decides),
        _table("How it was carried out: access, hardware, versions", *carries),
    ]


def _config(one: Side) -> dict[str, Any]:
    if one.record.members:
        raise Problem(
            f"{one.path} is an ensemble, which was told nothing of its own. Compare what it answered: "
            f"python -m topfive.predictions compare RUN {one.path}"
        )
    # A record leaves out where this machine keeps its files, which `subject` asks for.
    config = dict(one.record.config)
    missing = {"model", "recipe", "data", "trainer", "protocol", "choices"} - config.keys()
    if missing:
        raise Problem(
            f"{one.path}: its configuration lacks {', '.join(sorted(missing))}, so nobody can say what was run. "
            f"Name a record that train.py wrote."
        )
    data: Any = config["data"]
    return {**config, "data": {"root": None, **data}}


def _decisive(config: Mapping[str, Any]) -> Iterable[str]:
    """The keys of what makes a run what it is, of what was chosen in its groups, and of how it is tested."""
    chosen = {name: config["choices"].get(name) for name in CHOICES}
    return _leaves({"choices": chosen, **subject(config), "protocol": config["protocol"]})


def _leaves(tree: Mapping[str, Any]) -> dict[str, Any]:
    """As identity.flatten; a list of dictionaries, such as the transforms, by the number of each."""
    flat: dict[str, Any] = {}
    for key, value in flatten(tree).items():
        if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            flat |= _leaves({f"{key}[{n}]": one for n, one in enumerate(value)})
        else:
            flat[key] = value
    return flat


def _trained(record: Record) -> dict[str, Any]:
    """On what, and from which run on."""
    start = record.started_from or {}
    return _leaves({"trained_on": record.trained_on, "started_from": start.get("run")})


def _origin(record: Record) -> dict[str, Any]:
    speed = record.images_per_second
    told = {
        "git": record.git,
        "device": record.device,
        "world_size": record.world_size,
        "threads": record.threads,
        "versions": record.versions,
        "wall_seconds": round(record.wall_seconds),
        "images_per_second": None if speed is None else float(f"{speed:.4g}"),
    }
    return _leaves(told)


def _table(title: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Table:
    # null is what a key means that an older version did not have.
    keys = [key for key in dict.fromkeys([*first, *second]) if first.get(key) != second.get(key)]
    keys.sort(key=lambda key: not key.startswith("choices."))
    return Table(
        title=title,
        columns=("key", "first", "second"),
        rows=[(key, _text(first, key), _text(second, key)) for key in keys],
        notes=() if keys else ("No difference.",),
        words=frozenset({0, 1, 2}),
        folds=frozenset({1, 2}),
    )


def _text(tree: Mapping[str, Any], key: str) -> str:
    value = tree.get(key, ABSENT)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
