"""Runs and records of ensembles made by hand, for the tests of what is averaged, kept and compared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from records import record
from small_predictions import answering

from topfive.predictions import file_name, write
from topfive.published import networks
from topfive.results import Member, Record, Score
from topfive.results import write as write_record

LABELS = [0, 1, 2, 3]
TRAINED: Mapping[str, dict[str, Any]] = {
    name: {"model": name, "recipe": recipe, "options": dict(networks()[name].options)}
    for name, recipe in (("alexnet", "alexnet"), ("zfnet", "zfnet"), ("zfnet_big", "zfnet"),
                         ("vgg16", "vgg_jitter"), ("vgg19", "vgg_jitter"))
}  # fmt: skip


def run(
    folder: Path,
    model: str,
    answers: Sequence[int],
    seed: int = 0,
    protocols: Sequence[str] = ("ten_crop_square",),
    **changes: Any,
) -> list[Path]:
    """A finished run in `folder`, tested on images of classes 0, 1, 2 and 3 of ImageNet; its files of predictions."""
    folder.mkdir(parents=True)
    identity = f"{model}-{seed}"
    files, scores = [], []
    for protocol in protocols:
        about = {"model": model, "identity": identity, "seed": seed, "data": "imagenet"}
        given = answering(answers, LABELS, protocol=protocol, filter="triangle", **about)
        files.append(folder / file_name(protocol, "val"))
        write(given, files[-1])
        scores.append(given.score())
    facts = TRAINED[model] | {"identity": identity, "seed": seed, "data": "imagenet"}
    write_record(record(*scores, **facts | changes), folder / "result.json")
    return files


def member(model: str, seed: int = 0, **changes: Any) -> Member:
    """A network by its paper's recipe, except for `changes`."""
    facts: dict[str, Any] = {
        "identity": f"{model}-{seed}",
        "seed": seed,
        "origin": "last.ckpt",
        "started": "2026-11-20T12:00:00+00:00",
        "departures": (),
    }
    return Member(**TRAINED[model] | facts | changes)


def ensemble(score: Score, *members: Member, **changes: Any) -> Record:
    """The record of an ensemble on ImageNet."""
    facts: dict[str, Any] = {
        "model": " + ".join(one.model for one in members),
        "options": {},
        "recipe": members[0].recipe,
        "data": "imagenet",
        "members": members,
    }
    return record(score, **facts | changes)
