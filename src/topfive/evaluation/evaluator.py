"""The LightningModule of a test: what the scoring answers goes to disk."""

from collections.abc import Callable

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from topfive.evaluation.averages import Averages
from topfive.evaluation.parts import Answers, Parts
from topfive.evaluation.scoring import Scoring
from topfive.evaluation.sources import Sourced, Sources
from topfive.evaluation.waiting import Kind
from topfive.protocols import Protocol
from topfive.session import Interrupted, StopSignals
from topfive.trained import Trained


class Evaluator(pl.LightningModule):
    """Answers every image that it is handed, under all `protocols`, and puts the answers into `parts`.

    outputs: classes of the network; batch_pixels: as `Scoring` has it. Told to stop by a signal, it finishes the
    views at hand, keeps what was found and raises Interrupted.
    """

    def __init__(
        self,
        trained: Trained,
        protocols: tuple[Protocol, ...],
        averages: Averages,
        sources: Sources,
        parts: Parts,
        outputs: int,
        batch_pixels: int,
    ):
        super().__init__()
        self.net, self.pipeline = (
            trained.net,
            trained.pipeline,
        )  # what Lightning moves to the device
        self.trained, self.protocols, self.averages = trained, protocols, averages
        self.sources, self.parts = sources, parts
        self.outputs, self.batch_pixels = outputs, batch_pixels
        self.signals = StopSignals()

    def on_predict_start(self) -> None:
        self.signals.listen()
        how = (self.protocols, self.averages, self.batch_pixels)
        self.scoring = Scoring(self.trained, *how, self._keep)

    def predict_step(self, batch: list[Sourced], batch_idx: int) -> int:
        for image in batch:
            if image.shape is None:
                self._unreadable(image.image)
                continue
            self.scoring.take(image.image, self.sources.plan(image.shape), image.sources)
            self._run_while(self.scoring.queues.full)
        if batch_idx + 1 == self.trainer.num_predict_batches[0]:
            self._run_while(self.scoring.queues.longest)
        return len(batch)  # Lightning takes nothing for a mistake

    def on_predict_end(self) -> None:
        self.parts.write()
        self.trainer.strategy.barrier()

    def _run_while(self, due: Callable[[], Kind | None]) -> None:
        while (kind := due()) is not None:
            if self.signals.number:
                self.parts.write()
                raise Interrupted(self.signals.number)
            self.scoring.run(kind)

    def _keep(self, images: list[int], ranking: Tensor, probabilities: Tensor) -> None:
        best = ranking.topk(min(5, ranking.shape[2]), dim=2).indices.to(torch.int16)
        found = (best.cpu().numpy(), probabilities.half().cpu().numpy())
        self.parts.add(Answers(np.array(images), np.ones(len(images), bool), *found))

    def _unreadable(self, image: int) -> None:
        blank = np.zeros((1, len(self.protocols), self.outputs), np.float16)
        best = blank[..., :5].astype(np.int16)
        self.parts.add(Answers(np.array([image]), np.zeros(1, bool), best, blank))
