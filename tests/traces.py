"""Twenty steps of every paper's recipe on real images, small and in float64, and their losses on file."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from small_networks import NETWORKS, RANGE, photographs
from trace_losses import losses

FOLDER = Path(__file__).with_name("traces")
STEPS = 20
# The recipes' own, but for the batch; and for the rate where at such a batch theirs diverges, leaves only zeros
# behind the last ReLU, or turns the last bit of float64 into more than 1e-8.
PHOTOGRAPHS = ["data=folder", "recipe.batch_size=4"]
CIFAR = ["data=cifar10", "data.per_class=20", "recipe.batch_size=4"]
TRACES: dict[str, Sequence[str]] = {
    "lenet5": [
        "data=mnist", "data.per_class=20", "recipe.online.block=10", "recipe.online.samples=20",
    ],
    "alexnet": [*PHOTOGRAPHS, *NETWORKS["alexnet"], "model.fc=256"],
    "caffenet": [*PHOTOGRAPHS, *NETWORKS["caffenet"], "model.fc=256", "recipe.schedule.rate=0.001"],
    "zfnet": [*PHOTOGRAPHS, *NETWORKS["zfnet"], "model.fc=256"],
    "cuda_convnet": CIFAR,
    "nin_cifar": [*CIFAR, "recipe.batch_size=2", "recipe.schedule.rate=0.01"],
    "nin_imagenet": [*PHOTOGRAPHS, *NETWORKS["nin_imagenet"], "recipe.schedule.rate=0.001"],
    "allcnn_c": CIFAR,
    "allcnn_imagenet": [*PHOTOGRAPHS, *NETWORKS["allcnn_imagenet"], "recipe.schedule.rate=0.0001"],
    # From N(0, 0.01) net A stays where it is for longer than this; section 3.1 names the remedy.
    "vgg11": [*PHOTOGRAPHS, "recipe=vgg_glorot", *NETWORKS["vgg11"]],
    "googlenet": [*PHOTOGRAPHS, *NETWORKS["googlenet"]],
    "bn_inception": [*PHOTOGRAPHS, *NETWORKS["bn_inception"]],
    "resnet18": [*PHOTOGRAPHS, *photographs(64, *RANGE), "recipe.mean.shorter=73", "recipe.bn_batch=4"],
    "resnet20": [*CIFAR, "recipe.batch_size=16", "recipe.bn_batch=8", "recipe.schedule.rate=0.01"],
    "preact_resnet164": [*CIFAR, "recipe.bn_batch=4", "model.depth=20"],
    "efficientnet_b0": [*PHOTOGRAPHS, *NETWORKS["efficientnet_b0"], "recipe.schedule.rate=0.00025"],
}  # fmt: skip


def overrides(name: str) -> list[str]:
    """All but the data's place."""
    how = ["trainer.precision=64-true", "trainer.accelerator=cpu", f"trainer.max_steps={STEPS}"]
    return [f"model={name}", *how, "loader.workers=0", "seed=0", *TRACES[name]]


def real_images(data: Path, folder: Path) -> None:
    """Links in `folder` to the small sets, and to 8 training photographs each of four of Imagenette's classes.

    What is computed from images is kept beside them: in `folder`, not in `data`.
    """
    for name in ("cifar-10-batches-py", "MNIST"):
        (folder / name).symlink_to(data / name)
    for split, count in {"train": 8, "val": 1}.items():
        for kind in sorted((data / "imagenette224" / split).iterdir())[:4]:
            (folder / split / kind.name).mkdir(parents=True)
            for file in sorted(kind.iterdir())[:count]:
                (folder / split / kind.name / file.name).symlink_to(file)


def traced(name: str, images: Path, folder: Path) -> dict[str, Any]:
    """The losses of the steps, and the names of the parameters that did not move."""
    return losses(folder, *overrides(name), f"data.root={images}")


def kept(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def keep(name: str, found: Sequence[float]) -> None:
    packages = ("torch", "torchvision", "pytorch-lightning", "timm", "pillow", "numpy")
    content = {
        "command": f"python tests/renew_traces.py {name}",
        "overrides": overrides(name),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
        "losses": list(found),
    }
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
