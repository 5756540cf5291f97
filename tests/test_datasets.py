import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets
from conftest import draw_photograph
from PIL import Image

from topfive.datasets import Dataset, Photographs, Pixels, Unreadable, digits, folders
from topfive.datasets import torchvision_sets as sets
from topfive.problems import Problem


@pytest.fixture
def writable(class_folders: Path, tmp_path: Path) -> Path:
    """A copy of the drawn folders, to be damaged."""
    return Path(shutil.copytree(class_folders, tmp_path / "set"))


def noise(channels: int) -> Pixels:
    pixels = np.random.default_rng(1).integers(0, 256, (40, channels, 9, 11), dtype=np.uint8)
    return Pixels(pixels, np.arange(40) % 4)


# -- sets in memory ---------------------------------------------------------------------------------


def test_the_1797_digits_are_split_into_1437_and_360() -> None:
    dataset = digits.load()
    for part, count in ((dataset.train, 1437), (dataset.reported, 360)):
        assert isinstance(part, Pixels)
        assert part.pixels.shape == (count, 1, 28, 28)
        assert part.pixels.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert set(part.labels) == set(range(10))
    assert (dataset.classes, dataset.reported_name) == (list("0123456789"), "test")


def test_digits_use_all_gray_levels_and_leave_a_margin_of_four_pixels() -> None:
    pixels = digits.load().train.pixels
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert pixels[:, :, 4:24, 4:24].any(axis=(1, 2, 3)).all()
    pixels[:, :, 4:24, 4:24] = 0
    assert not pixels.any()


def counts(dataset: Dataset) -> list[list[int]]:
    return [np.bincount(part.labels).tolist() for part in (dataset.train, dataset.reported)]


def test_mnist_has_60000_training_and_10000_test_digits(real_data: Path) -> None:
    dataset = sets.mnist(str(real_data))
    assert dataset.train.pixels.shape == (60_000, 1, 28, 28)
    # The numbers of every digit, as the files of yann.lecun.com hold them.
    train, test = counts(dataset)
    assert train == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (len(dataset.classes), dataset.reported_name) == (10, "test")


def test_cifar10_has_5000_training_and_1000_test_images_a_class(real_data: Path) -> None:
    dataset = sets.cifar10(str(real_data))
    assert dataset.train.pixels.shape == (50_000, 3, 32, 32)
    assert counts(dataset) == [[5000] * 10, [1000] * 10]
    assert dataset.classes[:2] == ["airplane", "automobile"]
    # Channels first, red first: the mean of CIFAR-10 that every paper prints, 125.3, 123.0, 113.9.
    mean = dataset.train.pixels.mean(axis=(0, 2, 3))
    assert mean == pytest.approx([125.3, 123.0, 113.9], abs=0.05)


@pytest.mark.parametrize(
    ("load", "name"),
    [(sets.mnist, "MNIST"), (sets.cifar10, "CIFAR10"), (sets.cifar100, "CIFAR100")],
)
def test_absent_files_are_a_problem_that_says_how_to_get_them(
    load: Callable[[str], Dataset], name: str, tmp_path: Path
) -> None:
    with pytest.raises(
        Problem, match=rf"{name} was not found under {tmp_path}.*data\.download=true"
    ):
        load(str(tmp_path))


@pytest.mark.parametrize("error", [URLError("no network"), RuntimeError("File not found")])
def test_a_download_that_fails_is_a_problem_that_names_another_way(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(root: str, train: bool, download: bool) -> None:
        assert download
        raise error

    monkeypatch.setattr(torchvision.datasets, "MNIST", refuse)
    with pytest.raises(
        Problem, match=r"could not be downloaded .*data/README\.md.* data\.root=FOLDER"
    ):
        sets.mnist(str(tmp_path), download=True)


def test_pixels_are_read_as_pillow_images() -> None:
    for channels in (1, 3):
        images = noise(channels)
        image = images.read(7)
        assert image.size == (11, 9)
        assert np.array_equal(
            np.asarray(image).reshape(9, 11, -1).transpose(2, 0, 1), images.pixels[7]
        )


def test_gray_and_color_are_converted_as_pillow_does() -> None:
    color, gray = noise(3), noise(1)
    for k in range(len(color)):
        assert np.array_equal(color.with_channels(1).pixels[k, 0], color.read(k).convert("L"))
        assert np.array_equal(
            gray.with_channels(3).pixels[k].transpose(1, 2, 0), gray.read(k).convert("RGB")
        )
    assert color.with_channels(3) is color
    assert np.array_equal(color.with_channels(1).labels, color.labels)


def test_the_fingerprint_of_pixels_changes_with_a_pixel_and_with_a_label() -> None:
    images = noise(3)
    pixels, labels = images.pixels.copy(), images.labels.copy()
    pixels[39, 2, 8, 10] ^= 1
    labels[0] ^= 1
    prints = [Pixels(pixels, images.labels), Pixels(images.pixels, labels), images]
    assert len({p.fingerprint() for p in prints}) == 3
    assert images.fingerprint() == noise(3).fingerprint()


# -- class folders ----------------------------------------------------------------------------------


def test_class_folders_are_read_in_alphabetical_order(class_folders: Path) -> None:
    dataset = folders.load(str(class_folders))
    assert dataset.classes == ["ant", "bee"]
    assert dataset.train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert dataset.train.labels.dtype == np.int64
    assert dataset.train.files[3:5] == ["ant/3.JPEG", "bee/0.JPEG"]
    assert len(dataset.reported) == 4
    assert dataset.reported_name == "val"
    assert dataset.train.name(4).endswith("train/bee/0.JPEG")


def test_photographs_come_in_the_channels_asked_for(class_folders: Path) -> None:
    color = folders.load(str(class_folders)).train
    with Image.open(class_folders / "train" / "bee" / "1.JPEG") as image:
        assert image.mode == "L"
        assert np.array_equal(color.read(5), image.convert("RGB"))
    gray = color.with_channels(1)
    assert gray.channels == 1
    with Image.open(class_folders / "train" / "ant" / "0.JPEG") as image:
        assert np.array_equal(gray.read(0), image.convert("L"))
    assert gray.read(0).size == (141, 97)


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "LA"])
def test_photographs_of_every_mode_become_color(mode: str, tmp_path: Path) -> None:
    name = "a.JPEG" if mode == "CMYK" else "a.png"
    Image.new(mode, (5, 4)).save(tmp_path / name)
    assert Photographs(tmp_path, [name], np.array([0])).read(0).mode == "RGB"


