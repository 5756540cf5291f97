"""The one LightningModule: a network, its paper's recipe, and exact counts of errors."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from topfive.batch_norm import GroupedBatchNorm2d, average_running_statistics, group_statistics
from topfive.batch_transforms import Pipeline
from topfive.clock import Clock
from topfive.layers import Dropout
from topfive.loaders.batch import Batch
from topfive.losses import Auxiliary
from topfive.parameter_groups import parameter_groups
from topfive.problems import Diverged, Problem
from topfive.rates import Rates
from topfive.targets import partial

WINDOW = (
    50  # steps over which training loss and error are averaged, logged and heard by the schedule
)
VANISHED = 1e-20  # a rate that moves no weight any more; a cosine's last is above 1e-14


@dataclass(frozen=True)
class Count:
    """Errors over n images; top5 is None where there are five classes or fewer."""

    loss: float
    top1: int
    top5: int | None
    n: int
    unreadable: int

    def rates(self) -> dict[str, float]:
        """Fractions for the curves."""
        top5 = {} if self.top5 is None else {"top5_error": self.top5 / self.n}
        return {"loss": self.loss / self.n, "top1_error": self.top1 / self.n, **top5}


class Tally:
    """Sums of one split or window, kept on the device so that counting never waits for it."""

    def __init__(self, device: torch.device, classes: int):
        self.sums, self.classes = torch.zeros(5, dtype=torch.float64, device=device), classes

    @torch.no_grad()
    def add(self, loss: Tensor, scores: Tensor, labels: Tensor) -> None:
        """loss: mean over the batch; scores: (batch, classes); an unreadable image counts as wrong."""
        hits = scores.topk(min(5, self.classes), dim=1).indices == labels[:, None]
        n = len(labels)
        sums = (loss * n, hits[:, 0].sum(), hits.sum(), (labels < 0).sum())
        total, top1, top5, unreadable = (value.double() for value in sums)
        self.sums += torch.stack([total, n - top1, n - top5, torch.full_like(total, n), unreadable])

    def count(self, sums: Tensor) -> Count:
        """What `sums`, those of all devices, say."""
        loss, top1, top5, n, unreadable = sums.tolist()
        return Count(
            loss,
            round(top1),
            round(top5) if self.classes > 5 else None,
            round(n),
            round(unreadable),
        )


class Classifier(pl.LightningModule):
    """Trains `net` under `recipe` and counts its errors on the validation loaders.

    `scores` holds the counts of the last validation, one per loader, over all devices.
    """

    def __init__(
        self,
        net: nn.Module,
        pipeline: Pipeline,
        recipe: dict[str, Any],
        clock: Clock,
        num_classes: int,
        seed: int,
        max_unreadable: float,
        per_device: int,
    ):
        super().__init__()
        self.net, self.pipeline = net, pipeline
        self.recipe, self.clock, self.num_classes, self.seed = recipe, clock, num_classes, seed
        self.max_unreadable, self.per_device = max_unreadable, per_device
        self.loss = instantiate(recipe["loss"])
        self.schedule = Rates(recipe, clock)
        self.dropouts = [m for m in net.modules() if isinstance(m, Dropout)]
        self.norms: list[GroupedBatchNorm2d] = []
        self.automatic_optimization = recipe["online"] is None
        mixup = recipe.get("mixup")
        self.mixup = partial(mixup)(seed, num_classes) if mixup else None
        if self.mixup is not None and recipe["online"] is not None:
            raise Problem(
                "recipe.mixup mixes pairs of images, but this recipe updates the weights after every single one "
                "(recipe.online): leave it out with '~recipe.mixup', or choose another recipe."
            )
        self.latest: dict[str, float] = {}  # what the progress bar shows
        self.last_window: dict[str, float] = {}
        self.scores: list[Count] = []
        self.seen = self.missed = 0
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.spent_seconds = 0.0  # in training, over all the processes that carried this run
        self.resumed_window: Tensor | None = None

    def forward(self, images: Tensor, batch: Batch | None = None) -> Tensor:
        """uint8 images (batch, channels, height, width) to scores (batch, classes), the largest wins.

        In training a network with auxiliary heads gives a tuple instead: its scores and the heads'.
        """
        scores: Tensor = self.net(self.pipeline(images, batch, self.dtype))
        return scores

    def configure_model(self) -> None:
        # Here the processes have joined, and no optimizer holds the layers yet.
        group_statistics(
            self.net,
            self.recipe["bn_batch"] or self.recipe["batch_size"],
            self.per_device,
            self.global_rank,
            self.trainer.world_size,
        )
        self.norms = [m for m in self.net.modules() if isinstance(m, GroupedBatchNorm2d)]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        groups = parameter_groups(
            self.net,
            recipe["weight_decay"],
            recipe["decayed"],
            recipe.get("rates"),
            recipe.get("decays"),
        )
        self.group_rates = [group.pop("rate") for group in groups]
        optimizer: torch.optim.Optimizer = partial(recipe["optimizer"])(groups, lr=self.schedule(0))
        return optimizer

    # -- training ---------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        if self.schedule(self.trainer.max_steps - 1) < VANISHED:
            raise Problem(
                f"the rate would vanish before the last of {self.trainer.max_steps} steps: recipe.duration and "
                f"recipe.schedule count in different units, which belong together on one set of images alone. Give "
                f"both in the same, as in '+recipe.schedule.every={{iterations:320000,epochs:null}}'."
            )
        self.window = Tally(self.device, self.num_classes)
        self.carried = 0 if self.resumed_window is None else int(self.resumed_window[3])
        if self.resumed_window is not None and self.global_rank == 0:
            self.window.sums += self.resumed_window.to(self.device)
        self.window_start = (time.perf_counter(), self.global_step)
        if self.recipe["online"] is not None:
            from topfive.online_passes import OnlinePasses

            self.online = OnlinePasses(self, **self.recipe["online"])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        self.rate = self.schedule(self.global_step)
        groups = self.trainer.optimizers[0].param_groups
        for group, rate in zip(groups, self.group_rates, strict=True):
            group["lr"] = self.schedule.of(rate, self.global_step)
        for dropout in self.dropouts:
            # As a tensor: a compiled network would be compiled anew for every other integer.
            step = batch.index.new_full((), self.global_step)
            dropout.address = (self.seed, step, batch.index)
        rounds = self.trainer.accumulate_grad_batches
        for norm in self.norms:
            norm.first, norm.rounds = batch_idx % rounds == 0, rounds
        self.pipeline.set_step(self.global_step)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        if self.recipe["online"] is not None:
            self.window.add(*self.online.step(batch), batch.labels)
            return None
        images, labels = self.pipeline(batch.images, batch, self.dtype), batch.labels
        targets = labels
        if self.mixup is not None:
            images, targets = self.mixup(images, labels, self.global_step)
            # An error is counted against the class that has most of a mixed image.
            labels = torch.where(labels < 0, labels, targets.argmax(1))
        scores = self.net(images)
        main, *heads = scores if isinstance(scores, tuple) else (scores,)
        if heads and not isinstance(self.loss, Auxiliary):
            raise Problem(
                "this network has auxiliary heads, which this recipe's loss would leave untrained: choose "
                "model.auxiliary=false, or '+recipe.loss={_target_:topfive.losses.Auxiliary,weight:0.3}'."
            )
        loss: Tensor = self.loss(scores, targets)
        self.window.add(loss.detach(), main.detach(), labels)
        return loss

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        since, first = self.window_start
        last = self.global_step == self.trainer.max_steps
        if self.global_step > first and (self.global_step % WINDOW == 0 or last):
            self._close_window(time.perf_counter() - since)

    def _close_window(self, seconds: float) -> None:
        count = self._count(self.window)
        self.last_window = count.rates()
        self.spent_seconds += seconds
        if not torch.tensor(self.last_window["loss"]).isfinite():
            raise Diverged(
                f"the training loss is {self.last_window['loss']} at step {self.global_step}: training "
                f"diverged. Lower the rate (recipe.schedule.rate=...) or check the recipe against the model."
            )
        self.seen, self.missed = self.seen + count.n, self.missed + count.unreadable
        self._refuse_unreadable(self.seen, self.missed)
        self.schedule.hear_training_error(self.last_window["top1_error"])
        speed = (count.n - self.carried) / seconds
        self.latest.update(error=self.last_window["top1_error"], images_per_second=speed)
        self._write(
            "train", {**self.last_window, "learning_rate": self.rate, "images_per_second": speed}
        )
        self.window, self.carried = Tally(self.device, self.num_classes), 0
        self.window_start = (time.perf_counter(), self.global_step)

    def _refuse_unreadable(self, seen: int, missed: int) -> None:
        if missed > self.max_unreadable * seen:
            raise Problem(
                f"{missed} of the {seen} training images read so far could not be decoded, more than "
                f"data.max_unreadable={self.max_unreadable:g} of them (named above). Repair the files, or "
                f"raise the limit, and continue with resume=auto."
            )

    # -- evaluation -------------------------------------------------------------------------------

    def on_validation_start(self) -> None:
        average_running_statistics(self.net)
        loaders = self.trainer.val_dataloaders
        count = len(loaders) if isinstance(loaders, list) else 1
        self.tallies = [Tally(self.device, self.num_classes) for _ in range(count)]

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        scores = self(batch.images)
        if not scores.isfinite().all():
            raise Diverged(
                "the network's scores are not finite: this checkpoint or run has diverged."
            )
        loss = self.loss(scores, batch.labels)
        self.tallies[dataloader_idx].add(loss, scores, batch.labels)

    def on_validation_end(self) -> None:
        self.scores = [self._count(tally) for tally in self.tallies]
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        names: tuple[str, ...] = self.trainer.datamodule.watched_splits  # type: ignore[attr-defined]
        for name, count in zip(names, self.scores, strict=True):
            self._write(name, count.rates())
        self.latest[f"{names[0]}_error"] = self.scores[0].rates()["top1_error"]
        if self.schedule.needs_minival and not self.trainer.sanity_checking:
            self.schedule.hear_minival_error(
                self.scores[-1].rates()["top1_error"], self.global_step
            )

    # -- state ------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        window = self._sum(self.window.sums)
        count = self.window.count(window)
        # What was learned from holes, as where the drive has gone, is not kept: a resume begins before them.
        self._refuse_unreadable(self.seen + count.n, self.missed + count.unreadable)
        checkpoint["schedule"] = self.schedule.state()
        checkpoint["window"] = window.cpu()
        running = time.perf_counter() - self.window_start[0]
        checkpoint["spent"] = (self.started, self.spent_seconds + running)
        checkpoint["images"] = (self.seen, self.missed)
        checkpoint["last_window"] = self.last_window
        checkpoint["classes"] = list(self.trainer.datamodule.dataset.classes)  # type: ignore[attr-defined]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.schedule.restore(checkpoint["schedule"])
        self.resumed_window = checkpoint["window"]
        self.started, self.spent_seconds = checkpoint["spent"]
        self.seen, self.missed = checkpoint["images"]
        # Checkpoints of older runs were made without it.
        self.last_window = checkpoint.get("last_window", {})

    def _count(self, tally: Tally) -> Count:
        return tally.count(self._sum(tally.sums))

    def _sum(self, tensor: Tensor) -> Tensor:
        """Over all devices, in a tensor of its own."""
        total: Tensor = self.trainer.strategy.reduce(tensor.clone(), reduce_op="sum")
        return total

    def _write(self, split: str, values: dict[str, float]) -> None:
        metrics = {f"{split}/{key}": value for key, value in values.items()}
        metrics["epoch"] = self.clock.epochs(self.global_step)
        for logger in self.loggers:
            logger.log_metrics(metrics, self.global_step)
