"""What a run does otherwise than its paper: its configuration against the model's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from topfive import predecessors
from topfive.config import compose
from topfive.identity import flatten, subject
from topfive.published import data_sets, recipes


def departures(config: Mapping[str, Any], selection: Mapping[str, Any] | None = None) -> list[str]:
    """One line per value of recipe, data and trainer that is not what `model=NAME` alone composes.

    The recipe's own list comes first. Options of the network are not listed: published numbers are
    matched on them. Where another recipe or data set was chosen, that one line stands for all its
    values. A run that starts from another has the departures of that one, too. Where the paper took
    the best of several values (the recipe's `candidates`), one that a sweep chose among just those is
    no departure (`selection`, as `choice.of` reads it); one that was taken by hand is.
    """
    ours, theirs = config["choices"], compose([f"model={config['choices']['model']}"])
    listed = [*config["recipe"]["departures"], *predecessors.departures(config)]
    # The seed, because transforms that draw at random have it as a value.
    base = [f"model={ours['model']}", f"seed={config['seed']}"]
    for group, reported in (("recipe", recipes), ("data", data_sets)):
        # What a paper reports this network under is no departure.
        if ours[group] in reported(ours["model"]):
            base.append(f"{group}={ours[group]}")
        elif ours[group] != theirs["choices"][group]:
            listed.append(f"{group}={ours[group]} (paper: {theirs['choices'][group]})")
            base.append(f"{group}={ours[group]}")
    # The same choices without any value overruled.
    plain = flatten(subject(compose(base)))
    here = flatten(subject(config))
    said = {"recipe.departures"}
    if config["recipe"].get("starts_from"):
        said.add(predecessors.KEY)  # the paper itself started from a run
    if here.get(predecessors.KEY) is not None:
        here[predecessors.KEY] = predecessors.named(Path(here[predecessors.KEY]))
    for key in sorted(here.keys() | plain.keys()):
        decides = key.partition(".")[0] in ("recipe", "data", "trainer") and key not in said
        same = here.get(key) == plain.get(key)
        if decides and not same and not _chosen_as_paper(key, config, selection):
            listed.append(f"{key}={_text(here.get(key))} (paper: {_paper(key, config, plain)})")
    return listed


def _chosen_as_paper(
    key: str, config: Mapping[str, Any], selection: Mapping[str, Any] | None
) -> bool:
    """Whether a sweep chose the value of `key` among all that the paper tried, and no other."""
    if not selection or selection["key"] != key:
        return False
    tried = [candidate["value"] for candidate in selection["candidates"]]
    return sorted(tried, key=str) == sorted(_candidates(key, config), key=str)


def _candidates(key: str, config: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = config["recipe"].get("candidates", {}).get(key.removeprefix("recipe."), [])
    return found


def _paper(key: str, config: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    tried = _candidates(key, config)
    return f"the best of {', '.join(map(_text, tried))}" if tried else _text(plain.get(key))


def _text(value: object) -> str:
    """As the command line takes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return "null" if value is None else str(value)
