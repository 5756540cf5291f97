"""What stands in one file of conf/model or conf/recipe: composing it takes a hundred times as long."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from topfive.config import CONF

try:  # libyaml's, ten times as fast
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]


__all__ = ["VIEW", "SafeLoader", "content", "crop_size", "own"]

VIEW = "${recipe.crop.size}"  # what an option of a model says that follows the views of its recipe


@cache
def content(group: str, name: str) -> Mapping[str, Any]:
    """The file as it is written: nothing merged into it, nothing of `${...}` resolved."""
    text = (CONF / group / f"{name}.yaml").read_text(encoding="utf-8")
    read: Mapping[str, Any] = yaml.load(text, SafeLoader)
    return read


@cache
def own(model: str) -> Mapping[str, str]:
    """The recipe, data and protocol that a model chooses for itself."""
    defaults = content("model", model)["defaults"]
    return {key.removeprefix("override /"): name for one in defaults for key, name in one.items()}


def crop_size(recipe: str) -> Any:
    """The side of the views that a recipe trains on, its own or that of the parts it is made of."""
    read = content("recipe", recipe)
    parts = [one.partition("@")[0] for one in read.get("defaults", ()) if one != "_self_"]
    sizes = [content("recipe", part).get("crop", {}).get("size") for part in parts]
    return next(size for size in (read.get("crop", {}).get("size"), *sizes) if size is not None)
