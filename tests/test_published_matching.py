"""Which published numbers a score is set beside: those of the same thing, and no others."""

from typing import Any

import pytest
from records import record

from topfive.published import matching, recipes
from topfive.results import Score

CIFAR = Score("one_view", "test", 10000, 900, 40)
VAL = Score("ten_crop", "val", 50000, 12000, 3500)
RESNET34: dict[str, Any] = {
    "model": "resnet34",
    "recipe": "resnet",
    "data": "imagenet",
    "options": {"depth": 34, "shortcut": "B", "stride_on": "1x1"},
}


def alexnet(**options: object) -> dict[str, Any]:
    return {"model": "alexnet", "recipe": "alexnet", "data": "imagenet", "options": options}


NIN: dict[str, Any] = {"model": "nin_cifar", "recipe": "nin_cifar", "options": {"num_classes": 100}}
VGG16: dict[str, Any] = {"model": "vgg16", "data": "imagenet", "options": {}}


def dense(protocol: str) -> Score:
    return Score(protocol, "val", 50000, 13500, 4400)


SQUARE = Score("ten_crop_square", "val", 50000, 20000, 9000)


@pytest.mark.parametrize(
    ("changes", "score", "values"),
    [
        ({}, CIFAR, ["8.75"]),
        ({"options": {"depth": 20, "shortcut": "A", "num_classes": 10}}, CIFAR, ["8.75"]),
        ({"options": {"depth": 20, "shortcut": "B"}}, CIFAR, []),
        ({"options": {"depth": 32, "shortcut": "A"}}, CIFAR, []),
        ({"options": {"depth": 20, "shortcut": "A", "width": 32}}, CIFAR, []),
        ({"recipe": "resnet"}, CIFAR, []),
        ({"data": "cifar100"}, CIFAR, []),
        ({"model": "resnet21"}, CIFAR, []),
        (NIN | {"data": "cifar10"}, CIFAR, ["10.41"]),
        (NIN | {"data": "cifar100"}, CIFAR, ["35.68"]),
        (NIN | {"data": "cifar10", "recipe": "nin_cifar_augmented"}, CIFAR, ["8.81"]),
        ({}, Score("one_crop", "test", 10000, 900, 40), []),
        ({}, Score("one_view", "minival", 5000, 450, 20), []),
        ({"seed": 3}, CIFAR, ["8.75"]),
        (RESNET34, VAL, ["24.52", "7.46"]),
        (RESNET34, Score("ten_crop", "val", 50000, 12000, None), ["24.52"]),
        (RESNET34, Score("dense_multiscale", "val", 50000, 12000, 3500), ["21.84", "5.71"]),
        (RESNET34, Score("ten_crop_square", "val", 50000, 12000, 3500), []),
        (RESNET34 | {"data": "folder"}, VAL, []),
        (
            RESNET34 | {"options": {"depth": 34, "shortcut": "C", "stride_on": "1x1"}},
            VAL,
            ["24.19", "7.40"],
        ),
        (RESNET34 | {"options": {"depth": 34, "shortcut": "B", "stride_on": "3x3"}}, VAL, []),
        (
            {
                "model": "resnet110",
                "recipe": "resnet_cifar_warmup",
                "options": {"depth": 110, "shortcut": "A"},
            },
            CIFAR,
            ["6.43", "6.61"],
        ),
        (alexnet(), SQUARE, ["40.7", "18.2"]),
        (alexnet() | {"recipe": "alexnet_code"}, SQUARE, ["40.7", "18.2"]),
        (alexnet(lrn=False), SQUARE, ["42.03", "19.36"]),
        (alexnet(lrn=False, overlapping=False), SQUARE, []),
        (alexnet(dropout=0.0), SQUARE, []),
        (alexnet(without=["fc7"]) | {"recipe": "zfnet"}, SQUARE, ["40.0", "18.4"]),
        (alexnet(without=["fc7"]), SQUARE, []),
        (alexnet(), Score("ten_crop_square", "test", 150000, 60000, 25000), []),
        (
            alexnet() | {"data": "imagenet2010"},
            Score("ten_crop_square", "test", 150000, 60000, 25000),
            [],
        ),
        (VGG16 | {"recipe": "vgg_from_a"}, dense("dense_256"), ["27.0", "8.8"]),
        (VGG16 | {"recipe": "vgg_from_a"}, dense("dense_384"), []),
        (VGG16 | {"recipe": "vgg_384"}, dense("dense_384"), ["26.8", "8.7"]),
        (VGG16 | {"recipe": "vgg_jitter"}, dense("dense_384"), ["25.6", "8.1"]),
        (VGG16 | {"recipe": "vgg_from_a"}, dense("dense_multiscale"), []),
    ],
)
def test_a_score_is_set_beside_numbers_of_the_same_thing_only(
    changes: dict[str, Any], score: Score, values: list[str]
) -> None:
    assert [one.value for one in matching(record(**changes), score)] == values


def test_a_recipe_with_a_published_number_is_one_of_the_papers() -> None:
    assert recipes("lenet5") == {"lenet5", "lenet5_mse", "lenet5_distorted"}
    assert recipes("alexnet") == {"alexnet", "alexnet_code", "zfnet"}  # Zeiler and Fergus, Table 2
    assert recipes("vgg16") == {"vgg_from_a", "vgg_384", "vgg_jitter"}
    assert recipes("nobodys") == frozenset()
