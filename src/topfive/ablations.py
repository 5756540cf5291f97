"""The papers' ablations, one file each: conf/ablation/NAME.yaml lists its sides as overrides.

    common: [model=alexnet]           # overrides of every side; none where the command line names the model
    sides:                            # the first is the one that the others are set beside
      with: []
      without: [model.lrn=false]
    expected:                         # points of error against the first side, as printed
      without: {top1_error: "+1.4", top5_error: "+1.2", where: section 3.3}

A side is what `ablation=NAME/SIDE` chooses: it overrules model and recipe, the command line overrules
it. A value that is a dictionary replaces what stood in its place, of which no key stays behind. Keys of
`expected` are side names; beside the errors and `where`: unverified and note, as in topfive.published.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from topfive.problems import Problem

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "ablation"
ERRORS = ("top1_error", "top5_error")
_KEYS = {"common", "sides", "expected"}
_PRINTED = re.compile(r"([<>] )?[+-]\d+(\.\d+)?")


@dataclass(frozen=True)
class Expected:
    """What a paper prints of one side against the first, in points: +1.4, or a bound, > +13.39."""

    where: str
    top1_error: str | None = None
    top5_error: str | None = None
    unverified: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Ablation:
    """The overrides of every side, in the order of the file, and what the paper prints of them."""

    name: str
    common: tuple[str, ...]
    sides: Mapping[str, tuple[str, ...]]
    expected: Mapping[str, Expected]

    @property
    def first(self) -> str:
        return next(iter(self.sides))

    @property
    def varied(self) -> frozenset[str]:
        """The keys in which its sides differ."""
        return frozenset(key for side in self.sides.values() for key, _ in map(_assigned, side))


def names() -> list[str]:
    """The names that `ablation=NAME` takes."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


@cache
def load(name: str) -> Ablation:
    """The ablation of that name; a Problem where there is none, or its file is no ablation."""
    file = FOLDER / f"{name}.yaml"
    if not file.is_file():
        raise Problem(f"there is no ablation={name}. Ablations: {', '.join(names())}")
    return parse(name, file.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Ablation:
    """The ablation that `text` describes; a Problem where it describes none."""
    content = yaml.safe_load(text)
    place = f"conf/ablation/{name}.yaml"
    if not isinstance(content, dict) or not content.keys() <= _KEYS or "sides" not in content:
        raise Problem(f"{place} has keys of its own, expected: {', '.join(sorted(_KEYS))}.")
    sides = {str(side): tuple(overrides) for side, overrides in content["sides"].items()}
    if len(sides) < 2:
        raise Problem(f"{place}: one side shows nothing; `sides` takes two or more.")
    common, expected = tuple(content.get("common", ())), content.get("expected", {})
    for override in (*common, *(one for side in sides.values() for one in side)):
        _assigned(override, place)
    for side, facts in expected.items():
        values = [facts[error] for error in ERRORS if error in facts]
        if side not in list(sides)[1:] or "where" not in facts or not values:
            raise Problem(
                f"{place}: `expected` has {side!r}: {facts}; expected a side that is not the first, "
                f"where it is printed, and {' or '.join(ERRORS)}."
            )
        if not all(isinstance(value, str) and _PRINTED.fullmatch(value) for value in values):
            raise Problem(f'{place}: {values}, expected quoted points with a sign, such as "+1.4".')
    made = {side: Expected(**facts) for side, facts in expected.items()}
    return Ablation(name, common, sides, made)


def sides(name: str) -> list[str]:
    """The sides of ablation `name` as `ablation=` takes them; itself where it is one side already."""
    whole, slash, side = name.partition("/")
    ablation = load(whole)
    if slash and side not in ablation.sides:
        raise Problem(f"ablation={whole} has no side {side!r}: {', '.join(ablation.sides)}")
    return [name] if slash else [f"{whole}/{side}" for side in ablation.sides]


def register(overrides: Iterable[str]) -> None:
    """Makes known to Hydra every ablation that `overrides` name.

    Raises Problem where one names an ablation that there is not, or a whole one.
    """
    for override in overrides:
        for name in named(override):
            if sides(name) != [name]:
                raise Problem(f"ablation={name} is not one side: {', '.join(sides(name))}")
            _store(name.partition("/")[0])


def named(override: str) -> list[str]:
    """The ablations and sides that one argument of a command line chooses."""
    key, _, value = override.partition("=")
    return value.split(",") if key.strip("+") == "ablation" and value not in ("", "null") else []


@cache
def _store(name: str) -> None:
    ablation, store = load(name), ConfigStore.instance()
    for side, overrides in ablation.sides.items():
        choices: dict[str, str] = {}
        values: dict[str, Any] = {}
        emptied: dict[str, Any] = {}
        for key, value in map(_assigned, (*ablation.common, *overrides)):
            if "." not in key and key != "seed":
                choices[key] = value
                continue
            _put(values, key, value)
            if isinstance(value, dict):
                _put(emptied, key, None)
        defaults: list[Any] = ["_self_", *({f"override /{g}": v} for g, v in choices.items())]
        if emptied:  # merged first: a dictionary that is merged over another keeps its keys
            cleared = f"{side}__emptied"
            store.store(cleared, emptied, group=f"ablation/{name}", package="_global_")
            defaults.insert(0, f"{name}/{cleared}")
        node = {"defaults": defaults, **values}
        store.store(side, node, group=f"ablation/{name}", package="_global_")


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = value


def _assigned(override: str, place: str = "") -> tuple[str, Any]:
    """Key and value of one override of a side."""
    try:
        parsed = OverridesParser.create().parse_override(str(override))
    except HydraException as error:
        raise Problem(f"{place}: {override!r} is no override: {error}") from error
    if parsed.is_sweep_override() or parsed.is_delete():
        raise Problem(f"{place}: {override!r}: a side takes KEY=VALUE, no several values and no ~.")
    return parsed.key_or_group, parsed.value()
