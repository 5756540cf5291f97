"""The numbers of the papers, from published.yaml: what a run may be set beside, and what not.

A number is set beside a run only where network, options, recipe, data, split and protocol agree.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

from topfive.problems import Problem
from topfive.results import Json, Record, Score

QUANTITIES = ("top1_error", "top5_error", "top1_error_change", "top5_error_change")
ROLES = ("target", "restated", "context")
PROTOCOLS = (
    "one_view", "one_crop", "one_crop_320", "ten_crop", "ten_crop_square", "crops144", "crops150",
    "dense", "dense_multiscale", "unstated",
)  # fmt: skip
_VALUE = re.compile(r"(?:(?P<bound>[<>]) )?(?P<number>[+-]?\d+(?:\.\d+)?)")
_STATISTIC = re.compile(r"single|(best|mean|median)( of \d+)?")


@dataclass(frozen=True)
class Paper:
    """A source of numbers."""

    key: str
    citation: str
    year: int


@dataclass(frozen=True)
class Network:
    """One of our models as its paper has it: the recipes that are the paper's, and the options."""

    name: str
    paper: Paper
    recipes: tuple[str, ...]
    options: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True)
class Published:
    """One printed number, in percent (`*_change`: in points), with what it was measured on and how.

    `options` differ from those of `home`, which is None for networks we do not build. `networks` is
    None where the source does not say how many were averaged.
    """

    network: str
    home: Network | None
    options: Mapping[str, Json]
    recipes: tuple[str, ...]
    data: str
    split: str
    protocol: str
    quantity: str
    value: str
    std: str | None = None
    statistic: str = "single"
    networks: int | None = 1
    role: str = "target"
    hidden_labels: bool = False
    cannot_run: str | None = None
    unverified: str | None = None
    note: str | None = None
    paper: Paper
    where: str

    @property
    def number(self) -> float:
        """The value without its printed form."""
        return float(_VALUE.fullmatch(self.value)["number"])  # type: ignore[index]

    @property
    def bound(self) -> str | None:
        """Where the source prints only a bound: `<` or `>`."""
        return _VALUE.fullmatch(self.value)["bound"]  # type: ignore[index]

    @property
    def verified(self) -> bool:
        """False where `unverified` says why the value is not certain."""
        return self.unverified is None

    @property
    def measured(self) -> tuple[str, ...]:
        """What this number is a measurement of; no two targets share it."""
        options = ",".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        how = (self.data, self.split, self.protocol, self.quantity, str(self.networks))
        return (self.network, options, ",".join(self.recipes), *how, self.statistic)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells this entry from every other one."""
        return (*self.measured, self.role, self.paper.key, self.where)


class Catalogue(NamedTuple):
    """All of published.yaml."""

    papers: dict[str, Paper]
    networks: dict[str, Network]
    entries: tuple[Published, ...]


def load() -> list[Published]:
    """Every published number, in the order of the file: paper by paper, table by table."""
    return list(_catalogue().entries)


def networks() -> dict[str, Network]:
    """Our models, by name, as their papers have them."""
    return dict(_catalogue().networks)


def matching(
    record: Record, score: Score, published: Sequence[Published] | None = None
) -> list[Published]:
    """The numbers that `score` may be set beside: of one such network, trained and tested so.

    Every option of the record must be the one published: none of them is a departure, so nothing
    else would tell. Departures are not looked at; what they leave of a number is for the report.
    """
    quantities = ["top1_error"] + ["top5_error"] * (score.top5_errors is not None)
    return [
        one
        for one in (load() if published is None else published)
        if one.role == "target" and one.cannot_run is None and one.networks == 1
        if one.quantity in quantities and one.network == record.model
        if (one.data, one.split, one.protocol) == (record.data, score.split, score.protocol)
        if record.recipe in one.recipes and _same_options(one, record.options)
    ]


def recipes(network: str) -> frozenset[str]:
    """The recipes under which some paper published a number of `network`: choosing one of them is
    no departure."""
    own = networks().get(network)
    targets = (one for one in load() if one.network == network and one.role == "target")
    return frozenset(own.recipes if own else ()).union(*(one.recipes for one in targets))


def _same_options(one: Published, options: Mapping[str, Json]) -> bool:
    own = one.home.options if one.home else {}
    given = {**own, **options}
    given.pop("num_classes", None)  # follows from the data
    return given == {**own, **one.options}


@cache
def _catalogue() -> Catalogue:
    return parse((files("topfive") / "published.yaml").read_text(encoding="utf-8"))


def parse(text: str) -> Catalogue:
    """published.yaml from its text; a Problem names the table and row that cannot be right."""
    try:
        content = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise Problem(f"published.yaml is not YAML: {error}") from error
    content = _known(content, {"papers", "networks", "tables"}, "published.yaml")
    papers: dict[str, Paper] = {}
    for key, head in content["papers"].items():
        papers[key] = Paper(key=key, **_known(head, {"citation", "year"}, f"paper {key}"))
    ours: dict[str, Network] = {}
    for name, head in content["networks"].items():
        head = _known(head, {"paper", "recipes", "options"}, f"network {name}")
        paper = _paper(papers, head["paper"], f"network {name}")
        ours[name] = Network(name, paper, tuple(head["recipes"]), head.get("options", {}))
    entries = tuple(
        entry
        for table in content["tables"]
        for row in table["rows"]
        for entry in _entries(table, row, papers, ours)
    )
    _refuse_twins(entries)
    return Catalogue(papers, ours, entries)


_KEYS = {field.name for field in fields(Published)} - {"home", "quantity", "value"}


def _entries(
    table: Mapping[str, Any],
    row: Mapping[str, Any],
    papers: Mapping[str, Paper],
    ours: Mapping[str, Network],
) -> list[Published]:
    place = f"published.yaml, {table.get('paper')} {row.get('where', table.get('where'))}, {row}"
    _known(table, _KEYS | {"rows"}, place)
    shared = {key: value for key, value in table.items() if key != "rows"}
    merged = shared | dict(_known(row, _KEYS | set(QUANTITIES), place))
    quantities = [key for key in merged if key in QUANTITIES]
    missing = {"network", "paper", "where", "data", "split", "protocol"} - set(merged)
    if missing or not quantities or ("std" in merged and len(quantities) > 1):
        raise Problem(
            f"{place}: expected {', '.join(sorted(missing)) or 'one quantity'}"
            f" (of {', '.join(QUANTITIES)}; a std belongs to one quantity only)."
        )
    facts = {key: value for key, value in merged.items() if key in _KEYS}
    home = ours.get(merged["network"])
    facts["home"] = home
    facts["paper"] = _paper(papers, merged["paper"], place)
    facts["recipes"] = tuple(merged.get("recipes", home.recipes if home else ()))
    facts["options"] = merged.get("options", {})
    return [_checked(Published(quantity=q, value=merged[q], **facts), place) for q in quantities]


def _checked(entry: Published, place: str) -> Published:
    for text in (entry.value, entry.std):
        if text is not None and not (isinstance(text, str) and _VALUE.fullmatch(text)):
            raise Problem(
                f'{place}: value {text!r}, expected a quoted number such as "6.10" or "< 0.1" '
                "(without quotes YAML drops the printed zeros)."
            )
    for found, known in ((entry.protocol, PROTOCOLS), (entry.role, ROLES)):
        if found not in known:
            raise Problem(f"{place}: {found!r} is unknown, expected one of {', '.join(known)}.")
    if not _STATISTIC.fullmatch(entry.statistic):
        raise Problem(f"{place}: statistic {entry.statistic!r}, expected e.g. single, best of 5.")
    if entry.home is None and entry.role != "context" and entry.cannot_run is None:
        raise Problem(
            f"{place}: {entry.network!r} is not under `networks`; add it there, or say role: "
            "context, or cannot_run and why."
        )
    unknown = set(entry.options) - set(entry.home.options if entry.home else ())
    if unknown:
        raise Problem(
            f"{place}: option {', '.join(sorted(unknown))} has no value for the paper's own "
            "network; give it under `networks`."
        )
    return entry


def _refuse_twins(entries: Sequence[Published]) -> None:
    keys: set[tuple[str, ...]] = set()
    targets: set[tuple[str, ...]] = set()
    for entry in entries:
        twin = entry.role == "target" and entry.measured in targets
        if entry.key in keys or twin:
            raise Problem(
                f"published.yaml has two values for {' '.join(filter(None, entry.measured))}; "
                "keep one, or mark the other role: restated."
            )
        keys.add(entry.key)
        if entry.role == "target":
            targets.add(entry.measured)


def _known(content: Any, known: set[str], place: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise Problem(f"{place}: found {content!r}, expected keys and values.")
    unknown = sorted(set(content) - known)
    if unknown:
        raise Problem(
            f"{place}: unknown key {', '.join(unknown)}, expected {', '.join(sorted(known))}."
        )
    return content


def _paper(papers: Mapping[str, Paper], key: str, place: str) -> Paper:
    if key not in papers:
        raise Problem(f"{place}: paper {key!r} is not cited under `papers`.")
    return papers[key]


class _Loader(yaml.SafeLoader):
    """YAML lets a repeated key silently win; here it would lose a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {', '.join(repeated)} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)
