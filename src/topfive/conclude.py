"""The end of a run: its record on disk and its row on the screen."""

import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console

from topfive import choice, predecessors, published, results
from topfive.batch_norm import average_running_statistics
from topfive.classifier import Classifier
from topfive.departures import departures
from topfive.evaluation import counting
from topfive.evaluation.averages import Averages
from topfive.evaluation.counting import Split
from topfive.identity import identity
from topfive.loaders.betons import storage_departures
from topfive.loaders.datamodule import DataModule
from topfive.origin import origin
from topfive.problems import Problem
from topfive.report import table
from topfive.runs import Run
from topfive.trained import Trained
from topfive.wandb_row import log_row


def scores(
    config: dict[str, Any], run: Run, module: Classifier, trainer: pl.Trainer, data: DataModule
) -> list[results.Score]:
    """What was trained under the run's own protocol; its predictions are kept in the run's directory.

    Raises Problem where more images than data.max_unreadable could not be decoded.
    """
    average_running_statistics(module.net)
    net, pipeline = module.net, module.pipeline
    trained = Trained(name=run.directory.name, net=net, pipeline=pipeline, config=config)
    about = {
        "model": config["choices"]["model"],
        "identity": identity(config),
        "seed": config["seed"],
    }
    split = Split.reported(data.dataset, config["choices"]["data"])
    where = (trainer, data.settings, run.directory)
    found = counting.counts(trained, split, [data.protocol], Averages(), *where, about)
    refuse_unreadable(found, config["data"]["max_unreadable"])
    return found


def refuse_unreadable(found: Sequence[results.Score], limit: float) -> None:
    """Raises Problem: an unreadable image counts as wrong, and where the drive has gone, all of them do."""
    for score in found:
        if score.unreadable > limit * score.n:
            raise Problem(
                f"{score.unreadable} of the {score.n} images of the test could not be decoded, more than "
                f"data.max_unreadable={limit:g} of them (named above). Repair the files, or raise the limit, and "
                f"continue with resume=auto: what is trained is kept."
            )


@rank_zero_only
def record(
    config: dict[str, Any],
    run: Run,
    module: Classifier,
    trainer: pl.Trainer,
    data: DataModule,
    scores: Sequence[results.Score],
) -> None:
    """Writes result.json and prints the run beside what was published."""
    options = {k: v for k, v in config["model"].items() if k != "_target_"}
    finished = datetime.now(UTC)
    seconds = module.spent_seconds
    selection = choice.of(config)
    made = results.Record(
        identity=identity(config),
        model=config["choices"]["model"],
        options=options,
        recipe=config["choices"]["recipe"],
        data=config["choices"]["data"],
        ablation=config["choices"]["ablation"],
        seed=config["seed"],
        scores=tuple(scores),
        departures=(*departures(config, selection), *storage_departures(data.dataset)),
        started_from=predecessors.origin(config),
        trained_on={
            "split": "train",
            "n": len(data.train_ids),
            "held_out": len(data.minival_ids),
            "unreadable": module.missed,
        },
        iterations=trainer.global_step * module.clock.updates,
        epochs=module.clock.epochs(trainer.global_step),
        train=module.last_window,
        config=without_paths(config),
        command=_command(),
        world_size=trainer.world_size,
        started=module.started,
        finished=finished.isoformat(timespec="seconds"),
        wall_seconds=seconds,
        images_per_second=module.seen / seconds if seconds else None,
        selection=selection,
        **origin(trainer.strategy.root_device.type == "cuda"),
    )
    results.write(made, run.result)
    show([made])
    print(f"record: {run.result}", flush=True)
    log_row(trainer.loggers, made)  # last, because it ends the W&B run


def without_paths(config: dict[str, Any]) -> dict[str, Any]:
    """A record is published; where this machine keeps its files is nobody's business."""
    data = {key: value for key, value in config["data"].items() if key != "root"}
    recipe = dict(config["recipe"])
    start = recipe["initialization"]
    if start is not None and start.get("checkpoint"):
        recipe["initialization"] = {
            **start,
            "checkpoint": predecessors.named(Path(start["checkpoint"])),
        }
    return {**config, "data": data, "recipe": recipe, "resume": None, "selection": None}


def _command() -> str:
    """What was typed, again without the folders of this machine."""
    private = (
        *("hydra.run.", "hydra.sweep.", "data.root=", "resume=", "selection="),
        "recipe.initialization.checkpoint=",
    )
    typed = [argument for argument in sys.argv[1:] if not argument.startswith(private)]
    return shlex.join(["python", Path(sys.argv[0]).name, *typed])


def show(records: list[results.Record]) -> None:
    """The table of `records` on the screen."""
    table.render(records, published.load(), Console())
