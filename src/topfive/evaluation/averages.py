"""Where scores become probabilities, and over what they are averaged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from topfive.layers import SlidingAverage
from topfive.problems import Problem
from topfive.protocols import Head, Protocol

Averaged = Literal["logits", "probabilities"]
WINDOW = 7  # of the released networks' last pooling, in maps of which an image of 224 pixels leaves 7 x 7
POOLS = ("average_pool", "pool5")  # what the networks that have such a pooling call it


@dataclass(frozen=True)
class Averages:
    """head: how a network that has both averages its last maps; None as the protocol says, or the network.

    space: what is averaged over the places of a class map; VGG (section 3.2) speaks of scores there, and of
    posteriors over views. views: what is averaged over the views; logits is what fb.resnet.torch's ten-crop
    test does. What the papers do not do is part of the protocol's name in results.
    """

    head: Head | None = None
    space: Averaged = "logits"
    views: Averaged = "probabilities"

    def __post_init__(self) -> None:
        for key, kinds in (("head", Head), ("space", Averaged), ("views", Averaged)):
            value = getattr(self, key)
            if value not in get_args(kinds) and not (key == "head" and value is None):
                raise Problem(
                    f"averages.{key}={value}: expected one of {', '.join(get_args(kinds))}."
                )

        if (self.space, self.views) == ("probabilities", "logits"):
            raise Problem(
                "averages.space=probabilities leaves no logits to average over views: leave out averages.views=logits, "
                "or averages.space."
            )

    def head_of(self, protocol: Protocol) -> Head | None:
        """The head that the views of `protocol` are read by."""
        return protocol.head if self.head is None else self.head

    def name(self, protocol: Protocol) -> str:
        """What results call `protocol`, averaged so."""
        said = [protocol.name]
        if self.head is not None and self.head != protocol.head:
            said.append(f"{self.head}_head")
        if self.space != "logits":
            said.append("softmax_first")
        if self.views != "probabilities" and protocol.views > 1:
            said.append("mean_of_logits")
        return "+".join(said)


def pooling(net: nn.Module) -> str | None:
    """The name of the last pooling, where the network has one that could slide."""
    kinds = (SlidingAverage, nn.AdaptiveAvgPool2d)
    # Without a class map there is nothing to slide over: CIFAR's networks.
    found = [n for n in POOLS if isinstance(getattr(net, n, None), kinds)]
    return found[0] if found and hasattr(net, "class_map") else None


@contextmanager
def headed(net: nn.Module, head: Head | None) -> Iterator[None]:
    """`net` with its maps averaged by `head`; None, or a network without that choice, as it is."""
    name = pooling(net)
    if head is None or name is None:
        yield
        return
    own = getattr(net, name)
    setattr(net, name, nn.AdaptiveAvgPool2d(1) if head == "global" else SlidingAverage(WINDOW))
    try:
        yield
    finally:
        setattr(net, name, own)


def class_maps(net: nn.Module, images: Tensor) -> Tensor:
    """Scores (batch, classes, height, width) of the network's input; 1 x 1 of networks of one size."""
    class_map: Callable[[Tensor], Tensor] | None = getattr(net, "class_map", None)
    if class_map is not None:
        return class_map(images)
    scores: Tensor = net(images)
    return scores[:, :, None, None]


def over_space(maps: Tensor, averaged: Averaged) -> tuple[Tensor, Tensor]:
    """Class maps to (logits, probabilities) of each view, (batch, classes) in float32.

    Of a mean of probabilities the logits are its logarithm.
    """
    maps = maps.float()
    if averaged == "logits":
        logits = maps.mean((2, 3))
        return logits, logits.softmax(1)
    probabilities = maps.softmax(1).mean((2, 3))
    return probabilities.log(), probabilities
