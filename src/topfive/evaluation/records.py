"""The record of a test: the run's own with its new counts, or one of weights that have no record."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytorch_lightning as pl

from topfive import choice, conclude, results
from topfive.departures import departures
from topfive.evaluation.conclusion import merged
from topfive.evaluation.subject import Subject
from topfive.origin import origin
from topfive.results import Json, Record, Score
from topfive.runs import RESULT


def record(subject: Subject, scores: Sequence[Score], trainer: pl.Trainer) -> Record:
    """Writes the record of `subject` with `scores`, and gives it back; only the first process calls it."""
    path = subject.folder / RESULT
    before = results.read(path) if path.exists() else _made(subject, trainer)
    listed = dict.fromkeys((*before.departures, *subject.data_departures))
    now = replace(before, scores=merged(before.scores, scores), departures=tuple(listed), path=path)
    results.write(now, path)
    print(f"record: {path}", flush=True)
    return now


def _made(subject: Subject, trainer: pl.Trainer) -> Record:
    """Of weights without a record: foreign ones, a snapshot, or a run on other data than its own."""
    config, model = subject.config, subject.config["choices"]["model"]
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    listed = _history(subject)
    if not subject.own_data:
        listed.append(f"data={subject.split.data}, on which it was not trained")
    return Record(
        identity=subject.identity,
        model=model,
        options={k: v for k, v in config["model"].items() if k != "_target_"},
        recipe=config["choices"]["recipe"],
        data=subject.split.data,
        ablation=config["choices"].get("ablation"),
        seed=config["seed"],
        scores=(),
        departures=tuple(listed),
        trained_on=_trained_on(subject),
        iterations=subject.step,
        epochs=0.0,
        train={},
        config=conclude.without_paths(config),
        command=_command(),
        world_size=trainer.world_size,
        started=finished,
        finished=finished,
        wall_seconds=0.0,
        **origin(trainer.strategy.root_device.type == "cuda"),
    )


def _history(subject: Subject) -> list[str]:
    """What departs from the paper in how the weights came about."""
    if subject.checkpoint is None:
        return list(subject.trained.departures)
    own = departures(subject.config, choice.of(subject.config))
    return [*own, f"the weights of step {subject.step}, from {subject.checkpoint.name}"]


def _trained_on(subject: Subject) -> Mapping[str, Json]:
    return {"split": "train", "by": subject.trained.origin or "this project"}


def _command() -> str:
    """What was typed, without the folders of this machine."""
    told = []
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if key == "weights":  # torchvision:NAME:FILE or caffe:FILE
            *kind, last = value.split(":")
            told.append(f"weights={':'.join([*kind, Path(last).name])}")
        elif key not in ("run", "data.root") and not key.startswith("hydra."):
            told.append(argument)
    return shlex.join(["python", "-m", "topfive.evaluate", *told])
