"""First weights that come from another run, and what a record says of it."""

import runpy
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from records import record
from torch import nn

from topfive import predecessors, results
from topfive.build import network
from topfive.checkpoints import DurableCheckpointIO
from topfive.config import compose
from topfive.departures import departures
from topfive.models.resnet import CifarResNet
from topfive.models.vgg import VGG
from topfive.problems import Problem
from topfive.warm_starts import FROM_A, from_net_a, from_run


def named(**layers):
    return nn.Sequential(OrderedDict(layers))


def assert_normal(weight, std):
    """Mean and deviation of so many draws, each within five standard errors."""
    values = weight.detach().double().flatten()
    n = len(values)
    assert abs(values.mean()) < 5 * std / n**0.5
    assert abs(values.std() / std - 1) < 5 / (2 * n) ** 0.5


def net_a(classes=4):
    return named(conv1_1=nn.Conv2d(3, 8, 3), fc8=nn.Linear(8, classes))


def deeper(classes=4):
    return named(
        conv1_1=nn.Conv2d(3, 8, 3), conv1_2=nn.Conv2d(8, 500, 3), fc8=nn.Linear(8, classes)
    )


class Trained(pl.LightningModule):
    """As topfive's Classifier, which calls its network `net`."""

    def __init__(self, net):
        super().__init__()
        self.net = net


@pytest.fixture
def run(tmp_path):
    """The directory of a run of `net_a`, its checkpoint written by Lightning."""
    torch.manual_seed(1)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[DurableCheckpointIO()],
    )
    trainer.strategy.connect(Trained(net_a()))
    trainer.save_checkpoint(tmp_path / "last.ckpt", weights_only=False)
    return tmp_path


