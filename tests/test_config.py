"""Everything in conf/ composes, builds, and holds no key that nobody reads."""

import copy
import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from compositions import composed, every_side
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf

from topfive import build
from topfive.architecture import architecture
from topfive.batch_transforms import MeanImage, Pipeline
from topfive.clock import Clock, unit
from topfive.config import CONF, GROUPS, compose, options, settle
from topfive.loaders.batch import still
from topfive.loaders.datamodule import LoaderSettings
from topfive.parameter_groups import parameter_groups
from topfive.preprocessing import transform
from topfive.problems import Problem

TRAIN = str(CONF.parent / "train.py")
MODELS = options("model")
# images of the training set, classes
SETS = {"imagenet": (1_281_167, 1000), "cifar10": (50_000, 10), "mnist": (60_000, 10)}

# What the code reads, and from where; a key that is in conf/ and not here is one that nobody reads.
TOP = {"model", "recipe", "data", "protocol", "trainer", "loader", "logger", "seed", "resume"}
TOP |= {"selection", "retry"}  # choice.py, job.py
RECIPE = {
    *("batch_size", "duration", "shorten", "reshuffle", "channels", "crop", "mean", "transforms"),
    *("whitening", "initialization", "online", "distorted_copies"),  # build.py
    *("bn_batch", "loss", "optimizer", "weight_decay", "decayed", "schedule"),  # classifier.py
    "departures",  # departures.py
}
# What a recipe that has nothing to say of it leaves out.
OPTIONAL = {
    *("rates", "decays"),  # rates.py, parameter_groups.py
    "starts_from",  # predecessors.py
    *("callbacks", "augment", "mixup", "sizes", "crop_shared_by", "candidates"),
}
MEAN = {"follows_crop", "shorter"}  # build.py
WHITENING = {"bias"}  # build.py
TRAINER = {
    *("accelerator", "devices", "num_nodes", "precision", "max_steps", "max_epochs"),
    *("accumulate_grad_batches", "check_every", "checkpoint_minutes", "checkpoint_every"),
    *("deterministic", "channels_last", "checkpoint_activations", "compile", "progress"),
    *("gradient_flow", "checkpoints_kept"),
}  # build.py
LOGGER = {"wandb", "project", "entity"}  # loggers.py
# What the code itself gives to a target beside its keys.
SUPPLIED = {
    "schedule": {"clock"},
    "optimizer": {"params", "lr"},
    "initialization": {"net"},
    "mixup": {"seed", "classes"},
    "sizes": {"clock", "largest"},
    "model": {"num_classes"},
}


def assert_takes(where, target, supplied=frozenset()):
    """The keys of a `_target_` are arguments of it, and with what is supplied, all that it needs."""
    keys = target.keys() - {"_target_"}
    signature = inspect.signature(get_method(target["_target_"])).parameters
    catch_all = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = {name: p for name, p in signature.items() if p.kind not in catch_all}
    assert keys <= parameters.keys() - supplied, where
    required = {n for n, p in parameters.items() if p.default is inspect.Parameter.empty}
    assert required <= keys | supplied, where


def assert_is_read(config):
    """Every key of `config` is one that the code reads, and none that it reads is missing."""
    assert config.keys() == TOP | {"choices"}
    recipe, data = config["recipe"], config["data"]
    assert recipe.keys() - OPTIONAL == RECIPE
    unit(recipe["duration"])
    assert recipe["mean"] is None or recipe["mean"].keys() == MEAN
    assert recipe["whitening"] is None or recipe["whitening"].keys() == WHITENING
    assert recipe["online"] is None or recipe["online"].keys() == {"block", "samples", "each"}
    for name in ("crop", "loss", "optimizer", "schedule"):
        assert_takes(name, recipe[name], SUPPLIED.get(name, set()))
    for key, rate in recipe.get("rates", {}).items():
        if isinstance(rate, dict):
            assert_takes(f"rates.{key}", rate, SUPPLIED["schedule"])
    for name, callback in recipe.get("callbacks", {}).items():
        if callback is not None:
            assert_takes(f"callbacks.{name}", callback)
    if "starts_from" in recipe:
        assert recipe["starts_from"].keys() == {"model", "recipes", "instead"}
    for k, entry in enumerate(recipe["transforms"]):
        assert_takes(f"transforms[{k}]", {k: v for k, v in entry.items() if k != "until"})
        if "until" in entry:
            unit(entry["until"])
    if recipe["initialization"] is not None:
        assert_takes("initialization", recipe["initialization"], SUPPLIED["initialization"])
    for name in {"augment", "mixup", "sizes"} & recipe.keys():
        assert_takes(name, recipe[name], SUPPLIED.get(name, set()))
    if "of" in recipe["loss"]:
        assert_takes("loss.of", recipe["loss"]["of"])
    assert set(build.PART) <= data.keys()
    kept_back = {*build.PART, build.SHUFFLE}
    assert_takes("data", {k: v for k, v in data.items() if k not in kept_back})
    if config["loader"]["kind"] == "webdataset":
        assert data[build.SHUFFLE].keys() == {"lanes", "window"}
    assert_takes("model", config["model"], SUPPLIED["model"])
    assert_takes("protocol", config["protocol"])
    assert config["trainer"].keys() == TRAINER
    assert config["loader"].keys() == {field.name for field in fields(LoaderSettings)}
    assert config["logger"].keys() == LOGGER


