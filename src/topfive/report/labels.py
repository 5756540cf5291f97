"""What to call a network in a table: its name, and whatever is not as in its paper."""

import json
from collections.abc import Iterable, Mapping

from topfive.published import networks
from topfive.report.selection import said
from topfive.results import Json, Record


def identity(record: Record) -> tuple[str, str]:
    """What `labels` is keyed by: runs that share it are called the same."""
    rest = [record.options, record.recipe, record.ablation, chosen(record)]
    return record.model, json.dumps(rest, sort_keys=True, default=str)


def labels(records: Iterable[Record]) -> dict[tuple[str, str], tuple[str, ...]]:
    """What to call each network: its name, and whatever is not as in its paper or differs here."""
    by_model: dict[str, dict[tuple[str, str], Record]] = {}
    for record in records:
        by_model.setdefault(record.model, {}).setdefault(identity(record), record)
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for model, identities in by_model.items():
        home = networks().get(model)
        own: Mapping[str, Json] = home.options if home else {}
        seen: dict[str, set[str]] = {}
        for record in identities.values():
            for name, value in record.options.items():
                seen.setdefault(name, set()).add(_text(value))
        used = {record.recipe for record in identities.values()}
        papers = used & set(home.recipes) if home else used
        for key, record in identities.items():
            label = [model]
            for name, value in record.options.items():
                if len(seen[name]) > 1 or (name in own and own[name] != value):
                    label.append(f"{name}={_text(value)}")
            if len(papers) > 1 or record.recipe not in papers:
                label.append(f"recipe={record.recipe}")
            if record.ablation:
                label.append(f"ablation={record.ablation}")
            if record.selection:
                label.append(chosen(record))
            found[key] = tuple(label)
    return found


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def chosen(record: Record) -> str:
    """What a sweep chose for this run, as a label; empty where none did."""
    content = record.selection
    return said(str(content["key"]), content["chosen"]) if content else ""
