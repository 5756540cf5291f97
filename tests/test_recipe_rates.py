"""The rate of every recipe at every step that matters, written down from the papers by hand.

A recipe is a line of RECIPES: where its rate changes, in steps of the run, and to what. A step is an
update, for LeNet-5 a block of 100. From the line follow the steps that are looked at: the first and
the last, and for every change the one before and the one at it.
"""

import math
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cache

import pytest
import torch

from topfive.architecture import architecture
from topfive.clock import Clock, unit
from topfive.config import compose, options
from topfive.parameter_groups import parameter_groups
from topfive.rates import Rates, listens, own_laws

IMAGENET, CIFAR, MNIST = 1_281_167, 50_000, 60_000
HELD_OUT = IMAGENET - 10_000  # where the schedule listens to a minival
CLASSES = {"imagenet": 1000, "cifar10": 10, "cifar100": 100, "mnist": 10}


@dataclass(frozen=True)
class Row:
    """model: what to compose it with; images: of an epoch; steps: of the whole run.

    rates: by the step from which on they hold. at: single steps, for a law that changes all the time.
    groups: by pattern of parameters' names, what those have that do not learn at the main rate, as a
    multiple of it or as rates; the last pattern that fits counts. looks: every so many steps the
    minival is looked at, and found at 50% each time. training: errors, by the step before which they
    are heard.
    """

    model: str
    images: int
    steps: int
    rates: dict[int, float] = field(default_factory=dict)
    at: dict[int, float] = field(default_factory=dict)
    groups: dict[str, float | dict[int, float]] = field(default_factory=dict)
    looks: int | None = None
    training: dict[int, float] = field(default_factory=dict)

    def main(self) -> dict[int, float]:
        """The main rate at every step to look at."""
        return self._stairs(self.rates) | self.at

    def group(self, pattern: str) -> dict[int, float]:
        """The rate of a pattern of `groups`, likewise."""
        rates = self.groups[pattern]
        if isinstance(rates, dict):
            return self._stairs(rates)
        return {step: rates * main for step, main in self.main().items()}

    def _stairs(self, rates: dict[int, float]) -> dict[int, float]:
        changes = self.rates.keys() | rates.keys()
        steps = {*changes, *(step - 1 for step in changes), self.steps - 1}
        starts = {step: [start for start in rates if start <= step] for step in steps}
        return {step: rates[max(known)] for step, known in starts.items() if known}


def staircase(rate: float, factor: float, every: Fraction, steps: int) -> dict[int, float]:
    """`rate` times factor^n from the whole step nearest to n times `every` on."""
    last = math.floor(steps / every)
    return {math.ceil(n * every - Fraction(1, 2)): rate * factor**n for n in range(last + 1)}


