"""Recipes of released code: each one's command is the network that its published number is of."""

import pytest
import torch
from measure import parameters
from records import record

from topfive.architecture import architecture
from topfive.config import compose
from topfive.published import matching, recipes
from topfive.results import Score

# The second line of each recipe's head names what goes with it.
COMMANDS = {
    "model=alexnet model.order=code model.within_map=true recipe=alexnet_code": (
        ["40.664", "18.210"],  # run 145
        60_965_224,
    ),
    "model=caffenet model.order=norm_pool recipe=bvlc_alexnet": (
        ["42.9", "19.8"],  # models/bvlc_alexnet/readme.md: 57.1 and 80.2 % accuracy
        60_965_224,
    ),
    "model=googlenet recipe=bvlc_quick protocol=one_crop_warped": (
        ["31.3", "11.1"],  # models/bvlc_googlenet/readme.md: 68.7 and 88.9 % accuracy
        13_378_280,  # with its auxiliary heads
    ),
    "model=nin_cifar model.net=mnist data=mnist recipe=nin_mnist": (
        ["0.47"],  # Lin et al. 2013, Table 4
        349_674,
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_of_a_released_recipe_meets_its_published_number(command):
    values, size = COMMANDS[command]
    config = compose(command.split())
    choices, mnist = config["choices"], config["choices"]["data"] == "mnist"
    assert choices["recipe"] in recipes(choices["model"])
    ours = record(
        model=choices["model"],
        recipe=choices["recipe"],
        data=choices["data"],
        options={k: v for k, v in config["model"].items() if k != "_target_"},
    )
    split, n, top5 = ("test", 10_000, None) if mnist else ("val", 50_000, 10_000)
    score = Score(choices["protocol"], split, n, 20_000 if n == 50_000 else 47, top5)
    assert [one.value for one in matching(ours, score)] == values

    with torch.device("meta"):
        net = architecture(config, 10 if mnist else 1000)
    assert parameters(net) == size
    side = config["protocol"]["size"]
    assert side == config["recipe"]["crop"]["size"]
    channels = config["recipe"]["channels"]
    scores = net.eval()(torch.empty(2, channels, side, side, device="meta"))
    assert scores.shape == (2, 10 if mnist else 1000)


def test_bvlc_differ_from_caffenet_in_the_biases_alone():
    """models/bvlc_alexnet against models/bvlc_reference_caffenet: solver and fillers."""
    theirs = compose(["model=caffenet"])["recipe"]
    ours = compose(["model=caffenet", "recipe=bvlc_alexnet"])["recipe"]
    assert set(ours["initialization"]["biases"].values()) == {0.1}
    assert set(theirs["initialization"]["biases"].values()) == {1}
    assert ours["initialization"]["biases"].keys() == theirs["initialization"]["biases"].keys()
    for recipe in (ours, theirs):
        recipe["initialization"].pop("biases")
    assert ours == theirs