def commands():
    """Compositions in which every file of conf/ takes part."""
    groups = {g: options(g) for g in ("recipe", "data", "protocol", "trainer", "loader", "logger")}
    for k in range(max(map(len, groups.values()))):
        # The groups side by side: as many commands as the largest has files.
        yield ("model=resnet20", *(f"{g}={names[k % len(names)]}" for g, names in groups.items()))
    yield from ((f"model={model}",) for model in MODELS)
    yield from every_side()
    yield from (("model=resnet20", f"sweep={name}") for name in options("sweep"))
    yield from ((f"experiment={name}",) for name in options("experiment"))


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_key_is_read_and_every_target_takes_its_keys(command):
    assert_is_read(composed(*command))


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("recipe", "weigth_decay"),
        ("recipe.optimizer", "nesterov"),
        ("recipe.schedule", "milestones"),
        ("recipe.crop", "pad"),
        ("recipe.mean", "crop"),
        ("recipe.duration", "steps"),
        ("data", "min_val"),
        ("model", "depht"),
        ("protocol", "sizes"),
        ("trainer", "gpus"),
        ("loader", "num_workers"),
        ("logger", "wanbd"),
    ],
)
def test_a_misspelt_key_does_not_pass(place, key):
    config = copy.deepcopy(composed("model=resnet20"))
    found = config
    for name in place.split("."):
        found = found[name]
    found[key] = 1
    with pytest.raises((AssertionError, Problem)):
        assert_is_read(config)


def test_the_files_of_conf_are_all_looked_at():
    folders = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra"}
    looked_at = {argument for command in commands() for argument in command}
    assert folders == {argument.split("=")[0] for argument in looked_at}
    assert all(f"{g}={name}" in looked_at for g in folders - {"ablation"} for name in options(g))


def test_the_top_of_the_configuration_holds_what_is_read_and_the_groups():
    top = yaml.safe_load((CONF / "config.yaml").read_text())
    assert top.keys() == {"defaults", "seed", "resume", "retry", "selection", "hydra"}
    groups = [next(iter(entry)) for entry in top["defaults"] if isinstance(entry, dict)]
    in_order = [g for g in groups if not g.startswith("override")]
    assert {*in_order, "hydra"} == {path.name for path in CONF.iterdir() if path.is_dir()}
    # A model overrides these three, so it must stand after them.
    assert in_order.index("model") > max(map(in_order.index, ("recipe", "data", "protocol")))
    assert set(GROUPS) <= set(in_order)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_builds_with_its_papers_recipe_data_and_protocol(model):
    config = composed(f"model={model}")
    recipe = config["recipe"]
    images, classes = SETS[config["choices"]["data"]]
    with torch.device("meta"):
        net = architecture(config, classes)
    size = config["protocol"]["size"] if "size" in config["protocol"] else recipe["crop"]["size"]
    if sum(1 for _ in net.modules()) < 200:  # test_resnet.py looks into the deep ones
        scores = net.eval()(torch.empty(2, recipe["channels"], size, size, device="meta"))
        assert scores.shape == (2, classes)

    updates = recipe["online"]["block"] if recipe["online"] else 1
    clock = Clock(images, recipe["batch_size"], updates)
    schedule = instantiate({**recipe["schedule"], "_partial_": True, "_convert_": "all"})(clock)
    assert schedule(clock.steps(recipe["duration"]) - 1) > 0  # test_recipe_rates.py has the rest
    keys = ("weight_decay", "decayed", "rates", "decays")
    groups = parameter_groups(net, *map(recipe.get, keys))
    optimizer = instantiate({**recipe["optimizer"], "_partial_": True})(groups, lr=schedule(0))
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(net.parameters()))

    scores = torch.zeros(3, classes)
    assert instantiate(recipe["loss"])(scores, torch.tensor([0, 1, -1])).isfinite()
    crop, protocol = instantiate(recipe["crop"]), instantiate(config["protocol"])
    views = protocol.lay(300, 400)
    # A view is larger only where a network slides over it.
    assert all(crop.size <= min(view.size) for view in views)
    assert crop(300, 400, [0.5] * crop.draws).width > 0
    assert len(views) == protocol.views


