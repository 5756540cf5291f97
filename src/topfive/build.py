"""From a configuration to the objects of a run: data, network, Lightning module and trainer."""

from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy

from topfive import predecessors, preprocessing
from topfive.activation_checkpointing import checkpoint_activations
from topfive.architecture import architecture
from topfive.checkpoints import Checkpoint, DurableCheckpointIO
from topfive.classifier import Classifier
from topfive.clock import Clock
from topfive.curve import Curve
from topfive.datasets import Dataset
from topfive.gradient_flow import gradient_flow
from topfive.identity import identity
from topfive.loaders.betons import in_betons
from topfive.loaders.datamodule import DataModule, LoaderSettings
from topfive.loaders.shards import in_shards
from topfive.loggers import loggers
from topfive.problems import Problem
from topfive.progress import Progress
from topfive.rates import listens
from topfive.runs import CHECKPOINT, Run
from topfive.sizes import refuse_smaller_views, sizes_of_views
from topfive.world import Guard

# Keys of conf/data that are not arguments of the set's loader.
PART = ("fraction", "per_class", "subset_seed", "minival", "candidate", "max_unreadable")
SHUFFLE = "shuffle"  # the one that loader=webdataset adds


def data_set(config: dict[str, Any]) -> Dataset:
    """The images, as the loader reads them and with the channels that the recipe takes."""
    recipe, data, loader = config["recipe"], config["data"], config["loader"]
    found: Dataset = instantiate({k: v for k, v in data.items() if k not in (*PART, SHUFFLE)})
    root, kind = data.get("root"), loader["kind"]
    found = in_betons(found, config["choices"]["data"], kind, root, _against_ffcv(recipe))
    found = in_shards(found, kind, root, loader.get("shards"), loader.get("cache"))
    channels = recipe["channels"]
    return replace(
        found,
        train=found.train.with_channels(channels),
        reported=found.reported.with_channels(channels),
    )


def data_module(config: dict[str, Any]) -> DataModule:
    """Lays out the parts of the data set; the number of steps follows from their size."""
    recipe, data = config["recipe"], config["data"]
    online, augment = recipe["online"], recipe.get("augment")
    module = DataModule(
        data_set(config),
        part=data,
        held_out=data["minival"] if listens(recipe) or data.get("candidate") else 0,
        crop=instantiate(recipe["crop"]),
        protocol=instantiate(config["protocol"]),
        batch=recipe["batch_size"] * (online["block"] if online else 1),
        reshuffle=recipe["reshuffle"],
        distorted_copies=recipe["distorted_copies"],
        seed=config["seed"],
        settings=LoaderSettings(**config["loader"]),
        crop_shared_by=recipe.get("crop_shared_by", 1),
        augment=None if augment is None else instantiate(augment, _convert_="all"),
    )
    laid = clock(config, module)
    module.steps = _steps(config, laid)
    module.sizes = sizes_of_views(config, laid, module.crop.size)
    return module


def _against_ffcv(recipe: dict[str, Any]) -> str | None:
    if recipe.get("augment"):
        return "recipe.augment changes single images, which the torch loader alone does."
    return None if recipe["channels"] == 3 else "this recipe takes gray images, FFCV gives color."


def clock(config: dict[str, Any], data: DataModule) -> Clock:
    """How the recipe's lengths are counted in steps of this run.

    recipe.shorten is a number of times, or the length that the whole is squeezed into.
    """
    recipe = config["recipe"]
    updates = recipe["online"]["block"] if recipe["online"] else 1
    whole = Clock(len(data.order.ids), recipe["batch_size"], updates)
    shorten = recipe["shorten"]
    if isinstance(shorten, dict):
        shorten = max(1.0, whole.steps(recipe["duration"]) / whole.steps(shorten))
    return replace(whole, shorten=shorten)


def _steps(config: dict[str, Any], clock: Clock) -> int:
    trainer = config["trainer"]
    steps = clock.steps(config["recipe"]["duration"])
    if trainer["max_epochs"] is not None:
        whole = replace(clock, shorten=1.0)
        steps = min(steps, whole.steps({"epochs": trainer["max_epochs"]}))
    return steps if trainer["max_steps"] is None else min(steps, trainer["max_steps"])


def network(config: dict[str, Any], classes: int) -> torch.nn.Module:
    """The network with its paper's first weights, drawn by the run's seed or those of another run."""
    predecessors.demand(config)
    pl.seed_everything(config["seed"], verbose=False)
    net = architecture(config, classes)
    if config["recipe"]["initialization"] is not None:
        instantiate(config["recipe"]["initialization"], net, _convert_="all")
    return net


