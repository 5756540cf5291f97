"""The papers' files read into one catalogue; a Problem names the file and row that cannot be right."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

import yaml

from topfive.problems import Problem
from topfive.published.conf_files import SafeLoader
from topfive.published.entries import (
    PROTOCOLS,
    QUANTITIES,
    ROLES,
    SIZES,
    Network,
    Paper,
    Published,
    Size,
)
from topfive.published.printed import COUNT, RATE, STATISTIC

Facts = Mapping[str, Any]
One = TypeVar("One", Paper, Network)

_ENTRY_KEYS = {field.name for field in fields(Published)} - {"home", "quantity", "value"}
_SIZE_KEYS = {field.name for field in fields(Size)} - {"quantity", "value"}


class Catalogue(NamedTuple):
    """All that the papers say, oldest paper first, each in the order of its file."""

    papers: dict[str, Paper]
    networks: dict[str, Network]
    entries: tuple[Published, ...]
    sizes: tuple[Size, ...]


def load() -> list[Published]:
    """Every published error rate: paper by paper, oldest first, table by table."""
    return list(_catalogue().entries)


def networks() -> dict[str, Network]:
    """Our models, by name, as their papers have them."""
    return dict(_catalogue().networks)


def sizes() -> list[Size]:
    """Every published size of a network of ours, in the same order."""
    return list(_catalogue().sizes)


@cache
def _catalogue() -> Catalogue:
    found = [file for file in files("topfive.published").iterdir() if file.name.endswith(".yaml")]
    return parse({file.name: file.read_text(encoding="utf-8") for file in found})


def parse(texts: Mapping[str, str]) -> Catalogue:
    """The catalogue of some files, given by name and text."""
    contents = {name: _content(name, text) for name, text in sorted(texts.items())}
    papers = _all_papers(contents)
    ours = _all_networks(contents, papers)
    entries: dict[tuple[str, ...], Published] = {}
    found: dict[tuple[str, ...], Size] = {}
    targets: dict[tuple[str, ...], str] = {}
    for file in sorted(contents, key=lambda file: _year(contents[file])):
        for row, place in _rows(contents[file].get("tables", []), _ENTRY_KEYS, QUANTITIES, file):
            for entry in _entries(row, place, papers, ours):
                twin = targets.get(entry.measured) if entry.role == "target" else None
                if entry.key in entries or twin:
                    raise Problem(
                        f"{place}: a second value for {' '.join(filter(None, entry.measured))}; the"
                        f" first is in {twin or file}. Keep one, or mark the other role: restated."
                    )
                entries[entry.key] = entry
                if entry.role == "target":
                    targets[entry.measured] = file
        for row, place in _rows(contents[file].get("sizes", []), _SIZE_KEYS, SIZES, file):
            for size in _sizes(row, place, papers, ours):
                if size.key in found:
                    raise Problem(f"{place}: a second value for {' '.join(size.key)}; keep one.")
                found[size.key] = size
    return Catalogue(papers, ours, tuple(entries.values()), tuple(found.values()))


def _all_papers(contents: Mapping[str, Facts]) -> dict[str, Paper]:
    papers: dict[str, Paper] = {}
    for file, content in contents.items():
        for key, head in content["papers"].items():
            place = f"{file}, paper {key}"
            head = _known(head, {"citation", "year"}, place)
            _need({"citation"}, head, place)
            _add(papers, key, Paper(key=key, **head), file)
    return papers


def _all_networks(contents: Mapping[str, Facts], papers: Mapping[str, Paper]) -> dict[str, Network]:
    ours: dict[str, Network] = {}
    for file, content in contents.items():
        for name, head in content.get("networks", {}).items():
            place = f"{file}, network {name}"
            head = _known(head, {"paper", "recipes"}, place)
            _need({"paper", "recipes"}, head, place)
            paper = _paper(papers, head["paper"], place)
            if paper.year is None:
                raise Problem(f"{place}: paper {paper.key!r} has no year; tables are in its order.")
            _add(ours, name, Network(name, paper, tuple(head["recipes"])), file)
    return ours


def _content(file: str, text: str) -> Facts:
    try:
        content = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise Problem(f"{file} is not YAML: {error}") from error
    content = _known(content, {"papers", "networks", "tables", "sizes"}, file)
    if not content.get("papers"):
        raise Problem(f"{file}: no `papers`, expected the sources of its numbers.")
    return content


def _year(content: Facts) -> int:
    years = [paper["year"] for paper in content["papers"].values() if "year" in paper]
    return min(years, default=9999)


def _add(known: dict[str, One], key: str, one: One, file: str) -> None:
    if key in known:
        raise Problem(f"{file}: {key!r} stands in another file too; keep one.")
    known[key] = one


def _rows(
    blocks: list[Facts], keys: set[str], quantities: tuple[str, ...], file: str
) -> Iterator[tuple[Facts, str]]:
    """Every row with what its block says of all of them, and where it stands."""
    for block in blocks:
        _known(block, keys | {"rows"}, f"{file}, {block}")
        shared = {key: value for key, value in block.items() if key != "rows"}
        for row in block["rows"]:
            place = f"{file}, {block.get('paper')} {block.get('where')}, {row}"
            merged = shared | dict(_known(row, keys | set(quantities), place))
            if not any(quantity in merged for quantity in quantities):
                raise Problem(f"{place}: expected one quantity (of {', '.join(quantities)}).")
            yield merged, place


def _entries(
    row: Facts, place: str, papers: Mapping[str, Paper], ours: Mapping[str, Network]
) -> list[Published]:
    _need({"network", "paper", "where", "data", "split", "protocol"}, row, place)
    facts = {key: value for key, value in row.items() if key in _ENTRY_KEYS}
    home = ours.get(row["network"])
    facts |= {"home": home, "paper": _paper(papers, row["paper"], place)}
    facts["recipes"] = tuple(row.get("recipes", home.recipes if home else ()))
    facts["options"] = row.get("options", {})
    averages = row.get("averages", {})
    if averages and (
        sum(averages.values()) != row.get("networks") or not set(averages) <= set(ours)
    ):
        raise Problem(
            f"{place}: averages {averages}, expected `networks` of those under `networks`."
        )
    quantities = [quantity for quantity in QUANTITIES if quantity in row]
    if "std" in row and len(quantities) > 1:
        raise Problem(f"{place}: a std belongs to one quantity only.")
    return [_checked(Published(quantity=q, value=row[q], **facts), place) for q in quantities]


def _checked(entry: Published, place: str) -> Published:
    for text in (entry.value, entry.std):
        if text is not None and not (isinstance(text, str) and RATE.fullmatch(text)):
            raise Problem(
                f'{place}: value {text!r}, expected a quoted number such as "6.10" or "< 0.1" '
                "(without quotes YAML drops the printed zeros)."
            )
    for found, known in ((entry.protocol, PROTOCOLS), (entry.role, ROLES)):
        if found not in known:
            raise Problem(f"{place}: {found!r} is unknown, expected one of {', '.join(known)}.")
    if not STATISTIC.fullmatch(entry.statistic):
        raise Problem(f"{place}: statistic {entry.statistic!r}, expected e.g. single, best of 5.")
    ours = bool(entry.members) or entry.cannot_run is not None
    if not ours and entry.role != "context":
        raise Problem(
            f"{place}: {entry.network!r} is not under `networks`; add it there, or say averages and "
            "how many of which, role: context, or cannot_run and why."
        )
    return entry


def _sizes(
    row: Facts, place: str, papers: Mapping[str, Paper], ours: Mapping[str, Network]
) -> list[Size]:
    _need({"network", "paper", "where"}, row, place)
    if row["network"] not in ours:
        raise Problem(f"{place}: {row['network']!r} is not under `networks`; add it there.")
    quantities = [quantity for quantity in SIZES if quantity in row]
    if "unmet" in row and len(quantities) > 1:
        raise Problem(f"{place}: unmet belongs to one quantity only.")
    for quantity in quantities:
        if not (isinstance(row[quantity], str) and COUNT.fullmatch(row[quantity])):
            raise Problem(
                f'{place}: value {row[quantity]!r}, expected a quoted count such as "60M", "3.6e9".'
            )
    facts = {key: value for key, value in row.items() if key in _SIZE_KEYS}
    facts |= {"options": row.get("options", {}), "paper": _paper(papers, row["paper"], place)}
    return [Size(quantity=quantity, value=row[quantity], **facts) for quantity in quantities]


def _need(keys: set[str], row: Facts, place: str) -> None:
    if missing := sorted(keys - set(row)):
        raise Problem(f"{place}: expected {', '.join(missing)}.")


def _known(content: Any, known: set[str], place: str) -> Facts:
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


class _Loader(SafeLoader):
    """YAML lets a repeated key silently win; here it would lose a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {', '.join(repeated)} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)
