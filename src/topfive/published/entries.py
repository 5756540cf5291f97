"""What is read from the papers: sources, networks, error rates and sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from topfive.config import compose
from topfive.published.conf_files import VIEW, content, crop_size, own
from topfive.results import Json

QUANTITIES = ("top1_error", "top5_error", "top1_error_change", "top5_error_change")
SIZES = ("parameters", "multiply_adds", "layers")
ROLES = ("target", "restated", "context")
# one_crop_warped: the center of the image squeezed to a square, whatever its shape (Caffe).
# ten_crop_24: of the 32 square of CIFAR, as cuda-convnet does.
# dense_Q: the whole image at shorter side Q, and its mirror (VGG, section 3.2), averaged where
# several Q are named; dense_multiscale: at 224, 256, 384, 480 and 640 (ResNet, section 3.4).
PROTOCOLS = (
    "one_view", "one_crop", "one_crop_320", "one_crop_warped", "ten_crop", "ten_crop_24", "ten_crop_square",
    "crops144", "crops150", "crops150_and_dense_256_384_512", "dense_256", "dense_384",
    "dense_224_256_288", "dense_352_384_416", "dense_256_384_512", "dense_multiscale", "unstated",
)  # fmt: skip


@dataclass(frozen=True)
class Paper:
    """A source of numbers; those that change as they go, such as readmes, have no year."""

    key: str
    citation: str
    year: int | None = None


@dataclass(frozen=True)
class Network:
    """One of conf/model as its paper has it: the recipes that are the paper's, and the options."""

    name: str
    paper: Paper
    recipes: tuple[str, ...]

    @cached_property
    def options(self) -> Mapping[str, Json]:
        """What conf/model gives the network, without its number of classes."""
        model = {**content("model", self.name)["model"]}
        for option, value in model.items():
            if value == VIEW:
                model[option] = crop_size(own(self.name)["recipe"])
        if any("${" in str(value) for value in model.values()):
            model = compose([f"model={self.name}"])["model"]
        return {k: v for k, v in model.items() if k not in ("_target_", "num_classes")}


@dataclass(frozen=True, kw_only=True)
class Published:
    """One printed number, in percent (`*_change`: in points), with what it was measured on and how.

    `options` differ from those of `home`, which is None for networks we do not build. `networks` is
    None where the source does not say how many were averaged; `averages` says how many of which, where
    an average is of several of ours.
    """

    network: str
    home: Network | None
    options: Mapping[str, Json]
    recipes: tuple[str, ...]
    data: str
    split: str
    protocol: str
    quantity: str
    value: str
    std: str | None = None
    statistic: str = "single"
    networks: int | None = 1
    averages: Mapping[str, int] = field(default_factory=dict)
    role: str = "target"
    hidden_labels: bool = False
    cannot_run: str | None = None
    unverified: str | None = None
    note: str | None = None
    paper: Paper
    where: str

    @property
    def number(self) -> float:
        """The value without its printed form."""
        return float(self.value.lstrip("<> "))

    @property
    def bound(self) -> str | None:
        """Where the source prints only a bound: `<` or `>`."""
        return self.value[0] if self.value[0] in "<>" else None

    @property
    def members(self) -> Mapping[str, int]:
        """How many networks of ours it takes of which; empty where it is of others."""
        return self.averages or ({self.network: self.networks or 1} if self.home else {})

    @property
    def verified(self) -> bool:
        """False where `unverified` says why the value is not certain."""
        return self.unverified is None

    @property
    def measured(self) -> tuple[str, ...]:
        """What this number is a measurement of; no two targets share it."""
        how = (self.data, self.split, self.protocol, self.quantity, str(self.networks))
        return (self.network, _said(self.options), ",".join(self.recipes), *how, self.statistic)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells this entry from every other one."""
        return (*self.measured, self.role, self.paper.key, self.where)


@dataclass(frozen=True, kw_only=True)
class Size:
    """One printed size of a network of ours: `value` as printed ("60M", "3.6e9", "22").

    `quantity` is parameters, multiply_adds (of one image at the size the recipe trains on) or layers
    (convolutions and full connections on the longest path, as the papers count depth). `options`
    differ from the network's own; `unmet` says why its exact count does not round to `value`.
    """

    network: str
    options: Mapping[str, Json]
    quantity: str
    value: str
    paper: Paper
    where: str
    unmet: str | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What tells this size from every other one."""
        return (self.network, _said(self.options), self.quantity, self.paper.key, self.where)


def _said(options: Mapping[str, Json]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(options.items()))