def stored(run):
    return torch.load(run / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("name", ["", "last.ckpt"])
def test_named_layers_are_those_of_the_trained_net_and_the_others_random(run, name):
    net = deeper()
    from_net_a(net, 0.01, str(run / name), ["conv1_1", "fc8"])
    state = stored(run)
    for layer in ("conv1_1", "fc8"):
        for part in ("weight", "bias"):
            assert torch.equal(
                net.get_submodule(layer).get_parameter(part), state[f"net.{layer}.{part}"]
            )
    assert_normal(net.conv1_2.weight, 0.01)
    assert (net.conv1_2.bias == 0).all()
    assert all(p.requires_grad for p in net.parameters())


def test_a_layer_that_is_not_named_starts_anew(run):
    net = deeper(classes=500)
    from_net_a(net, 0.01, str(run), ["conv1_1"])
    assert torch.equal(net.conv1_1.weight, stored(run)["net.conv1_1.weight"])
    assert_normal(net.fc8.weight, 0.01)


@pytest.mark.parametrize("configuration", ["B", "C", "D", "E"])
def test_the_layers_of_a_fit_a_deeper_net_by_name_though_not_by_place(configuration):
    """Section 3.1: the first four convolutions and the three fully connected layers."""
    with torch.device("meta"):
        a, deep = (dict(VGG(c).named_modules()) for c in ("A", configuration))
    convolutions = [n for n, m in a.items() if isinstance(m, nn.Conv2d)]
    assert (*convolutions[:4], "fc6", "fc7", "fc8") == FROM_A
    assert all(a[name].weight.shape == deep[name].weight.shape for name in FROM_A)
    second = [n for n, m in deep.items() if isinstance(m, nn.Conv2d)][1]
    assert a[convolutions[1]].weight.shape != deep[second].weight.shape


@pytest.mark.parametrize("content", ["cut", "text", "list", "empty"])
def test_a_damaged_checkpoint_is_a_problem(run, content):
    file = run / "last.ckpt"
    whole = file.read_bytes()
    if content == "list":
        torch.save([1, 2], file)
    else:
        file.write_bytes(
            {"cut": whole[: len(whole) // 2], "text": b"weights", "empty": b""}[content]
        )
    with pytest.raises(Problem, match=r"last\.ckpt is damaged or not one of ours.*another run"):
        from_net_a(deeper(), 0.01, str(run), ["conv1_1"])


def test_other_classes_are_a_problem_that_names_fc8(run):
    with pytest.raises(
        Problem,
        match=r"fc8\.weight is \(4, 8\) in the checkpoint .* and \(10, 8\) here.*as many classes",
    ):
        from_net_a(deeper(classes=10), 0.01, str(run), ["conv1_1", "fc8"])


def test_a_checkpoint_of_another_net_is_a_problem_that_names_the_layer(run):
    with pytest.raises(Problem, match=r"has no conv1_2\.weight: .*model=vgg11"):
        from_net_a(deeper(), 0.01, str(run), ["conv1_1", "conv1_2"])


def test_a_checkpoint_that_holds_code_is_not_run(run):
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit",))

    torch.save({"state_dict": Bomb()}, run / "last.ckpt")
    with pytest.raises(Problem, match=r"not one of ours \(UnpicklingError\)"):
        from_net_a(deeper(), 0.01, str(run), ["conv1_1"])


def test_a_whole_run_goes_on_its_running_averages_included(run):
    first, second = CifarResNet(8), CifarResNet(8)
    torch.manual_seed(5)
    for value in first.state_dict().values():
        value.copy_(torch.rand(value.shape) * 100)
    # What a recipe did to the images travels beside the network, and stays behind.
    state = {f"net.{name}": value for name, value in first.state_dict().items()}
    torch.save({"state_dict": state | {"pipeline.0.mean": torch.zeros(3)}}, run / "last.ckpt")
    from_run(second, str(run))
    assert "bn1.running_var" in second.state_dict()
    for name, value in second.state_dict().items():
        assert torch.equal(value, first.state_dict()[name]), name
    assert all(p.requires_grad for p in second.parameters())


def test_a_whole_run_of_another_network_is_a_problem_that_names_what_differs(run):
    with pytest.raises(Problem, match=r"it lacks conv1_2\.bias \(2 names differ\)\. Name a run of"):
        from_run(deeper(), str(run))
    with pytest.raises(Problem, match=r"it has besides fc8\.bias"):
        from_run(named(conv1_1=nn.Conv2d(3, 8, 3)), str(run))
    with pytest.raises(
        Problem, match=r"fc8\.weight is \(4, 8\) in .* and \(10, 8\) here.*many classes"
    ):
        from_run(net_a(classes=10), str(run))
    (run / "last.ckpt").write_bytes(b"")
    with pytest.raises(Problem, match=r"damaged or not one of ours \(BadZipFile.*\): name another"):
        from_run(net_a(), str(run))


@pytest.mark.parametrize(
    ("recipe", "command", "given"),
    [
        ("vgg11 recipe=vgg_384", "model=vgg11", "vgg11/vgg"),
        ("vgg16", "model=vgg11", "vgg11/vgg"),
        ("vgg16 recipe=vgg_384", "model=vgg16", "vgg16/vgg_from_a"),
        ("vgg16 recipe=vgg_jitter", "model=vgg16 recipe=vgg_384", "vgg16/vgg_384"),
        ("resnet20 recipe=vgg_384", "model=resnet20 recipe=vgg_from_a", "resnet20/vgg_from_a"),
    ],
)
def test_without_its_start_a_recipe_names_the_command_that_makes_it(recipe, command, given):
    """Section 3.1: B to E start from A, S = 384 from S = 256, [256, 512] from S = 384."""
    for start, found in ([], ""), ([f"{predecessors.KEY}=nowhere"], "there is no nowhere"):
        with pytest.raises(Problem) as problem:
            network(compose([*f"model={recipe}".split(), *start]), 10)
        told = str(problem.value)
        assert found in told
        assert f"Train it first: python train.py {command}. " in told
        assert f"{predecessors.KEY}=outputs/{given}/TIME." in told
        assert ("Or start without it: recipe=vgg_glorot." in told) == (recipe == "vgg16")


def test_a_start_that_no_paper_asks_for_must_be_named():
    config = compose(["model=resnet20"])
    config["recipe"]["initialization"] = {
        "_target_": "topfive.warm_starts.from_run",
        "checkpoint": None,
    }
    with pytest.raises(Problem, match=r"those of a run: name it in recipe\.initialization\.check"):
        network(config, 10)


VGG16 = {k: v for k, v in compose(["model=vgg16"])["model"].items() if k != "_target_"}


def starting(folder, under, *overrides, **changes):
    """The configuration of a run of VGG-16 that starts from one of which `changes` are the record."""
    folder.mkdir(parents=True)
    (folder / "last.ckpt").touch()
    if changes:
        made = {"model": "vgg16", "options": VGG16, "data": "imagenet", **changes}
        results.write(record(**made), folder / "result.json")
    start = f"{predecessors.KEY}={folder}"
    return compose(["model=vgg16", f"recipe={under}", start, *overrides])


def test_a_start_that_the_paper_asks_for_is_no_departure(tmp_path):
    config = starting(tmp_path / "vgg16/vgg_from_a/1", "vgg_384", recipe="vgg_from_a")
    assert departures(config) == []
    config = starting(tmp_path / "vgg16/vgg_384/1", "vgg_jitter", recipe="vgg_384")
    assert departures(config) == []
    a = starting(tmp_path / "vgg11/vgg/1", "vgg_from_a", recipe="vgg", model="vgg11", options={})
    assert departures(a) == []


def test_a_run_has_the_departures_of_the_run_that_it_starts_from(tmp_path):
    early = ("start: data.fraction=0.1 (paper: null)", "recipe.shorten=40 (paper: 1)")
    folder = tmp_path / "vgg16/vgg_384/1"
    config = starting(
        folder, "vgg_jitter", "recipe.batch_size=128", recipe="vgg_384", departures=early
    )
    assert departures(config) == [
        "start: start: data.fraction=0.1 (paper: null)",
        "start: recipe.shorten=40 (paper: 1)",
        "recipe.batch_size=128 (paper: 256)",
    ]


@pytest.mark.parametrize(
    ("recipe", "changes", "told"),
    [
        (
            "vgg_384",
            {"recipe": "vgg_glorot"},
            "model=vgg16 recipe=vgg_glorot (paper: model=vgg16 recipe=vgg_from_a or vgg)",
        ),
        (
            "vgg_jitter",
            {"recipe": "vgg_from_a"},
            "model=vgg16 recipe=vgg_from_a (paper: model=vgg16 recipe=vgg_384)",
        ),
        (
            "vgg_from_a",
            {"recipe": "vgg", "model": "vgg11_lrn"},
            "model=vgg11_lrn recipe=vgg (paper: model=vgg11 recipe=vgg)",
        ),
        (
            "vgg_384",
            {"recipe": "vgg_from_a", "options": VGG16 | {"dropout": 0.4}},
            "model.dropout=0.4 (here: 0.5)",
        ),
        ("vgg_384", {}, "outputs/vgg16/1 has no record, so how it was trained is not known"),
    ],
)
def test_a_start_that_is_not_the_papers_is_a_departure(recipe, changes, told, tmp_path):
    config = starting(tmp_path / "outputs/vgg16/1", recipe, **changes)
    assert departures(config) == [f"start: {told}"]


def test_a_start_that_no_paper_asks_for_is_listed_without_the_folders_of_this_machine(tmp_path):
    folder = tmp_path / "resnet20/resnet/1"
    config = compose(["model=resnet20"])
    plain = departures(config)
    config["recipe"]["initialization"] = {
        "_target_": "topfive.warm_starts.from_run",
        "checkpoint": str(folder),
    }
    listed = departures(config)
    assert f"{predecessors.KEY}=resnet20/resnet/1 (paper: null)" in listed
    assert listed[0].startswith("start: resnet20/resnet/1 has no record")
    assert plain == []
    assert str(tmp_path) not in str(listed)


@pytest.mark.parametrize(
    ("recipe", "sides", "rate"),
    [
        ("vgg_from_a", (256, 256), 0.01),
        ("vgg_384", (384, 384), 0.001),
        ("vgg_jitter", (256, 512), 0.001),
    ],
)
def test_vgg_trains_at_the_papers_sides_and_rates(recipe, sides, rate):
    """Section 3.1; the rate under jitter is not stated: that of S = 384."""
    given = compose(["model=vgg16", f"recipe={recipe}"])["recipe"]
    assert (given["crop"]["smallest"], given["crop"]["largest"]) == sides
    assert given["schedule"]["rate"] == rate


ROOT = Path(__file__).parents[1]
SMALL = [
    "data=folder", "data.minival=2", "protocol=one_crop", "protocol.size=32", "protocol.shorter=36",
    "recipe.crop.size=32", "recipe.batch_size=4", "trainer.max_steps=1", "trainer.accelerator=cpu",
    "trainer.progress=false", "loader.workers=0", "logger=csv",
]  # fmt: skip


def test_the_papers_chain_runs_by_train_py(class_folders, tmp_path, monkeypatch):
    """Section 3.1: A, then B from it, then B at larger S from that (here 40 pixels for 384)."""
    monkeypatch.chdir(tmp_path)
    runs = []
    for model, recipe, shorter in (
        ("vgg11", "vgg", 36),
        ("vgg13", "vgg_from_a", 36),
        ("vgg13", "vgg_384", 40),
    ):
        run = f"outputs/{model}/{recipe}/1"
        sides = [f"recipe.crop.{side}={shorter}" for side in ("smallest", "largest")]
        start = [f"{predecessors.KEY}={runs[-1]}"] if runs else []
        command = [f"model={model}", f"recipe={recipe}", *SMALL, *sides, *start]
        first = network(compose([*command, f"data.root={class_folders}"]), 2).state_dict()
        if runs:
            before = torch.load(f"{runs[-1]}/last.ckpt", weights_only=True)["state_dict"]
            kept = [n for n, v in first.items() if torch.equal(v, before.get(f"net.{n}", v[:0]))]
            copied = FROM_A if recipe == "vgg_from_a" else {n.rpartition(".")[0] for n in first}
            assert {n for n in kept if n.endswith(".weight")} == {f"{n}.weight" for n in copied}
        argv = ["train.py", *command, f"data.root={class_folders}", f"hydra.run.dir={run}"]
        monkeypatch.setattr(sys, "argv", argv)
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
        runs.append(run)
    a, b, last = (results.read(Path(run) / "result.json") for run in runs)
    assert a.started_from is None
    assert b.started_from == {"run": runs[0][8:], "identity": a.identity, "git": a.git}
    assert last.started_from == {"run": runs[1][8:], "identity": b.identity, "git": b.git}
    assert "data=folder (paper: imagenet)" in a.departures
    assert {f"start: {line}" for line in a.departures} <= set(b.departures)
    assert {f"start: {line}" for line in b.departures} <= set(last.departures)
    assert "start: start: trainer.max_steps=1 (paper: null)" in last.departures
    assert str(tmp_path) not in Path(runs[2], "result.json").read_text()
    for run in runs:
        Path(run, "last.ckpt").unlink()  # hundreds of megabytes each
