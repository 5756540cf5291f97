"""Which loader a run gets, and what it says where that is not the fast one."""

import logging
import shutil

import numpy as np
import pytest

from topfive.datasets import Pixels, folders
from topfive.loaders import betons
from topfive.loaders.betons import in_betons
from topfive.problems import Problem

ABSENT = "FFCV cannot be used (No module named 'ffcv'): uv sync --extra ffcv"


@pytest.fixture
def root(class_folders, tmp_path):
    copy = tmp_path / "set"
    shutil.copytree(class_folders, copy)
    return copy


def chosen(root, kind="auto", obstacle=None):
    return in_betons(folders.load(str(root)), "folder", kind, str(root), obstacle)


def told(caplog) -> list[str]:
    """Our own lines: caplog also has what other libraries write to logs that no user sees."""
    return [message for name, _, message in caplog.record_tuples if name.split(".")[0] == "topfive"]


def test_without_ffcv_the_torch_loader_takes_over_and_says_how_to_have_it(
    root, monkeypatch, caplog
):
    monkeypatch.setattr(betons, "is_installed", lambda: False)
    monkeypatch.setattr(betons, "absence", lambda: ABSENT)
    with caplog.at_level(logging.WARNING):
        dataset = chosen(root)
    (line,) = told(caplog)
    assert line.startswith(ABSENT)
    assert "The torch loader takes over" in line
    assert dataset.train.root == root / "train"
    with pytest.raises(Problem, match=r"loader=ffcv: FFCV cannot be used.*uv sync --extra ffcv"):
        chosen(root, "ffcv")


def test_the_installation_names_every_systems_command():
    for command in ("uv sync --extra ffcv", "apt-get install", "conda install", "brew install"):
        assert command in betons.INSTALL


def test_sets_in_memory_and_other_loaders_say_nothing(root, caplog):
    pixels = Pixels(np.zeros((4, 3, 8, 8), np.uint8), np.arange(4))
    dataset = folders.load(str(root))
    small = type(dataset)(dataset.classes, pixels, pixels, "test")
    with caplog.at_level(logging.WARNING):
        assert in_betons(small, "cifar10", "auto", None, None) is small
        assert chosen(root, "torch").train.root == root / "train"
    assert not told(caplog)


@pytest.mark.ffcv
class TestWithFFCV:
    @pytest.fixture(autouse=True)
    def _needs_ffcv(self):
        pytest.importorskip("jpeg_tiles", reason="needs the extra ffcv")
        pytest.importorskip("ffcv", reason="needs the extra ffcv")

    @pytest.fixture
    def written(self, root):
        from topfive.datasets import beton_options

        options = dict.fromkeys(beton_options.OPTIONS)
        beton_options.write(folders.load(str(root)), root, options, False)
        return root

    def test_a_missing_file_is_told_with_the_command_that_writes_it(self, root, caplog):
        with caplog.at_level(logging.WARNING):
            chosen(root)
        (line,) = told(caplog)
        assert (
            f"{root}/train.beton does not exist: python data/folder/prepare.py --root {root}"
            in line
        )
        with pytest.raises(Problem, match=r"loader=ffcv: .*does not exist"):
            chosen(root, "ffcv")

    def test_files_of_other_images_are_stale(self, written, caplog):
        (written / "train" / "ant" / "0.JPEG").unlink()
        with caplog.at_level(logging.WARNING):
            chosen(written)
        assert "train.beton was made of other images than there are now" in caplog.text

    def test_both_splits_are_read_from_their_files(self, written, caplog):
        from topfive.datasets.beton import Beton

        with caplog.at_level(logging.WARNING):
            dataset = chosen(written)
        assert isinstance(dataset.train, Beton)
        assert isinstance(dataset.reported, Beton)
        assert (len(dataset.train), len(dataset.reported)) == (7, 4)
        assert not told(caplog)

    def test_a_recipe_that_ffcv_cannot_serve_has_the_torch_loader(self, written, caplog):
        with caplog.at_level(logging.WARNING):
            assert chosen(written, obstacle="recipe.augment changes single images.").train.root
        assert "recipe.augment changes single images." in caplog.text

    def test_the_folders_may_go_once_the_files_are_there(self, written):
        before = folders.load(str(written))
        for split in ("train", "val"):
            shutil.rmtree(written / split)
        after = folders.load(str(written))
        assert list(after.classes) == list(before.classes)
        assert after.train.labels.tolist() == before.train.labels.tolist()
        assert len(chosen(written, "ffcv").train) == 7
        with pytest.raises(Problem, match="holds 2 class folders, expected 1000"):
            folders.imagenet(str(written))

    def test_a_set_in_memory_is_read_from_files_named_after_it(self, tmp_path):
        from topfive.datasets import Dataset, beton_options

        pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
        images = Pixels(pixels, np.arange(6) % 2)
        dataset = Dataset(["a", "b"], images, images.take(np.arange(2)), "test")
        options = dict.fromkeys(beton_options.OPTIONS)
        beton_options.write(dataset, tmp_path, options, False, prefix="cifar10.")
        stored = in_betons(dataset, "cifar10", "ffcv", str(tmp_path), None)
        assert np.array_equal(np.asarray(stored.train.read(3)), np.asarray(images.read(3)))
        with pytest.raises(Problem, match="not read from a folder"):
            in_betons(dataset, "digits", "ffcv", None, None)
