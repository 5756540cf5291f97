"""Writes the training loss of every step, over all devices, to a JSON file: trace_losses.py FILE [key=value ...]

Lightning starts the other ranks by running this script again, as it does train.py.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from topfive import build
from topfive.classifier import WINDOW
from topfive.config import compose
from topfive.quiet import quiet_lightning
from topfive.runs import Run


class Trace(pl.Callback):
    """The mean loss of each step's images, from the sums that the classifier keeps of a window of steps."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.before = torch.zeros(5, dtype=torch.float64)
        self.first: dict[str, torch.Tensor] = {}

    def on_train_start(self, trainer, pl_module) -> None:
        self.first = {k: p.detach().clone() for k, p in pl_module.net.named_parameters()}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.fit_loop.epoch_loop._should_accumulate():
            return
        sums = trainer.strategy.reduce(pl_module.window.sums.clone(), reduce_op="sum")
        loss, _, _, images, _ = (sums - self.before).tolist()
        self.losses.append(loss / images)
        self.before = torch.zeros_like(sums) if trainer.global_step % WINDOW == 0 else sums

    def still(self, net: torch.nn.Module) -> list[str]:
        """The parameters that training left as they were."""
        return [k for k, p in net.named_parameters() if torch.equal(self.first[k], p)]


def losses(folder: Path, *overrides: str) -> dict[str, Any]:
    """Trains in `folder`: the loss of every step, and the parameters that did not move."""
    quiet_lightning()
    folder.mkdir(parents=True, exist_ok=True)
    config = compose(
        [*overrides, "trainer.progress=false", "logger=csv", "trainer.check_every=1000"]
    )
    data = build.data_module(config)
    trainer = build.trainer(config, Run(folder, None), data)
    trace = Trace()
    trainer.callbacks.append(trace)
    module = build.classifier(config, data, trainer, trained=False)
    trainer.fit(module, data)
    return {
        "world_size": trainer.world_size,
        "losses": trace.losses,
        "still": trace.still(module.net),
    }


def main(file: str, *overrides: str) -> None:
    found = losses(Path(file).parent, *overrides)
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        Path(file).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
