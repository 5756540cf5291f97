"""First weights that come from another run: what a recipe's `initialization` names for it.

Which run a recipe wants, and what follows from the one it got, is predecessors.py's.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor, nn

from topfive import checkpoints
from topfive.initializers import gaussian, known, layers_of
from topfive.predecessors import KEY
from topfive.problems import Problem
from topfive.runs import checkpoint_of

# The first four convolutions of VGG's net A and its three fully connected layers.
FROM_A = ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8")


def from_net_a(net: nn.Module, std: float, checkpoint: str, layers: Sequence[str] = FROM_A) -> None:
    """VGG's deeper nets (arXiv:1409.1556, section 3.1): N(0, std^2), biases 0, then `layers` of a trained A.

    "The first four convolutional layers" of A fit a deeper net by name only. `checkpoint`: the directory
    of A's run, or its checkpoint file. Raises Problem where it is absent, damaged or of another shape.
    """
    own = layers_of(net)
    known(own, layers, "layers")
    trained, file = _trained(checkpoint)
    gaussian(net, std)
    for name in (n for n in own if any(fnmatchcase(n, pattern) for pattern in layers)):
        for part, parameter in own[name].named_parameters():
            value = trained.get(f"net.{name}.{part}")
            if value is None:
                raise Problem(
                    f"the checkpoint {file} has no {name}.{part}: it is not of net A. Name a run of model=vgg11 in "
                    f"{KEY}, or fewer layers in recipe.initialization.layers."
                )
            if value.shape != parameter.shape:
                raise Problem(
                    f"{name}.{part} is {tuple(value.shape)} in the checkpoint {file} and {tuple(parameter.shape)} "
                    f"here. Train net A on data of as many classes and with the same recipe.crop.size, or leave "
                    f"{name} out of recipe.initialization.layers."
                )
            with torch.no_grad():
                parameter.copy_(value)


def from_run(net: nn.Module, checkpoint: str) -> None:
    """All weights of a run of the same network, running averages included (arXiv:1409.1556, section 3.1).

    `checkpoint`: the run's directory, or its checkpoint file. Nothing else of the run goes on: rate,
    momentum and order start anew. Raises Problem where it is absent, damaged or of another network.
    """
    state, file = _trained(checkpoint)
    # Beside the network a checkpoint holds what was done to the images, which is this recipe's own.
    trained = {k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")}
    own = net.state_dict()
    strange = sorted(own.keys() ^ trained.keys())
    if strange:
        side = "lacks" if strange[0] in own else "has besides"
        raise Problem(
            f"the checkpoint {file} is of another network: it {side} {strange[0]} "
            f"({len(strange)} names differ). Name a run of this very network, its options included, in {KEY}."
        )
    for name, value in own.items():
        if trained[name].shape != value.shape:
            raise Problem(
                f"{name} is {tuple(trained[name].shape)} in the checkpoint {file} and {tuple(value.shape)} here. "
                f"Name a run of this very network in {KEY}, trained on data of as many classes and with the "
                f"same recipe.crop.size."
            )
    net.load_state_dict(trained)


def _trained(checkpoint: str) -> tuple[Mapping[str, Tensor], Path]:
    """The weights of a run, and the file that they are from."""
    file = checkpoint_of(Path(checkpoint))
    if not file.exists():
        raise Problem(f"{KEY}={checkpoint}: there is no {file}. Name the directory of a run.")
    return checkpoints.read(file, "state_dict", f"name another run in {KEY}."), file
