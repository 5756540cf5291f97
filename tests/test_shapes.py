import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import f_oneway

from topfive.datasets import shapes
from topfive.datasets.shapes import CLASS_NAMES, draw, write
from topfive.problems import Problem

PREPARE = Path(__file__).parents[1] / "data" / "shapes" / "prepare.py"
SIDE = 40


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """(800 pictures of 20 classes, (n, 40, 40, 3); their classes), as `write` would draw them."""
    labels = np.tile(np.arange(20), 40)
    drawn = [draw(0, i // 20 << 12 | int(c), int(c), (SIDE, SIDE)) for i, c in enumerate(labels)]
    return np.stack(drawn), labels


def small(root: Path, **changes: int) -> Path:
    settings = {"train_per_class": 3, "val_per_class": 2, "size": 24, "classes": 5, "workers": 1}
    return write(root, progress=False, **(settings | changes))


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_picture_is_a_function_of_its_arguments_alone() -> None:
    first = draw(3, 17, 4, (48, 60))
    draw(3, 18, 5, (48, 60))
    assert first.shape == (48, 60, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, draw(3, 17, 4, (48, 60)))
    for other in (draw(4, 17, 4, (48, 60)), draw(3, 18, 4, (48, 60)), draw(3, 17, 5, (48, 60))):
        assert not np.array_equal(first, other)


def test_there_are_at_least_twenty_classes_and_their_names_are_in_folder_order() -> None:
    assert len(set(CLASS_NAMES)) == len(CLASS_NAMES) >= 20
    assert list(CLASS_NAMES) == sorted(CLASS_NAMES)


def test_another_class_at_the_same_address_changes_the_object_and_nothing_else() -> None:
    """Were a single draw of the scene to depend on the class, the grain of every pixel would."""
    for index in range(20):
        one, other = (draw(0, index, label, (64, 64)).astype(int) for label in (0, 13))
        unchanged = (one == other).all(axis=2).mean()
        assert 0.1 < unchanged < 0.99


def test_the_same_scene_is_shown_at_every_size() -> None:
    for index in range(6):
        fine = Image.fromarray(draw(0, index, 9, (128, 160))).resize((40, 32), Image.Resampling.BOX)
        coarse = Image.fromarray(draw(0, index, 9, (64, 80))).resize((40, 32), Image.Resampling.BOX)
        a, b = np.asarray(fine, float).ravel(), np.asarray(coarse, float).ravel()
        assert np.corrcoef(a, b)[0, 1] > 0.9


def test_mean_color_does_not_tell_the_class(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = pictures
    for channel in images.reshape(len(images), -1, 3).mean(axis=1).T:
        assert f_oneway(*(channel[labels == c] for c in range(20))).pvalue > 0.01


def nearest_centroid_accuracy(
    pictures: tuple[np.ndarray, np.ndarray], features: Callable[[np.ndarray], np.ndarray]
) -> float:
    """The first half of the pictures makes the centroids, the other half is classified."""
    x, labels = features(pictures[0].astype(np.float64)), pictures[1]
    centroids = np.stack([x[:400][labels[:400] == c].mean(axis=0) for c in range(20)])
    squares = (centroids**2).sum(axis=1) - 2 * x[400:] @ centroids.T
    return float((squares.argmin(axis=1) == labels[400:]).mean())


def edges(images: np.ndarray) -> np.ndarray:
    gray = images.mean(axis=3)
    strength = np.hypot(*np.gradient(gray, axis=(1, 2)))
    return strength.reshape(len(images), 10, 4, 10, 4).mean(axis=(2, 4)).reshape(len(images), -1)


def test_raw_pixels_are_of_no_use_to_a_nearest_centroid(
    pictures: tuple[np.ndarray, np.ndarray],
) -> None:
    """Chance is 5 %: objects are darker than their ground as often as lighter. Seeds 0 to 2 gave
    4.8, 7.3 and 6.8 % of 400."""
    assert nearest_centroid_accuracy(pictures, lambda x: x.reshape(len(x), -1)) < 0.1


def test_where_the_edges_are_tells_a_nearest_centroid_something_and_not_much(
    pictures: tuple[np.ndarray, np.ndarray],
) -> None:
    """Chance is 5 %; seeds 0 to 2 gave 16.8, 18.8 and 15.5 % of 400."""
    assert 0.1 < nearest_centroid_accuracy(pictures, edges) < 0.3


def test_write_makes_folders_of_jpegs_with_the_numbers_asked_for(tmp_path: Path) -> None:
    root = small(tmp_path / "shapes")
    counts = {
        split: {home.name: len(list(home.glob("*.jpg"))) for home in (root / split).iterdir()}
        for split in ("train", "val")
    }
    names = ["airplane", "anchor", "bell", "bottle", "bulb"]
    assert counts == {"train": dict.fromkeys(names, 3), "val": dict.fromkeys(names, 2)}
    manifest = json.loads((root / "shapes.json").read_text())
    assert (manifest["train"], manifest["val"], manifest["class_names"]) == (15, 10, names)
    sizes = []
    for path in root.glob("*/*/*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode, min(image.size)) == ("JPEG", "RGB", 24)
            sizes.append(image.size)
    assert all(24 <= max(size) <= 32 for size in sizes)
    assert len(set(sizes)) > 5


def test_no_picture_occurs_twice(tmp_path: Path) -> None:
    content = [path.read_bytes() for path in small(tmp_path).glob("*/*/*.jpg")]
    assert len(set(content)) == len(content) == 25


def test_a_larger_set_begins_with_the_smaller_one(tmp_path: Path) -> None:
    few, many = tree(small(tmp_path / "few")), tree(small(tmp_path / "many", train_per_class=5))
    few.pop("shapes.json")
    assert few.items() < many.items()


@pytest.mark.parametrize("drawn_before", [0, 1, 24])
def test_an_interrupted_write_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn_before: int
) -> None:
    whole = tree(small(tmp_path / "whole"))
    save, saved = shapes._save, []

    def interrupted(picture: shapes._Picture) -> None:
        if len(saved) == drawn_before:
            raise KeyboardInterrupt
        save(picture)
        saved.append(Path(picture.path))

    root = tmp_path / "resumed"
    with monkeypatch.context() as patch:
        patch.setattr(shapes, "_save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            small(root)
    assert not (root / "shapes.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in saved}
    if drawn_before == 24:  # a disk that lost power may hold part of a file
        last = saved.pop()
        kept.pop(last)
        last.write_bytes(last.read_bytes()[:100])
    assert tree(small(root)) == whole
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_second_write_changes_nothing_and_a_deleted_file_comes_back(tmp_path: Path) -> None:
    root = small(tmp_path)
    before = tree(root)
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    small(root)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    (root / "val" / "bell" / "0000001.jpg").unlink()
    small(root)
    assert tree(root) == before


def test_several_processes_write_the_same_bytes_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "FEW", 0)
    assert tree(small(tmp_path / "one")) == tree(small(tmp_path / "two", workers=2))


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_folder_made_with_other_settings_is_refused(tmp_path: Path, unfinished: bool) -> None:
    root = small(tmp_path)
    if unfinished:
        (root / "shapes.json").rename(root / "shapes.unfinished.json")
    before = tree(root)
    with pytest.raises(
        Problem, match=r"drawn with size=24, seed=0; asked for were size=32, seed=1.*rm -r"
    ):
        small(root, seed=1, size=32)
    assert tree(root) == before


def test_a_folder_of_other_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train" / "n01440764").mkdir(parents=True)
    with pytest.raises(Problem, match=r"no shapes\. Name another folder: --root"):
        small(tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match=r"cannot be written to .*file/shapes.*data\.root=FOLDER"):
        small(tmp_path / "file" / "shapes")


def test_load_draws_the_pictures_and_reads_them(tmp_path: Path) -> None:
    found = shapes.load(str(tmp_path / "s"), 3, 2, size=24, classes=5)
    assert found.classes == list(CLASS_NAMES[:5])
    assert (len(found.train), len(found.reported), found.reported_name) == (15, 10, "val")
    assert np.bincount(found.train.labels).tolist() == [3] * 5
    assert min(found.train.read(0).size) == 24


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"classes": 25}, "2 to 24 classes, 25 were asked for"),
        ({"classes": 1}, "2 to 24 classes, 1 were asked for"),
        ({"val_per_class": 0}, "val_per_class=0, at least 1"),
        ({"size": 8}, "size=8, at least 16"),
        ({"seed": -1}, "seed=-1, at least 0"),
    ],
)
def test_impossible_settings_are_refused(
    tmp_path: Path, changes: dict[str, int], complaint: str
) -> None:
    with pytest.raises(Problem, match=complaint):
        small(tmp_path / "shapes", **changes)
    assert not (tmp_path / "shapes").exists()


def test_the_command_line_writes_what_write_does_and_refuses_other_settings(tmp_path: Path) -> None:
    options = {"root": tmp_path / "a", "train-per-class": 3, "val-per-class": 2, "size": 24}
    command = [sys.executable, str(PREPARE), "--classes=5", "--workers=1", "--quiet"]
    command += [f"--{name}={value}" for name, value in options.items()]
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    assert "25 pictures" in good.stdout
    assert tree(tmp_path / "a") == tree(small(tmp_path / "b"))
    bad = subprocess.run([*command, "--seed", "1"], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "seed=0; asked for were seed=1" in bad.stderr
    assert "Traceback" not in bad.stderr
