import copy
import os
import zipfile

import pytest
import yaml

from topfive.config import compose
from topfive.identity import flatten, identity
from topfive.problems import Problem
from topfive.runs import read_config, start, take_back


@pytest.fixture(scope="module")
def composed():
    return compose(["model=resnet20"])


@pytest.fixture
def config(composed):
    return copy.deepcopy(composed)


def changed(config, **values):
    """`config` with values set at dotted keys, given with __ for the dot."""
    config = copy.deepcopy(config)
    for key, value in values.items():
        *path, last = key.split("__")
        place = config
        for name in path:
            place = place[name]
        assert last in place
        place[last] = value
    return config


@pytest.mark.parametrize(
    "values",
    [
        {"trainer__devices": 8, "trainer__num_nodes": 2, "trainer__accelerator": "cpu"},
        {"trainer__accumulate_grad_batches": 4},
        {"trainer__checkpoint_minutes": 1, "trainer__progress": False},
        {"loader__kind": "torch", "loader__workers": 3},
        {"logger__wandb": True, "logger__project": "mine"},
        {"data__root": "/elsewhere", "data__download": True},
        {"data__max_unreadable": 0.5},
        {"resume": "auto"},
    ],
)
def test_how_a_run_is_carried_out_is_no_part_of_its_identity(config, values):
    assert identity(changed(config, **values)) == identity(config)


@pytest.mark.parametrize(
    "values",
    [
        {"model__depth": 32},
        {"model__shortcut": "B"},
        {"recipe__batch_size": 64},
        {"recipe__schedule__rate": 0.05},
        {"recipe__shorten": 2},
        {"data__fraction": 0.1},
        {"data__per_class": 10},
        {"data__subset_seed": 1},
        {"data__minival": 100},
        {"seed": 1},
        {"trainer__max_steps": 100},
        {"trainer__max_epochs": 1},
        {"trainer__precision": "bf16-mixed"},
        {"choices__ablation": "cifar_shortcut/A"},
    ],
)
def test_what_a_run_is_makes_its_identity(config, values):
    assert identity(changed(config, **values)) != identity(config)


def test_a_candidate_is_another_run_and_an_older_run_is_none(config):
    assert config["data"]["candidate"] is False
    candidate = {**config, "data": {**config["data"], "candidate": True}}
    older = {**config, "data": {k: v for k, v in config["data"].items() if k != "candidate"}}
    assert identity(candidate) != identity(config) == identity(older)


def test_what_the_paper_chose_among_is_no_part_of_a_runs_identity(config):
    recipe = {**config["recipe"], "candidates": {"schedule.rate": [0.1]}}
    assert identity({**config, "recipe": recipe}) == identity(config)


def test_under_data_folder_the_path_is_the_data():
    one, other = (compose(["model=resnet18", "data=folder", f"data.root=/{n}"]) for n in "ab")
    assert identity(one) != identity(other)


def test_the_identity_survives_the_run_directory(config, tmp_path):
    run = start(config, str(tmp_path / "run"))
    assert identity(read_config(run.directory)) == identity(config)


def test_a_length_is_one_value_of_a_flattened_configuration():
    tree = {
        "a": {"shorten": {"epochs": 10}, "at": {"iterations": [1, 2]}, "b": {"epochs": 1, "c": 2}}
    }
    assert flatten(tree) == {
        "a.shorten": {"epochs": 10},
        "a.at": {"iterations": [1, 2]},
        "a.b.epochs": 1,
        "a.b.c": 2,
    }


def save(file):
    """What passes for a whole checkpoint as long as nobody loads it."""
    with zipfile.ZipFile(file, "w") as records:
        records.writestr("weights", "of this run")


