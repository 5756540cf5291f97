"""The 1,000 classes of ILSVRC-2012, from the tables that timm carries (no copy of ours).

The class index is the place of the WordNet id in alphabetical order, as torchvision and timm count.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from topfive.problems import Problem


@cache
def wordnet_ids() -> tuple[str, ...]:
    """The 1,000 WordNet ids, in the order of the class index."""
    return tuple(_table("imagenet_synsets.txt").read_text().split())


@cache
def names() -> tuple[str, ...]:
    """What the classes are called, with synonyms: class 0 is "tench, Tinca tinca"."""
    lines = _table("imagenet_synset_to_lemma.txt").read_text().splitlines()
    lemmas = dict(line.split("\t", 1) for line in lines)
    return tuple(lemmas[wordnet_id] for wordnet_id in wordnet_ids())


def agreement_with_real(labels: Mapping[str, str]) -> float | None:
    """The share of validation images whose WordNet id is among their ReaL labels.

    labels: WordNet id by file stem (ILSVRC2012_val_00000001); None where no stem is such. Official
    labels agree in 42,164 of the 46,837 images that have ReaL labels (L. Beyer et al., "Are we done
    with ImageNet?", 2020); labels in a wrong order agree in about one of a thousand.
    """
    lists: list[list[int]] = json.loads(real_labels_file().read_text())
    real = {f"ILSVRC2012_val_{i:08d}": indices for i, indices in enumerate(lists, start=1)}
    index = {wordnet_id: i for i, wordnet_id in enumerate(wordnet_ids())}
    rated = [index.get(labels[stem]) in real[stem] for stem in labels if real.get(stem)]
    return round(sum(rated) / len(rated), 4) if rated else None


def real_labels_file() -> Path:
    """The ReaL labels, JSON: of every validation image, in the order of the file names, a list of class indices."""
    return _table("imagenet_real_labels.json")


def _table(name: str) -> Path:
    # Read as a file: importing timm would import torch and all of its models.
    spec = find_spec("timm")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / "data" / "_info" / name).is_file():
            return path
    raise Problem(
        f"timm's table data/_info/{name} was not found; it names the classes of ImageNet. "
        "Install timm as pyproject.toml asks: pip install 'timm>=1.0.20'"
    )
