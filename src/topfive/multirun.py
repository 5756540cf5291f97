"""Keeps the jobs of a Hydra multirun apart when they train on several processes.

Lightning starts a rank by running the script again with this process's arguments and marks it by
environment variables. In a multirun those arguments are the whole sweep, and the marks outlive the
job: without this module the second of two jobs silently trains one rank on a part of the data
(Lightning #11300, #18175).
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from topfive.command_line import MULTIRUN
from topfive.runs import SWEEP

MARKS = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED")


@contextmanager
def isolated_job() -> Iterator[None]:
    """Within: the arguments of this job alone. Afterwards: no process group, the old environment."""
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        yield
        return
    arguments, run_dir = sys.argv, hydra.run.dir
    marks = {name: os.environ.get(name) for name in MARKS}
    sys.argv = [arguments[0], *hydra.overrides.task]
    if not set(MULTIRUN) & set(arguments):  # sweep=NAME, which is among them, makes a multirun
        sys.argv.append("hydra.mode=RUN")
    if not any(argument.startswith("resume=") for argument in sys.argv):
        sys.argv.append(f"resume={SWEEP}")  # as this job does
    hydra_config = HydraConfig.instance().cfg
    assert hydra_config is not None
    # Lightning hands hydra.run.dir to the ranks it starts.
    _point(hydra_config, hydra.runtime.output_dir)
    try:
        yield
    finally:
        sys.argv = arguments
        _point(hydra_config, run_dir)
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()
        for name, value in marks.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _point(config: object, directory: str) -> None:
    from omegaconf import DictConfig, read_write

    assert isinstance(config, DictConfig)
    with read_write(config.hydra):
        config.hydra.run.dir = directory
