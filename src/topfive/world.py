"""Refuses to train with another number of processes than was asked for, or with processes that disagree."""

import pytorch_lightning as pl
import torch
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

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A node that does not see the run's directory would begin at step 0 what the others continue."""
        if trainer.world_size == 1:
            return
        step = torch.tensor(trainer.global_step, device=trainer.strategy.root_device)
        steps = [int(one) for one in trainer.strategy.all_gather(step)]
        if len(set(steps)) > 1:
            raise Problem(
                f"the processes continue from different steps ({steps}, by rank): the run's directory must be "
                f"on a file system that all nodes see."
            )