@pytest.mark.parametrize("recipe", options("recipe"))
def test_the_transforms_of_a_recipe_build_and_keep_the_shape_of_a_batch(recipe):
    config = composed("model=resnet20", f"recipe={recipe}")["recipe"]
    clock = Clock(1000, config["batch_size"])
    pipeline = Pipeline([transform(entry, clock) for entry in config["transforms"]])
    size = config["crop"]["size"]
    images = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (4, config["channels"], size, size), np.uint8)
    )
    numbers = torch.arange(4)
    views = pipeline(images, still(images, numbers, numbers), torch.float32)
    assert views.shape == images.shape
    assert views.isfinite().all()


@pytest.mark.parametrize("recipe", options("recipe"))
def test_nothing_that_is_done_on_the_device_waits_for_the_host(recipe):
    # A tensor on meta has no values: whatever asks for one, as a copy to the host would, raises.
    config = composed("model=resnet20", f"recipe={recipe}")["recipe"]
    channels, size = config["channels"], config["crop"]["size"]
    transforms = [transform(t, Clock(1000, 10)) for t in config["transforms"]]
    if config["mean"] is not None:
        mean = torch.zeros(channels, size + 8, size + 8)
        transforms.insert(0, MeanImage(mean, config["mean"]["follows_crop"]))
    # Whitening, a subtraction and a product, is left out: autocast, which it switches off, knows no meta.
    pipeline = Pipeline(transforms).to("meta").train()
    images = torch.empty(4, channels, size, size, dtype=torch.uint8, device="meta")
    numbers = torch.empty(4, dtype=torch.int64, device="meta")
    training = still(images, numbers, numbers)
    assert pipeline(images, training, torch.float32).device.type == "meta"
    with pytest.raises((RuntimeError, NotImplementedError)):  # the instrument itself
        numbers.max().item()


def test_a_models_own_recipe_data_and_protocol_can_all_be_overruled():
    choices = composed(
        "model=resnet20", "recipe=resnet", "data=cifar100", "protocol=one_crop", "loader=torch"
    )["choices"]
    named = [choices[group] for group in ("model", "recipe", "data", "protocol")]
    assert named == ["resnet20", "resnet", "cifar100", "one_crop"]


def test_a_settled_configuration_is_plain_and_without_hydras_own():
    config = composed("model=resnet20")
    assert "hydra" not in config
    assert yaml.safe_load(yaml.safe_dump(config)) == config  # no OmegaConf, no ${...}
    assert "${" not in yaml.safe_dump(config)
    assert config["protocol"]["size"] == 32  # follows the recipe's crop


def test_the_quickstart_gives_way_to_a_model_on_the_command_line():
    config = composed("experiment=quickstart", "model=resnet20")
    named = [config["choices"][group] for group in ("model", "recipe", "data")]
    assert named == ["resnet20", "resnet_cifar", "digits"]
    assert config["recipe"]["shorten"] == {"epochs": 30}


def test_the_unit_of_a_duration_can_be_changed_on_the_command_line():
    config = compose(["model=resnet20", "+recipe.duration={epochs:90,iterations:null}"])
    assert unit(config["recipe"]["duration"]) == ("epochs", 90)


def test_an_unknown_model_is_refused_and_the_models_are_listed():
    with pytest.raises(MissingConfigException) as refused:
        compose(["model=resnet21"])
    assert all(f"\t{model}\n" in f"{refused.value}\n" for model in MODELS)


def test_a_misspelt_override_is_refused():
    with pytest.raises(ConfigCompositionException, match=r"recipe\.batchsize"):
        compose(["model=resnet20", "recipe.batchsize=64"])


@pytest.mark.parametrize("group", ["recipe", "data", "protocol"])
def test_without_a_recipe_data_or_protocol_the_choice_is_listed(group):
    choices = {**composed("model=resnet20")["choices"], group: None}
    with pytest.raises(Problem, match=rf"no {group} is chosen: {group}=\{{.*{options(group)[0]}"):
        settle(OmegaConf.create({}), choices)


def train(*arguments, cwd, flags=()):
    command = [sys.executable, *flags, TRAIN, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job", "model=resnet20"]])
def test_help_and_cfg_answer_without_torch(arguments, tmp_path):
    ended = train(*arguments, cwd=tmp_path, flags=["-X", "importtime"])
    assert ended.returncode == 0
    assert ("resnet152" if arguments == ["--help"] else "batch_size: 128") in ended.stdout
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "hydra" in imported
    assert not {"torch", "numpy", "pytorch_lightning"} & imported
    assert list(tmp_path.iterdir()) == []


def test_the_bare_command_says_what_to_choose_and_leaves_no_folder(tmp_path):
    ended = train(cwd=tmp_path)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("train.py: no model is chosen. Try")
    assert f"Models: {', '.join(MODELS)}" in ended.stderr
    assert list(Path(tmp_path).iterdir()) == []
