"""Refuses to train with another number of processes than was asked for."""

import pytorch_lightning as pl
import torch.distributed as dist

from topfive.problems import Problem


class Guard(pl.Callback):
    """Compares the processes that really joined with devices x nodes.

    In a Hydra multirun a job can inherit the environment of the one before it, run alone on a part
    of the data and still end as if all were well (Lightning #11300, Hydra #2070).
    """

    def __init__(self, devices: int | str, nodes: int):
        self.devices, self.nodes = devices, nodes

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        joined = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        expected = trainer.num_devices * trainer.num_nodes
        if isinstance(self.devices, int) and self.devices > 0:
            expected = self.devices * self.nodes
        if joined != expected or trainer.world_size != expected:
            raise Problem(
                f"{joined} processes joined, but {expected} were asked for (trainer.devices x "
                f"trainer.num_nodes): unset LOCAL_RANK, NODE_RANK and WORLD_SIZE if an earlier job "
                f"left them."
            )
