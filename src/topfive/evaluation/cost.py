"""What a test will take, said before it begins; and whether the network can be shown all that it asks for."""

import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from topfive.architecture import architecture
from topfive.evaluation.averages import Averages, class_maps, headed
from topfive.evaluation.plan import plan
from topfive.evaluation.waiting import Kind
from topfive.problems import Problem
from topfive.protocols import Protocol
from topfive.trained import Trained


@dataclass(frozen=True)
class Cost:
    """Of one image of `shape` (height, width) under all protocols.

    views: as the protocols count them; shown: the distinct ones, which the network sees; multiply_adds: of those.
    kinds: how many are of each kind; each: multiply-adds of one.
    """

    shape: tuple[int, int]
    views: int
    shown: int
    multiply_adds: int
    kinds: dict[Kind, int]
    each: dict[Kind, int]

    def sentence(self, images: int, seconds: float, devices: int) -> str:
        """What is printed; `seconds` is the measured time of one image on one device."""
        views = "1 view" if self.views == 1 else f"{self.views} views"
        equal = "" if self.shown == self.views else f" ({self.shown} of them distinct)"
        where = "1 device" if devices == 1 else f"{devices} devices"
        return (
            f"{images:,} images, {views} of each{equal}, {self.multiply_adds / 1e9:,.3g} G multiply-adds an image "
            f"of {self.shape[1]} x {self.shape[0]}: about {_told(images * seconds / devices)} on {where}, plus "
            f"decoding"
        )


def cost(
    trained: Trained,
    protocols: tuple[Protocol, ...],
    averages: Averages,
    shape: tuple[int, int],
    outputs: int,
) -> Cost:
    """For an image of `shape`; a Problem where the network cannot take one of the views, saying why."""
    shown = plan(protocols, averages, *shape).shown
    kinds: dict[Kind, int] = {}
    for one in shown:
        kind = Kind(one.size, one.head)
        kinds[kind] = kinds.get(kind, 0) + 1
    with torch.device("meta"):
        blank = architecture(trained.config, outputs).eval()
    own = {name: tensor.shape for name, tensor in trained.net.state_dict().items()}
    if own != {name: tensor.shape for name, tensor in blank.state_dict().items()}:
        raise Problem(
            f"the network was not trained to tell the {outputs} classes of this data apart: name the data that it "
            f"was trained on."
        )
    each = {kind: _multiply_adds(trained, blank, kind) for kind in kinds}
    return Cost(
        shape,
        sum(protocol.views for protocol in protocols),
        len(shown),
        sum(each[kind] * number for kind, number in kinds.items()),
        kinds,
        each,
    )


def _multiply_adds(trained: Trained, blank: torch.nn.Module, kind: Kind) -> int:
    shape = (1, trained.channels, *kind.size)
    try:
        # The pipeline, too, may be made for views of one size.
        trained.pipeline(torch.zeros(shape, dtype=torch.uint8), None, torch.float32)
        counted = FlopCounterMode(display=False)
        with headed(blank, kind.head), counted, torch.device("meta"):
            class_maps(blank, torch.empty(shape))
        return int(counted.get_total_flops()) // 2
    except (Problem, RuntimeError) as error:
        height, width = kind.size
        raise Problem(
            f"model={trained.config['choices']['model']} cannot be shown views of {width} x {height}, which the "
            f"protocol asks for: {str(error).splitlines()[0]} Choose another protocol, such as the network's own."
        ) from error


@torch.no_grad()
def seconds(found: Cost, net: torch.nn.Module, sample: torch.Tensor) -> float:
    """Of one image's views, from a measured pass of `sample`, the network's input (batch, channels, h, w)."""
    for _ in range(2):  # the first chooses algorithms and allocates
        began = time.perf_counter()
        class_maps(net, sample).sum().item()  # waits for the device
        spent = time.perf_counter() - began
    cheapest = min(found.kinds, key=lambda kind: found.each[kind])
    return spent / len(sample) * found.multiply_adds / max(1, found.each[cheapest])


def _told(spent: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if spent >= 2 * size:
            return f"{spent / size:.3g} {unit}"
    return f"{spent:.2g} s"