# He et al. 2015, section 4.2: divided by 10 at 32k and 48k; He et al. 2016, appendix: at 30 and 60 epochs of ImageNet.
RESNET_CIFAR = {0: 0.1, 32_000: 0.01, 48_000: 0.001}
RESNET = {0: 0.1, 150_137: 0.01, 300_274: 0.001}  # batch 256: 150,136.8 and 300,273.5
# KaimingHe/resnet-1k-layers: 781.25 steps an epoch.
BATCH_64 = {0: 0.01, 400: 0.1, 62_500: 0.01, 94_531: 0.001}
# Krizhevsky et al. 2012, section 5: three times a tenth; here 5 epochs after the minival stands still. The first look,
# at 9,931 (1,271,167 / 128 = 9,930.99), is the best, so the sixth finds no progress, then the eleventh, the sixteenth.
STANDSTILL = {0: 0.01, 59_586: 1e-3, 109_241: 1e-4, 158_896: 1e-5}
# Run 145 of their code: a tenth at epochs 25, 51, 79 of 91, of 10,009.117 steps; conv1 has its own at 67 and 72.
RUN_145 = {0: 0.01, 250_228: 1e-3, 510_465: 1e-4, 790_720: 1e-5}
RUN_145_GROUPS = {
    "*.bias": {0: 0.02},
    "conv1.weight": {0: 0.01, 250_228: 1e-3, 510_465: 1e-4, 670_611: 1e-5, 720_656: 0},
}
# Simonyan & Zisserman 2014, section 3.1: the same at batch 256; a look every 4,965 (4,965.5) steps.
VGG = Row("vgg11", HELD_OUT, 370_000, {0: 0.01, 29_790: 1e-3, 54_615: 1e-4, 79_440: 1e-5}, looks=4_965)  # fmt: skip
# Section 3.1: S = 384 begins at 0.001.
VGG_ON = Row("vgg16", HELD_OUT, 370_000, {0: 1e-3, 29_790: 1e-4, 54_615: 1e-5, 79_440: 1e-6}, looks=4_965)  # fmt: skip
# Springenberg et al. 2014, section 3: a tenth at epochs 200, 250, 300 of 350; batch 256, 195.3125 steps each.
ALLCNN = Row("allcnn_c", CIFAR, 68_359, {0: 0.05, 39_062: 5e-3, 48_828: 5e-4, 58_594: 5e-5})
# models/bvlc_reference_caffenet/solver.prototxt: a tenth every 100,000; train_val.prototxt: biases twice.
CAFFENET = {0: 0.01, 100_000: 1e-3, 200_000: 1e-4, 300_000: 1e-5, 400_000: 1e-6}
# The readme of mavenlin/cuda-convnet: 200, 30 and 30 epochs of 390.625 steps, "all the epsW" a tenth each time;
# NIN/cifar-10_params: epsB twice epsW, both a tenth for cccp6.
NIN = {0: 0.1, 78_125: 0.01, 89_844: 1e-3}
NIN_GROUPS = {"*.bias": {0: 0.2}, "cccp6.weight": 0.1, "cccp6.bias": {0: 0.02}}
NIN_CIFAR = Row("nin_cifar", CIFAR, 101_562, NIN, groups=NIN_GROUPS)
NIN_MNIST = {0: 0.1, 93_750: 0.01, 107_812: 1e-3}  # the same of 468.75 steps: 107,812.5
# solver.prototxt of the author's gist d802a5849de39225bcc6; train_val.prototxt: biases twice.
NIN_IMAGENET = {0: 0.01, 200_000: 1e-3, 400_000: 1e-4}
# LeCun et al. 1998, section III-B: passes 1-2, 3-5, 6-8, 9-12, 13-20, of 600 blocks.
LENET = {0: 5e-4, 1_200: 2e-4, 3_000: 1e-4, 4_800: 5e-5, 7_200: 1e-5}
# Szegedy et al. 2014, section 6: 0.96 every 8 epochs, batch 32; models/bvlc_googlenet: 0.01, biases twice.
GOOGLENET = staircase(0.01, 0.96, Fraction(8 * IMAGENET, 32), 10_000_000)
# Its quick_solver.prototxt: 0.01 (1 - k / 2,400,000)^0.5; three quarters and 84 % of the way leave 0.5 and 0.4.
POLY = {0: 0.01, 1_800_000: 0.005, 2_016_000: 0.004, 2_399_999: 0.01 / 2_400_000**0.5}
# Ioffe & Szegedy 2015, section 4.2: 0.0015, lowered as GoogLeNet's; 5 and 30 times that, lowered six times as fast.
BN_BASELINE = staircase(0.0015, 0.96, Fraction(8 * IMAGENET, 32), 31_000_000)
BN_X5 = staircase(0.0075, 0.96, Fraction(8 * IMAGENET, 6 * 32), 6_000_000)
BN_INCEPTION = staircase(0.045, 0.96, Fraction(8 * IMAGENET, 6 * 32), 6_000_000)
# Tan & Le 2019, section 5.2: 0.97 every 2.4 epochs; models/official/efficientnet: 350 epochs at 2,048 images, 0.016 for
# every 256 of them, and 5 epochs (3,127.9 steps) of warm-up.
EFFICIENTNET = staircase(0.128, 0.97, Fraction(12 * IMAGENET, 5 * 2048), 218_949)
WARM = {k: v for k, v in EFFICIENTNET.items() if k > 3_128} | {3_128: 0.128 * 0.97**2}
CLIMB = {0: 0.0, 1_564: 0.064, 3_127: 0.128 * 3_127 / 3_128}

