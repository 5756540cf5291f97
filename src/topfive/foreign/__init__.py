"""Weights that others trained: weights=torchvision:NAME, timm:NAME, caffe:FILE or cifar:FILE.

Each comes with its preprocessing, sets the options of the network that it needs, and lists both as
departures; what the network cannot follow is refused.
"""

from pathlib import Path

from topfive.problems import Problem
from topfive.trained import Trained


def load(spec: str, model: str | None) -> Trained:
    """The network that `spec` names, ready for images.

    torchvision:NAME[.TAG][:FILE] and timm:NAME[.TAG][:FILE] are downloaded where no file is named;
    caffe:FILE; cifar:FILE[:NORMALIZATION]. model: the network of conf/model, where the file does not say.
    Raises Problem for what is missing, damaged, unsafe, or of a network that is none of ours.
    """
    library, _, rest = spec.partition(":")
    name, _, file = rest.partition(":")
    if not name or library not in ("torchvision", "timm", "caffe", "cifar"):
        raise Problem(
            f"weights={spec}: expected torchvision:NAME, torchvision:NAME:FILE, timm:NAME, timm:NAME:FILE, "
            f"caffe:FILE.caffemodel or cifar:FILE."
        )
    # Only what is asked for: each import takes a second or two.
    if library == "caffe":
        from topfive.foreign import caffe

        return caffe.load(Path(rest), model)
    if library == "cifar":
        from topfive.foreign import cifar_weights

        return cifar_weights.load(rest, model)
    if library == "timm":
        from topfive.foreign.timm_weights import entry
    else:
        from topfive.foreign.torchvision_weights import entry
    from topfive.foreign.library import load as load_entry

    return load_entry(entry(name), Path(file) if file else None, model)
