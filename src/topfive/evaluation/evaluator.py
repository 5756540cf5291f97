"""The LightningModule of a test: views in batches of one shape, scores added up image by image."""

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from topfive.evaluation.averages import Averages, class_maps, headed, over_space
from topfive.evaluation.parts import Answers, Parts
from topfive.evaluation.sources import Sourced, Sources
from topfive.evaluation.waiting import Kind, Queues, Waiting
from topfive.problems import Diverged
from topfive.protocols import Protocol
from topfive.session import Interrupted, StopSignals
from topfive.trained import Trained


class Evaluator(pl.LightningModule):
    """Answers every image that it is handed, under all `protocols`, and puts the answers into `parts`.

    Told to stop by a signal, it finishes the views at hand, keeps what was found and raises Interrupted.

    batch_pixels: pixels of the views that go through the network at once.
    """

    of_logits: Tensor

    def __init__(
        self,
        trained: Trained,
        protocols: tuple[Protocol, ...],
        averages: Averages,
        sources: Sources,
        outputs: int,
        batch_pixels: int,
        parts: Parts,
    ):
        super().__init__()
        self.net, self.pipeline = trained.net, trained.pipeline
        self.averages, self.sources, self.parts = averages, sources, parts
        self.columns, self.outputs = len(protocols), outputs
        of_logits = [p.views == 1 or averages.views == "logits" for p in protocols]
        self.register_buffer("of_logits", torch.tensor(of_logits)[:, None], persistent=False)
        self.queues = Queues(batch_pixels)
        self.open: dict[int, tuple[int, int]] = {}  # slot to (image, views still to come)
        self.free: list[int] = []
        self.signals = StopSignals()
        self.sums: Tensor | None = None  # (slots, protocols, classes)

    def on_predict_start(self) -> None:
        self.signals.listen()

    def predict_step(self, batch: list[Sourced], batch_idx: int) -> int:
        for sourced in batch:
            self._take(sourced)
            while (kind := self.queues.full()) is not None:
                self._run(kind)
        batches = self.trainer.num_predict_batches[0]
        if batch_idx + 1 == batches:
            while (kind := self.queues.longest()) is not None:
                self._run(kind)
        return len(batch)  # Lightning takes nothing for a mistake

    def on_predict_end(self) -> None:
        self.parts.write()
        self.trainer.strategy.barrier()

    def _take(self, sourced: Sourced) -> None:
        if sourced.shape is None:
            self._unreadable(sourced.image)
            return
        plan = self.sources.plan(sourced.shape)
        pixels = [source.to(self.device, non_blocking=True) for source in sourced.sources]
        slot = self.free.pop() if self.free else len(self.open)
        self.open[slot] = (sourced.image, len(plan.shown))
        for shown, weights in zip(plan.shown, plan.weights, strict=True):
            height, width = shown.size
            rows = slice(shown.top, shown.top + height)
            part = pixels[shown.source][:, rows, shown.left : shown.left + width]
            view = Waiting(part, shown.flip, slot, weights)
            self.queues.add(Kind(shown.size, shown.head), view)

    def _run(self, kind: Kind) -> None:
        if self.signals.number:
            self.parts.write()
            raise Interrupted(self.signals.number)
        views = self.queues.take(kind)
        images = torch.stack([view.pixels for view in views])
        flips = torch.tensor([view.flip for view in views], device=self.device)
        images = torch.where(flips[:, None, None, None], images.flip(3), images)
        with headed(self.net, kind.head):
            maps = class_maps(self.net, self.pipeline(images, None, self.dtype))
        logits, probabilities = over_space(maps, self.averages.space)
        if not probabilities.isfinite().all():
            raise Diverged(
                "the network's scores are not finite: this checkpoint or run has diverged."
            )
        weights = torch.stack([view.weights for view in views]).to(self.device)
        values = torch.where(self.of_logits, logits[:, None], probabilities[:, None])
        slots = [view.slot for view in views]
        where = torch.tensor(slots, device=self.device)
        sums = self._sums(max(self.open) + 1)
        # Absent views of a protocol have weight 0, and the logarithm of 0 times 0 is no number.
        sums.index_add_(
            0, where, torch.where(weights[:, :, None] > 0, weights[:, :, None] * values, 0)
        )
        self._close(slots)

    def _sums(self, slots: int) -> Tensor:
        have = 0 if self.sums is None else len(self.sums)
        if slots > have:
            shape = (max(slots, 2 * have) - have, self.columns, self.outputs)
            more = torch.zeros(shape, device=self.device)
            self.sums = more if self.sums is None else torch.cat((self.sums, more))
        assert self.sums is not None
        return self.sums

    def _close(self, slots: list[int]) -> None:
        """Hands over the images that have seen their last view."""
        for slot in slots:
            number, left = self.open[slot]
            self.open[slot] = (number, left - 1)
        finished = [slot for slot in dict.fromkeys(slots) if self.open[slot][1] == 0]
        if not finished:
            return
        assert self.sums is not None
        where = torch.tensor(finished, device=self.device)
        sums = self.sums[where]
        self.sums[where] = 0
        top5 = sums.topk(min(5, sums.shape[2]), dim=2).indices
        probabilities = torch.where(self.of_logits, sums.softmax(2), sums)
        images = np.array([self.open.pop(slot)[0] for slot in finished])
        self.free += finished
        answered = (top5.to(torch.int16), probabilities.half())
        best, rounded = (tensor.cpu().numpy() for tensor in answered)
        self.parts.add(Answers(images, np.ones(len(images), bool), best, rounded))

    def _unreadable(self, image: int) -> None:
        blank = np.zeros((1, self.columns, self.outputs), np.float16)
        best = blank[..., :5].astype(np.int16)
        self.parts.add(Answers(np.array([image]), np.zeros(1, bool), best, blank))