# layer-params-conv-local-11pct.cfg: its head lowers epsW to a tenth and a hundredth for the last 10 epochs each, and
# leaves epsB.
EPS_W = {0: 1e-3, 195_312: 1e-4, 199_219: 1e-5}
EPS_B = {"*.bias": {0: 0.002}}
# He et al. 2016, appendix: 0.01 for 400 iterations; 2015, section 4.2: until the training error is below 80%.
WARM_UP = {**RESNET_CIFAR, 0: 0.01, 400: 0.1}
ERRORS = {350: 0.8, 400: 0.79}

RECIPES = {
    "alexnet": Row("alexnet", HELD_OUT, 893_789, STANDSTILL, looks=9_931),
    "alexnet_code": Row("alexnet", IMAGENET, 910_830, RUN_145, groups=RUN_145_GROUPS),
    "allcnn": ALLCNN,
    "allcnn_augmented": ALLCNN,
    "allcnn_imagenet": Row("allcnn_imagenet", IMAGENET, 450_000, NIN_IMAGENET),  # the same rates
    "bn_inception": Row("bn_inception", IMAGENET, 6_000_000, BN_INCEPTION),
    "bn_inception_baseline": Row("bn_inception", IMAGENET, 31_000_000, BN_BASELINE),
    "bn_inception_x5": Row("bn_inception", IMAGENET, 6_000_000, BN_X5),
    "bvlc_alexnet": Row("caffenet", IMAGENET, 450_000, CAFFENET, groups={"*.bias": 2}),
    "bvlc_quick": Row("googlenet", IMAGENET, 2_400_000, at=POLY, groups={"*.bias": 2}),
    "caffenet": Row("caffenet", IMAGENET, 450_000, CAFFENET, groups={"*.bias": 2}),
    "cuda_convnet": Row("cuda_convnet", CIFAR, 203_125, EPS_W, groups=EPS_B),
    "efficientnet": Row("efficientnet_b0", IMAGENET, 218_949, WARM, at=CLIMB),
    # train_imagenet.py, get_cyclic_lr: 4,096 images, 312.8 steps an epoch; up in 2 epochs, down to 0 at 16.
    "ffcv_16": Row("resnet50", IMAGENET, 5_005, at={0: 1.7e-4, 313: 0.850085, 626: 1.7, 5_004: 1.7 / 4_379}),
    "googlenet": Row("googlenet", IMAGENET, 10_000_000, GOOGLENET, groups={"*.bias": 2}),
    "lenet5": Row("lenet5", MNIST, 12_000, LENET),
    "lenet5_distorted": Row("lenet5", 10 * MNIST, 12_000, LENET),
    "lenet5_fast": Row("lenet5", MNIST, 18_750, {0: 2e-3, 1_875: 1e-3, 4_688: 5e-4, 7_500: 2e-4, 11_250: 1e-4}),  # ours
    "lenet5_mse": Row("lenet5", MNIST, 12_000, LENET),
    # Procedure A2, 2,048 images: 5 of 300 epochs of warm-up, half a cosine to 1e-6, at its third 3/4 of the way.
    "modern": Row("resnet50", IMAGENET, 187_671, at={0: 0.0, 1_564: 0.0025, 62_557: 1e-6 + 0.75 * 0.004999}),
    # The same in 7,324 steps of CIFAR-10, 122 of them warm-up; half of the cosine is half of the way.
    "modern_cifar": Row("resnet20", CIFAR, 7_324, at={0: 0.0, 61: 0.0025, 3_662: 1e-6 + 0.5 * 0.004999}),
    # Procedure A3: 100 epochs at 0.008.
    "modern_short": Row("resnet50", IMAGENET, 62_557, at={0: 0.0, 1_564: 0.004, 3_127: 0.008 * 3_127 / 3_128}),
    "nin_cifar": NIN_CIFAR,
    "nin_cifar_augmented": NIN_CIFAR,
    "nin_imagenet": Row("nin_imagenet", IMAGENET, 450_000, NIN_IMAGENET, groups={"*.bias": 2}),
    "nin_mnist": Row("nin_cifar", MNIST, 121_875, NIN_MNIST, groups=NIN_GROUPS),
    "preact_resnet": Row("preact_resnet200", IMAGENET, 450_410, RESNET),
    # As ImageNet's, for 90 epochs; 200 of CIFAR in batches of 64, lower from the 81st and the 122nd on.
    "preact_resnet_aspect": Row("preact_resnet200", IMAGENET, 450_410, RESNET),
    "preact_resnet_cifar_64": Row("preact_resnet1001", CIFAR, 156_250, BATCH_64),
    "preact_resnet_cifar": Row("preact_resnet110", CIFAR, 64_000, WARM_UP),
    "resnet": Row("resnet50", IMAGENET, 600_000, RESNET),
    "resnet_cifar": Row("resnet20", CIFAR, 64_000, RESNET_CIFAR),
    "resnet_cifar_warmup": Row("resnet110", CIFAR, 64_000, WARM_UP, training=ERRORS),
    "vgg": VGG,
    "vgg_384": VGG_ON,
    "vgg_from_a": VGG,
    "vgg_glorot": VGG,
    "vgg_jitter": VGG_ON,
    "zfnet": Row("zfnet", HELD_OUT, 695_169, STANDSTILL, looks=9_931),
}  # fmt: skip


