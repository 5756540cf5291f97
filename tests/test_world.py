"""Processes that belong together say so before they train."""

from types import SimpleNamespace

import pytest
import torch

from topfive.problems import Problem
from topfive.world import Guard


def trainer(steps):
    """As rank 0 sees it, where rank k continues from step steps[k]."""
    strategy = SimpleNamespace(
        root_device=torch.device("cpu"), all_gather=lambda own: torch.tensor([own, *steps[1:]])
    )
    return SimpleNamespace(world_size=len(steps), global_step=steps[0], strategy=strategy)


def test_a_node_that_lacks_the_checkpoint_is_refused():
    with pytest.raises(Problem, match=r"\(\[500, 500, 0, 0\], by rank\): .* all nodes see"):
        Guard(2, 2).on_train_start(trainer([500, 500, 0, 0]), None)


@pytest.mark.parametrize("steps", [[500], [500, 500], [0, 0, 0, 0]])
def test_processes_that_agree_are_let_through(steps):
    Guard(1, len(steps)).on_train_start(trainer(steps), None)