def a_run(folder, config, age, finished=False):
    """A run directory as train.py leaves it, last saved `age` seconds ago."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    save(folder / "last.ckpt")
    modified = 1_700_000_000 - age
    os.utime(folder / "last.ckpt", (modified, modified))
    if finished:
        (folder / "result.json").write_text("{}")
    return folder


def test_a_new_run_lies_where_hydra_says_and_keeps_its_configuration(config, tmp_path):
    run = start(config, str(tmp_path / "new"))
    assert (run.directory, run.checkpoint) == (tmp_path / "new", None)
    assert read_config(tmp_path / "new") == config
    assert [file.name for file in run.directory.iterdir()] == ["config.yaml"]


def test_resume_auto_takes_the_newest_unfinished_run_of_the_same_identity(config, tmp_path):
    a_run(tmp_path / "older", config, age=20)
    newest = a_run(tmp_path / "newest", config, age=10)
    a_run(tmp_path / "finished", config, age=5, finished=True)
    a_run(tmp_path / "other", changed(config, seed=1), age=1)
    (tmp_path / "torn").mkdir()
    save(tmp_path / "torn" / "last.ckpt")
    (tmp_path / "torn" / "config.yaml").write_text("seed: [0")
    foreign = a_run(tmp_path / "foreign", {"seed": 0}, age=0)
    assert read_config(foreign) is None

    run = start(changed(config, resume="auto"), str(tmp_path / "now"))
    assert (run.directory, run.checkpoint) == (newest, newest / "last.ckpt")


def damage(file):
    file.write_bytes(file.read_bytes().replace(b"of this run", b"of thin run"))


@pytest.mark.parametrize("resume", ["auto", "sweep", "the run's directory"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(config, tmp_path, capsys, resume):
    folder = a_run(tmp_path / "run", config, age=10)
    save(folder / "last-1.ckpt")
    damage(folder / "last.ckpt")
    resume = str(folder) if resume not in ("auto", "sweep") else resume
    run = start(changed(config, resume=resume), str(tmp_path / "now"))
    assert (run.directory, run.checkpoint) == (folder, folder / "last-1.ckpt")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "run/last.ckpt is damaged (the checksum of weights differs)" in lines[0]


def test_a_run_that_was_killed_between_two_renames_goes_on(config, tmp_path):
    folder = a_run(tmp_path / "run", config, age=0)
    (folder / "last.ckpt").rename(folder / "last-1.ckpt")
    run = start(changed(config, resume="auto"), str(tmp_path / "now"))
    assert (run.directory, run.checkpoint) == (folder, folder / "last-1.ckpt")


def test_a_run_of_which_nothing_is_whole_is_not_begun_anew_unasked(config, tmp_path):
    folder = a_run(tmp_path / "run", config, age=0)
    damage(folder / "last.ckpt")
    with pytest.raises(Problem, match=r"no checkpoint of .*run is whole.* resume=never"):
        start(changed(config, resume="auto"), str(tmp_path / "now"))
    assert start(changed(config, resume="never"), str(tmp_path / "now")).checkpoint is None


def test_a_run_whose_configuration_is_damaged_is_left_aside_with_a_line(config, tmp_path, capsys):
    folder = a_run(tmp_path / "run", config, age=0)
    (folder / "config.yaml").write_text("seed: [0")
    run = start(changed(config, resume="auto"), str(tmp_path / "now"))
    assert (run.directory, run.checkpoint) == (tmp_path / "now", None)
    assert "run/config.yaml is missing or damaged: left aside" in capsys.readouterr().out


def test_resume_auto_may_use_other_devices(config, tmp_path):
    folder = a_run(tmp_path / "run", config, age=0)
    now = changed(config, resume="auto", trainer__devices=2)
    assert start(now, str(tmp_path / "now")).directory == folder
    assert read_config(folder)["trainer"]["devices"] == 2


def test_resume_auto_starts_anew_where_there_is_nothing_to_resume(config, tmp_path):
    a_run(tmp_path / "finished", config, age=0, finished=True)
    a_run(tmp_path / "other", changed(config, seed=1), age=0)
    run = start(changed(config, resume="auto"), str(tmp_path / "now"))
    assert (run.directory, run.checkpoint) == (tmp_path / "now", None)


def test_the_directory_that_hydra_made_is_taken_back_when_a_run_resumes(config, tmp_path):
    a_run(tmp_path / "run", config, age=0)
    (tmp_path / "now").mkdir()
    start(changed(config, resume="auto"), str(tmp_path / "now"))
    assert not (tmp_path / "now").exists()


@pytest.mark.parametrize("name", ["", "last.ckpt"])
def test_resume_takes_a_run_directory_or_a_checkpoint_file(config, tmp_path, name):
    folder = a_run(tmp_path / "run", config, age=0)
    run = start(changed(config, resume=str(folder / name)), str(tmp_path / "now"))
    assert (run.directory, run.checkpoint) == (folder, folder / "last.ckpt")


def refusal(config, folder, tmp_path):
    with pytest.raises(Problem) as refused:
        start(changed(config, resume=str(folder)), str(tmp_path / "now"))
    assert not (tmp_path / "now").exists()
    return str(refused.value)


def test_a_finished_run_is_not_resumed(config, tmp_path):
    folder = a_run(tmp_path / "run", config, age=0, finished=True)
    assert "finished; its result is" in refusal(config, folder, tmp_path)


def test_a_missing_checkpoint_is_refused(config, tmp_path):
    message = refusal(config, tmp_path / "nowhere", tmp_path)
    assert "there is no checkpoint" in message
    assert "resume=auto" in message


def test_a_checkpoint_without_its_configuration_is_refused(config, tmp_path):
    folder = a_run(tmp_path / "run", config, age=0)
    (folder / "config.yaml").unlink()
    assert "config.yaml is missing or damaged" in refusal(config, folder, tmp_path)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"recipe__batch_size": 64}, "recipe.batch_size: 128 then, 64 now"),
        ({"model__depth": 32}, "model.depth: 20 then, 32 now"),
        (
            {"seed": 5, "recipe__shorten": {"epochs": 3}},
            "recipe.shorten: 1 then, {'epochs': 3} now; seed: 0 then, 5 now",
        ),
        ({"trainer__max_steps": 10}, "trainer.max_steps: None then, 10 now"),
    ],
)
def test_a_run_does_not_go_on_as_another_one(config, tmp_path, values, named):
    folder = a_run(tmp_path / "run", config, age=0)
    before = (folder / "config.yaml").read_bytes()
    message = refusal(changed(config, **values), folder, tmp_path)
    assert f"is another run: {named}. Give the same" in message
    assert (folder / "config.yaml").read_bytes() == before


def test_many_differences_are_counted(config, tmp_path):
    folder = a_run(tmp_path / "run", config, age=0)
    now = compose(["model=resnet20", "recipe=resnet"])
    assert " more. Give the same model, recipe, data and seed" in refusal(now, folder, tmp_path)


def test_only_the_first_process_writes(config, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    start(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_job_that_came_to_nothing_leaves_no_folder(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = start(config, str(tmp_path / "outputs" / "resnet20" / "resnet_cifar" / "now"))
    take_back(run.directory)
    assert list(tmp_path.iterdir()) == []
    assert tmp_path.exists()


def test_a_folder_that_holds_anything_stays(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = start(config, str(tmp_path / "outputs" / "now"))
    (run.directory / "curve.csv").touch()
    other = a_run(tmp_path / "outputs" / "before", config, age=0)
    take_back(run.directory)
    assert {file.name for file in run.directory.iterdir()} == {"config.yaml", "curve.csv"}
    assert (other / "config.yaml").exists()


def test_folders_that_the_job_did_not_make_stay(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "there" / "run").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    take_back(tmp_path / "there" / "run")
    assert [folder.name for folder in sorted(tmp_path.iterdir())] == ["here", "there"]
    assert not (tmp_path / "there" / "run").exists()
