"""What makes a run the run it is, and the digits that stand for it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from topfive.clock import UNITS
from topfive.rates import listens

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