def classifier(
    config: dict[str, Any], data: DataModule, trainer: pl.Trainer, trained: bool
) -> Classifier:
    """The LightningModule; where it is `trained`, a checkpoint will bring the weights."""
    trainer_options, classes = config["trainer"], len(data.dataset.classes)
    net = architecture(config, classes) if trained else network(config, classes)
    if data.sizes is not None:
        refuse_smaller_views(config, classes, data.sizes(0))
    per_device, laid = per_device_batch(config["recipe"], trainer), clock(config, data)
    module = Classifier(
        net,
        preprocessing.pipeline(config, data, laid),
        config["recipe"],
        laid,
        classes,
        config["seed"],
        config["data"]["max_unreadable"],
        per_device,
    )
    if trainer_options["channels_last"]:
        net.to(memory_format=torch.channels_last)
    if trainer_options["checkpoint_activations"]:
        checkpoint_activations(net)
    if trainer_options["compile"]:
        net.compile()
    # Lightning does so only after it has read a checkpoint, which a narrower module would have rounded.
    trainer.precision_plugin.convert_module(module)
    return module


def per_device_batch(recipe: dict[str, Any], trainer: pl.Trainer) -> int:
    """Images of one device in one forward pass; raises Problem where the global batch does not divide."""
    batch, world = recipe["batch_size"], trainer.world_size
    rounds = trainer.accumulate_grad_batches
    if recipe["online"] and world > 1:
        raise Problem(
            f"this recipe updates the weights after every single image, which {world} devices cannot share: set "
            f"trainer.devices=1."
        )
    if batch % (world * rounds):
        raise Problem(
            f"recipe.batch_size={batch} does not divide by {world} devices x {rounds} accumulation rounds: choose "
            f"trainer.devices and trainer.accumulate_grad_batches so that it does, or another batch (a departure)."
        )
    return int(batch // (world * rounds))


def _hardware(options: dict[str, Any]) -> dict[str, Any]:
    """Trainer arguments that training and testing share."""
    several = options["num_nodes"] > 1 or options["devices"] not in (1, "1")
    return {
        "accelerator": options["accelerator"],
        "devices": options["devices"],
        "num_nodes": options["num_nodes"],
        "strategy": DDPStrategy(forward_sync_buffers=False) if several else "auto",
        "precision": options["precision"],
        "deterministic": options["deterministic"],
        "use_distributed_sampler": False,
        "enable_checkpointing": False,
        "enable_progress_bar": options["progress"],
        "enable_model_summary": False,
    }


def _callbacks(options: dict[str, Any]) -> list[Callback]:
    guard = Guard(options["devices"], options["num_nodes"])
    return [guard, Progress()] if options["progress"] else [guard]


def evaluator(config: dict[str, Any]) -> pl.Trainer:
    """A Trainer that only tests."""
    options = config["trainer"]
    return pl.Trainer(**_hardware(options), logger=False, callbacks=_callbacks(options))


def trainer(config: dict[str, Any], run: Run, data: DataModule) -> pl.Trainer:
    """Lightning's Trainer for this run: one stream of `steps` steps, looked at every so many epochs."""
    options = config["trainer"]
    assert data.steps is not None
    epoch = Clock(len(data.order.ids), data.batch).steps({"epochs": options["check_every"]})
    checkpoint = Checkpoint(
        run.directory / CHECKPOINT, options["checkpoint_minutes"], options["checkpoint_every"]
    )
    rounds = options["accumulate_grad_batches"]
    # Ahead of the checkpoint, so that it keeps what they did; null takes back an inherited one.
    recipes = [
        instantiate(callback, _convert_="all")
        for callback in (config["recipe"].get("callbacks") or {}).values()
        if callback is not None
    ]
    return pl.Trainer(
        **_hardware(options),
        max_epochs=1,
        max_steps=data.steps,
        val_check_interval=epoch * rounds,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        accumulate_grad_batches=rounds,
        logger=loggers(config["logger"], run.directory, config, identity(config)),
        callbacks=[
            *_callbacks(options),
            *gradient_flow(config, run.directory),  # ahead of what a recipe does to gradients
            *recipes,
            checkpoint,
        ],
        plugins=[DurableCheckpointIO(options["checkpoints_kept"])],
        default_root_dir=run.directory,
    )


def resume(run: Run, data: DataModule, trainer: pl.Trainer) -> None:
    """Lets data and curve start where the checkpoint left off; raises Problem where it is damaged."""
    data.resume(run.checkpoint)
    for logger in trainer.loggers:
        if isinstance(logger, Curve):
            logger.resume_at(data.first)
