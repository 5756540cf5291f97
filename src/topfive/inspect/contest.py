"""The contest by year: its error and the depth of the networks that entered."""

from pathlib import Path

from matplotlib.lines import Line2D

from topfive.inspect.labels import COLORS, figure, save
from topfive.inspect.overview import counts
from topfive.published import Published, load

# Entries of the classification task, and the deepest network of each that is in conf/model.
CONTEST = {
    "NEC-UIUC": None,
    "XRCE": None,
    "SuperVision": "alexnet",
    "Clarifai": None,
    "VGG": "vgg19",
    "GoogLeNet": "googlenet",
    "ResNet ensemble": "resnet152",
}
SHALLOW = 2011  # up to this year the entries were no deep networks
GRAY = "#9a9a9a"


def contest(folder: Path) -> list[Path]:
    """Writes depth_and_error_by_year: two rows of bars over the same entries."""
    entries = [entry(name) for name in CONTEST]
    depths = [counts(network).layers if network else 0 for network in CONTEST.values()]
    labels = [f"{one.network.removesuffix(' ensemble')}\n{one.paper.year}" for one in entries]
    colors = [COLORS[0] if depth else GRAY for depth in depths]
    human = next(one for one in load() if one.network == "human annotator A1")
    with figure(9, 7) as made:
        above, below = made.subplots(2, 1, sharex=True)
        errors = [one.number for one in entries]
        bars = above.bar(labels, errors, color=colors, width=0.6)
        texts = [f"{error:.1f}" for error in errors]
        above.bar_label(bars, texts, label_type="center", color="white", weight="bold")
        above.axhline(human.number, color=COLORS[1], lw=1, ls="--")
        line = Line2D([], [], color=COLORS[1], lw=1, ls="--")
        line.set_label(f"a trained human on 1,500 of the images: {human.value}")
        above.legend(handles=[line], loc="upper right")
        above.set_ylabel("top-5 error in %, test server")
        above.set_title("ILSVRC classification: error and depth of the entries")
        bars = below.bar(labels, depths, color=colors, width=0.6)
        unknown = [
            "shallow" if (one.paper.year or 0) <= SHALLOW else "not published" for one in entries
        ]
        texts = [str(depth or word) for depth, word in zip(depths, unknown, strict=True)]
        below.bar_label(bars, texts, padding=2)
        below.set_ylabel("layers with weights, the deepest network")
        for axes in (above, below):
            axes.grid(axis="x", visible=False)
            axes.margins(y=0.12)
        return save(made, folder, "depth_and_error_by_year")


def entry(name: str) -> Published:
    """The contest's result of that name on its test server, without outside data."""
    return next(
        one
        for one in load()
        if one.network == name and one.split == "test" and one.quantity == "top5_error"
        if one.data.startswith("imagenet") and one.role != "restated"
    )
