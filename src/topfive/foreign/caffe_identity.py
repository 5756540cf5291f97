"""Which of the released networks a Caffe file holds, by the names and the order of its layers."""

from pathlib import Path

from topfive.foreign.caffe_graph import in_order
from topfive.foreign.caffe_networks import RELEASED, Released
from topfive.foreign.caffemodel import CaffeModel
from topfive.problems import Problem


def identified(file: CaffeModel, model: str | None, path: Path) -> Released:
    """The network whose layers the file has, or else the one that it resembles most.

    model: as caffe.load takes it. Raises Problem where the file resembles none, or two alike.
    """
    known = ", ".join(dict.fromkeys(one.model for one in RELEASED))
    candidates = [one for one in RELEASED if model in (None, one.model)]
    if not candidates:
        raise Problem(f"no Caffe weights of model={model} are known. Name one of {known}.")
    likeness = [_likeness(file, one) for one in candidates]
    if model is None and max(likeness) < 0.5:
        raise Problem(
            f"{path} is none of the networks whose Caffe layers are known ({known}): its layers are "
            f"{', '.join(list(file.layers)[:8])}, ..."
        )
    nearest = [
        one for one, value in zip(candidates, likeness, strict=True) if value == max(likeness)
    ]
    if len(nearest) > 1:  # AlexNet and CaffeNet, which have the same weights
        nearest = [one for one in nearest if in_order(file, one)]
    if len(nearest) > 1:
        nearest = [one for one in nearest if one.title == file.name]
    if len(nearest) != 1:
        raise Problem(
            f"{path} may be BVLC's AlexNet, which normalizes before pooling, or CaffeNet, which pools first: "
            "the file does not tell. Name it: model=alexnet or model=caffenet."
        )
    return nearest[0]


def _likeness(file: CaffeModel, released: Released) -> float:
    """Layers in common, of all that either has: 0 to 1."""
    theirs = {
        name for name, layer in file.layers.items() if layer.blobs and not name.startswith("scale")
    }
    ours = set(released.learned.values())
    return len(theirs & ours) / len(theirs | ours)
