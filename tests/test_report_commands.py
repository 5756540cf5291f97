"""The commands that the table names for a published number: what they train, and how they test it."""

import re
import shlex
from dataclasses import replace
from typing import Any

import pytest

from topfive.config import compose, options
from topfive.published import Published, load
from topfive.report.commands import command
from topfive.report.lines import lines

PUBLISHED = load()


def target(network: str, value: str, **facts: Any) -> Published:
    return next(
        one
        for one in PUBLISHED
        if (one.network, one.value, one.role) == (network, value, "target")
        if all(getattr(one, key) == expected for key, expected in facts.items())
    )


OUT = "outputs"
SQUARE = "python -m topfive.evaluate run=$run protocol=ten_crop_square"
COMMANDS = [
    (target("resnet20", "8.75"), ["python train.py model=resnet20"]),
    (target("resnet110", "6.61"), ["python train.py -m model=resnet110 seed=0,1,2,3,4"]),
    (target("lenet5", "0.8"), ["python train.py model=lenet5 recipe=lenet5_distorted"]),
    (target("nin_cifar", "35.68"), ["python train.py model=nin_cifar data=cifar100"]),
    (
        target("nin_cifar", "0.47"),
        [
            "python train.py model=nin_cifar recipe=nin_mnist data=mnist model.net=mnist model.input_size=28"
        ],
    ),
    (target("allcnn_c", "9.08"), ["python train.py sweep=lr model=allcnn_c"]),
    (
        target("resnet34", "5.60"),
        [
            "python train.py model=resnet34 model.shortcut=C",
            "python -m topfive.evaluate run=outputs/resnet34/resnet/TIME protocol=dense_multiscale",
        ],
    ),
    (
        target("vgg16", "26.8"),
        [
            "python train.py model=vgg11",
            f"python train.py model=vgg16 recipe.initialization.checkpoint={OUT}/vgg11/vgg/TIME",
            f"python train.py model=vgg16 recipe=vgg_384 recipe.initialization.checkpoint={OUT}/vgg16/vgg_from_a/TIME",
            "python -m topfive.evaluate run=outputs/vgg16/vgg_384/TIME protocol=dense_384",
        ],
    ),
    (
        target("alexnet", "16.4", networks=5),
        [
            "python train.py -m model=alexnet seed=0,1,2,3,4",
            f"for run in {OUT}/alexnet/alexnet/TIME-*; do {SQUARE}; done",
            f"python -m topfive.predictions ensemble {OUT}/alexnet/alexnet/TIME-*/predictions-ten_crop_square-val.npz "
            f"--record {OUT}/ensembles/5_alexnet-ten_crop_square",
        ],
    ),
    (
        target("5 ZFNets (a) and 1 (b)", "36.0"),
        [
            "python train.py -m model=zfnet seed=0,1,2,3,4",
            f"for run in {OUT}/zfnet/zfnet/TIME-*; do {SQUARE}; done",
            "python train.py model=zfnet_big",
            "python -m topfive.evaluate run=outputs/zfnet_big/zfnet/TIME protocol=ten_crop_square",
            f"python -m topfive.predictions ensemble {OUT}/zfnet/zfnet/TIME-*/predictions-ten_crop_square-val.npz "
            f"{OUT}/zfnet_big/zfnet/TIME/predictions-ten_crop_square-val.npz "
            f"--record {OUT}/ensembles/5_zfnet+zfnet_big-ten_crop_square",
        ],
    ),
    (replace(target("resnet20", "8.75"), home=None), [""]),
]


@pytest.mark.parametrize(("one", "steps"), COMMANDS)
def test_the_command_trains_then_tests_where_the_protocol_is_another(
    one: Published, steps: list[str]
) -> None:
    assert command(one).split(" && ") == steps


def distinct() -> dict[tuple[str, ...], Published]:
    """One number of every recipe, data set and set of options."""
    made: dict[tuple[str, ...], Published] = {}
    for line in lines([], PUBLISHED):
        one = line.published
        if line.command and one.home:
            made.setdefault((one.recipes[0], one.data, *sorted(one.options)), one)
    return made


@pytest.mark.parametrize("one", distinct().values(), ids=lambda one: f"{one.network}-{one.value}")
def test_the_command_composes_to_what_the_number_is_of(one: Published) -> None:
    (train,) = [
        step
        for step in command(one).split(" && ")
        if f"train.py model={one.network}" in step.replace("-m ", "").replace("sweep=lr ", "")
        if one.recipes[0] == one.home.recipes[0] or f"recipe={one.recipes[0]}" in step  # type: ignore[union-attr]
    ][-1:]
    arguments = [
        word
        for word in shlex.split(train)[2:]
        if not re.match(r"-m$|seed=|sweep=lr|.*checkpoint=", word)
    ]
    config = compose(arguments)
    assert (config["choices"]["recipe"], config["choices"]["data"]) == (one.recipes[0], one.data)
    assert {name: config["model"][name] for name in one.options} == dict(one.options)


def test_every_protocol_of_a_command_is_one_of_conf() -> None:
    asked = {
        name
        for line in lines([], PUBLISHED)
        for name in re.findall(r"protocol=(\w+)", line.command)
    }
    assert {"dense_multiscale", "crops144", "ten_crop_square"} <= asked
    assert asked <= set(options("protocol"))