def test_a_missing_folder_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"nowhere/train does not exist\. Set data\.root=FOLDER"):
        folders.load(str(tmp_path / "nowhere"))
    with pytest.raises(Problem, match=r"run from the repository's root.*imagenet/prepare\.py"):
        folders.imagenet(str(tmp_path))
    with pytest.raises(Problem, match=r"no folder is named: set data\.root=FOLDER"):
        folders.load(None)


def test_val_alone_can_be_tested_on_and_whoever_wants_train_is_told(writable: Path) -> None:
    whole = folders.load(str(writable))
    shutil.rmtree(writable / "train")
    dataset = folders.load(str(writable))
    assert list(dataset.classes) == ["ant", "bee"]
    assert dataset.reported.fingerprint() == whole.reported.fingerprint()
    gray = dataset.train.with_channels(1)  # nobody's images yet
    for wanted in (lambda: len(gray), lambda: gray.labels, lambda: gray.read(0)):
        with pytest.raises(Problem, match=r"set/train does not exist\. Set data\.root=FOLDER"):
            wanted()
    with pytest.raises(Problem, match=r"val holds 2 class folders, expected 1000\."):
        folders.imagenet(str(writable))


def test_a_folder_without_classes_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "train" / ".cache").mkdir(parents=True)
    with pytest.raises(Problem, match=r"train holds no class folder\. Set data\.root=FOLDER"):
        folders.load(str(tmp_path))


def test_a_wrong_number_of_classes_is_a_problem(class_folders: Path) -> None:
    with pytest.raises(Problem, match=r"2 class folders, expected 1000\. .*imagenet/prepare\.py"):
        folders.imagenet(str(class_folders))
    with pytest.raises(Problem, match=r"2 class folders, expected 3\. .*data\.root=FOLDER"):
        folders.load(str(class_folders), expect_classes=3)


def test_classes_that_differ_between_train_and_val_are_a_problem(writable: Path) -> None:
    (writable / "val" / "bee").rename(writable / "val" / "wasp")
    with pytest.raises(Problem, match=r"hold different classes: bee, wasp\. Both must"):
        folders.load(str(writable))


def test_an_empty_class_is_a_problem(writable: Path) -> None:
    for file in (writable / "val" / "ant").iterdir():
        file.rename(file.with_suffix(".txt"))
    with pytest.raises(Problem, match=r"val/ant holds no image \(\.jpeg, .*fill the folder"):
        folders.load(str(writable))


def test_hidden_files_and_folders_are_no_images_and_no_classes(writable: Path) -> None:
    (writable / "train" / ".ipynb_checkpoints").mkdir()
    (writable / "train" / "ant" / "._0.JPEG").write_bytes(b"Mac OS X")
    (writable / "train" / "ant" / "notes.txt").write_text("not an image")
    dataset = folders.load(str(writable))
    assert (dataset.classes, len(dataset.train)) == (["ant", "bee"], 7)


@pytest.mark.parametrize("content", [b"", b"This is no photograph.", b"\xff\xd8\xff"])
def test_a_file_that_is_no_image_is_unreadable_by_name(writable: Path, content: bytes) -> None:
    (writable / "train" / "bee" / "0.JPEG").write_bytes(content)
    with pytest.raises(Unreadable, match=r"train/bee/0\.JPEG: is not an image"):
        folders.load(str(writable)).train.read(4)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_truncated_file_is_unreadable_by_name(writable: Path, format: str) -> None:
    path = writable / "train" / "bee" / "0.JPEG"
    Image.fromarray(draw_photograph(60, 80, 0, seed=0)).save(path, format=format)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unreadable, match=r"train/bee/0\.JPEG: .*truncated"):
        folders.load(str(writable)).train.read(4)


def test_whatever_a_decoder_raises_makes_a_file_unreadable(
    class_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(path: Path) -> None:
        raise KeyError("tag 700")

    monkeypatch.setattr(Image, "open", stumble)
    with pytest.raises(Unreadable, match=r"ant/0\.JPEG: 'tag 700'"):
        folders.load(str(class_folders)).train.read(0)


def test_the_fingerprint_of_photographs_changes_with_any_file(writable: Path) -> None:
    def fingerprint() -> str:
        return folders.load(str(writable)).train.fingerprint()

    first = fingerprint()
    assert fingerprint() == first
    file = writable / "train" / "ant" / "2.JPEG"
    whole = file.read_bytes()
    file.write_bytes(whole + b"\0")
    longer = fingerprint()
    file.write_bytes(whole)
    assert fingerprint() == first
    file.rename(file.with_name("5.JPEG"))
    renamed = fingerprint()
    file.with_name("5.JPEG").unlink()
    images = folders.load(str(writable)).train
    moved = Photographs(images.root, images.files, images.labels[::-1].copy())
    assert len({first, longer, renamed, images.fingerprint(), moved.fingerprint()}) == 5
    assert images.with_channels(1).fingerprint() != images.fingerprint()
