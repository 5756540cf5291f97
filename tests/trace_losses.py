"""Writes the training loss of every step, over all devices, to a JSON file: trace_losses.py FILE [key=value ...]

Lightning starts the other ranks by running this script again, as it does train.py.
"""

import json
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch

from topfive import build
from topfive.config import compose
from topfive.quiet import quiet_lightning
from topfive.runs import Run


class Trace(pl.Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        loss = outputs["loss"].detach().double() / trainer.world_size
        self.losses.append(float(trainer.strategy.reduce(loss, reduce_op="sum")))


def main(file: str, *overrides: str) -> None:
    quiet_lightning()
    config = compose(
        [*overrides, "trainer.progress=false", "logger=csv", "trainer.check_every=1000"]
    )
    data = build.data_module(config)
    trainer = build.trainer(config, Run(Path(file).parent, None), data)
    trace = Trace()
    trainer.callbacks.append(trace)
    module = build.classifier(config, data, trainer, trained=False)
    trainer.fit(module, data)
    if trainer.is_global_zero:
        content = {
            "world_size": torch.distributed.get_world_size() if trainer.world_size > 1 else 1
        }
        Path(file).write_text(json.dumps({**content, "losses": trace.losses}))


if __name__ == "__main__":
    main(*sys.argv[1:])