@cache
def composed(name):
    return compose([f"model={RECIPES[name].model}", f"recipe={name}"])


def clock_of(name):
    recipe = composed(name)["recipe"]
    updates = recipe["online"]["block"] if recipe["online"] else 1
    return Clock(RECIPES[name].images, recipe["batch_size"], updates)


def found(name, rate, steps):
    """What the recipe's laws give at `steps`, under the errors of the row."""
    row = RECIPES[name]
    rates = Rates(composed(name)["recipe"], clock_of(name))
    looks = range(row.looks, row.steps, row.looks) if row.looks else ()
    rate_at = {}
    for step in sorted({*steps, *row.training, *looks}):
        if step in row.training:
            rates.hear_training_error(row.training[step])
        if step in looks:
            rates.hear_minival_error(0.5, step)
        rate_at[step] = rates.of(rate, step)
    return {step: rate_at[step] for step in steps}


@pytest.mark.parametrize("name", RECIPES)
def test_a_rate_falls_in_the_unit_that_the_duration_has(name):
    """Else a shortened run on another set of images would bend the schedule: it did, for five recipes."""
    recipe = composed(name)["recipe"]
    (duration, _) = unit(recipe["duration"])
    for law in (recipe["schedule"], *own_laws(recipe).values()):
        for length in (law[key] for key in ("at", "every", "until", "over") if key in law):
            assert unit(length)[0] == duration


def test_the_rate_of_a_shortened_resnet_falls_at_a_quarter_and_a_half_on_any_set():
    clock = Clock(images=2200, batch=32, shorten=600_000 / 200)
    rates = Rates(composed("resnet")["recipe"], clock)
    at = [rates(step) for step in (0, 49, 50, 99, 100, 199)]
    assert at == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_no_recipe_is_left_out():
    assert set(RECIPES) == set(options("recipe"))


@pytest.mark.parametrize("name", RECIPES)
def test_the_main_rate_is_the_papers_before_and_at_every_change(name):
    row, recipe = RECIPES[name], composed(name)["recipe"]
    assert clock_of(name).steps(recipe["duration"]) == row.steps
    assert listens(recipe) == (row.looks is not None)
    expected = row.main()
    assert len(expected) >= 3
    assert found(name, 1.0, expected) == {
        k: pytest.approx(v, rel=1e-9) for k, v in expected.items()
    }


@pytest.mark.parametrize("name", RECIPES)
def test_parameters_learn_at_the_main_rate_but_for_those_of_the_row(name):
    row, config = RECIPES[name], composed(name)
    recipe = config["recipe"]
    assert bool(row.groups) == bool(recipe.get("rates"))
    if not row.groups:
        return
    with torch.device("meta"):
        net = architecture(config, CLASSES[config["choices"]["data"]])
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    keys = ("weight_decay", "decayed", "rates", "decays")
    seen = set()
    for group in parameter_groups(net, *map(recipe.get, keys)):
        patterns = set()
        for parameter in group["params"]:
            fits = [p for p in row.groups if fnmatchcase(names[id(parameter)], p)]
            patterns.add(fits[-1] if fits else None)
        (pattern,) = patterns
        seen.add(pattern)
        expected = row.main() if pattern is None else row.group(pattern)
        rates = found(name, group["rate"], expected)
        assert rates == {k: pytest.approx(v, rel=1e-9) for k, v in expected.items()}
    assert seen == {None, *row.groups}
