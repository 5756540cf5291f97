"""Shards hold the files as they are, whatever reads them, and say what is wrong with them."""

import gc
import io
import json
import runpy
import shutil
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from shard_sets import write_folders, write_shards

from topfive import streams
from topfive.datasets import Dataset, Pixels, folders, prepare_shards, shard_streams, shards
from topfive.datasets.images import Unreadable
from topfive.loaders import torch_loader
from topfive.loaders.shards import in_shards
from topfive.order import Share
from topfive.problems import Problem
from topfive.protocols import OneView

webdataset = pytest.importorskip("webdataset", reason="needs the extra webdataset")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with their shards. Read it, do not write."""
    root = write_folders(tmp_path_factory.mktemp("set"))
    write_shards(root)
    return root


@pytest.fixture
def own(root: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(root, tmp_path / "own"))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_streams, "PAUSE", 0.0)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["prepare.py", *arguments, "--quiet"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "data" / "folder" / "prepare.py"), run_name="__main__")
    assert ended.value.code == 0


# -- the format ---------------------------------------------------------------------------------------


def test_shards_hold_the_very_bytes_of_the_files(root: Path) -> None:
    photographs, whole = folders.load(str(root)).train, shards.load(root / "train.shards")
    assert len(whole) == 41
    for index in range(41):
        assert whole.content(index) == (photographs.root / photographs.files[index]).read_bytes()
        assert np.array_equal(np.asarray(whole.read(index)), np.asarray(photographs.read(index)))
        assert whole.id(index) == photographs.id(index)
    assert whole.labels.tolist() == photographs.labels.tolist() == [0] * 14 + [1] * 13 + [2] * 14


def test_shards_are_the_set_that_their_files_are(root: Path) -> None:
    photographs, whole = folders.load(str(root)).train, shards.load(root / "train.shards")
    part = np.array([40, 3, 17])
    assert whole.fingerprint() == photographs.fingerprint()
    assert whole.take(part).fingerprint() == photographs.take(part).fingerprint()
    gray = whole.with_channels(1)
    assert gray.fingerprint() == photographs.with_channels(1).fingerprint()
    assert gray.read(0).mode == "L"


def test_a_part_reads_its_own_images(root: Path) -> None:
    whole = shards.load(root / "train.shards")
    part = whole.take(np.array([40, 3, 17]))
    assert [part.content(k) for k in range(3)] == [whole.content(k) for k in (40, 3, 17)]


def test_images_are_dealt_evenly_and_at_random(root: Path) -> None:
    counts = np.bincount(shards.load(root / "train.shards").shards)
    assert sorted(counts.tolist()) == [4] * 4 + [5] * 5  # 41 over 9
    labels = shards.load(root / "train.shards").labels
    first = labels[shards.load(root / "train.shards").shards == 0]
    assert len(set(first.tolist())) > 1  # not class by class


@pytest.mark.filterwarnings("ignore")  # it leaves its files open
def test_webdataset_itself_reads_the_shards(root: Path) -> None:
    urls = sorted(str(path) for path in (root / "train.shards").glob("*.tar"))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert len(samples) == 41
    whole = shards.load(root / "train.shards")
    for sample in samples:
        index = int(sample["__key__"])
        assert int(sample["cls"]) == whole.labels[index]
        assert sample.get("jpeg", sample.get("png")) == whole.content(index)
    gc.collect()


def test_without_folders_the_shards_are_the_set(own: Path) -> None:
    before = folders.load(str(own))
    for split in ("train", "val"):
        shutil.rmtree(own / split)
    after = folders.load(str(own))
    assert isinstance(after.train, shards.Shards)
    assert after.classes == before.classes == ["ant", "bee", "cat"]
    assert len(after.reported) == 11


# -- writing ------------------------------------------------------------------------------------------


def test_the_command_writes_what_the_loader_reads_and_checks_it(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        shutil.rmtree(own / f"{split}.shards")
    command(monkeypatch, "--root", str(own), "--shards", "5")
    assert "41 images in 5 shards" in capsys.readouterr().out
    assert len(list((own / "train.shards").glob("*.tar"))) == 5
    command(monkeypatch, "--root", str(own), "--shards", "--check")
    assert "train.shards: 41 images, unchanged" in capsys.readouterr().out


def test_what_was_interrupted_goes_on_and_ends_in_the_same_bytes(own: Path) -> None:
    folder = own / "train.shards"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tars = sorted(folder.glob("*.tar"))
    (folder / "index.json").unlink()
    tars[3].unlink()
    kept = tars[0].stat().st_mtime_ns
    write_shards(own)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert tars[0].stat().st_mtime_ns == kept  # what was whole is not written again


def test_other_shards_take_the_place_of_those_before(own: Path) -> None:
    write_shards(own, 4)
    assert len(list((own / "train.shards").glob("*.tar"))) == 4
    assert len(shards.load(own / "train.shards").tars) == 4
    assert prepare_shards.check(own / "train.shards", False) == 41


def test_more_shards_than_images_are_refused(root: Path) -> None:
    with pytest.raises(Problem, match=r"--shards 42 of 41 images: expected 1 to 41"):
        write_shards(root, 42)


def test_a_changed_byte_is_found_and_its_image_named(own: Path) -> None:
    whole = shards.load(own / "train.shards")
    path, at = whole.local(int(whole.shards[7])), int(whole.offsets[7]) + 40
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(Problem, match=r"bytes of 1 images have changed .*\(ant/07\.jpeg\)"):
        prepare_shards.check(own / "train.shards", False)


# -- what is missing or damaged -----------------------------------------------------------------------


def test_a_truncated_image_is_unreadable_and_named(own: Path) -> None:
    shutil.rmtree(own / "train.shards")
    damaged = own / "train" / "bee" / "05.jpeg"
    damaged.write_bytes(damaged.read_bytes()[:200])
    write_shards(own)
    whole = shards.load(own / "train.shards")
    with pytest.raises(Unreadable, match=r"\.tar: bee/05\.jpeg: "):
        whole.read(whole.files.index("bee/05.jpeg"))
    assert whole.read(0).mode == "RGB"


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"short")])
def test_a_missing_or_damaged_shard_is_named_before_a_run_begins(own: Path, spoil) -> None:
    spoil(sorted((own / "train.shards").glob("*.tar"))[2])
    with pytest.raises(Problem, match=r"-00002\.tar .*prepare\.py --root .* --shards"):
        in_shards(folders.load(str(own)), "webdataset", str(own), None, None)


@pytest.mark.parametrize("name", ["index.json", "index.npz"])
def test_a_damaged_index_is_a_problem(own: Path, name: str) -> None:
    (own / "train.shards" / name).write_bytes(b"{")
    with pytest.raises(Problem, match=rf"{name} cannot be read .*write the shards anew"):
        shards.load(own / "train.shards")


def test_an_index_of_another_version_or_set_is_a_problem(own: Path) -> None:
    path = own / "train.shards" / "index.json"
    report = json.loads(path.read_text())
    path.write_text(json.dumps({**report, "schema": 9}))
    with pytest.raises(Problem, match=r"has schema 9, expected 1"):
        shards.load(own / "train.shards")
    path.write_text(json.dumps({**report, "shards": report["shards"][:2]}))
    with pytest.raises(Problem, match=r"do not fit together"):
        shards.load(own / "train.shards")


# -- which loader -------------------------------------------------------------------------------------


def test_only_loader_webdataset_reads_shards_where_there_are_folders(root: Path) -> None:
    dataset = folders.load(str(root))
    for kind in ("auto", "torch", "ffcv", "memory"):
        assert in_shards(dataset, kind, str(root), None, None) is dataset
    chosen = in_shards(dataset, "webdataset", str(root), None, None)
    assert isinstance(chosen.train, shards.Shards)
    assert isinstance(chosen.reported, shards.Shards)


def test_shards_that_are_missing_or_of_other_images_are_refused(own: Path) -> None:
    (own / "train" / "ant" / "00.jpeg").unlink()
    with pytest.raises(Problem, match=r"train\.shards was made of other images.*--shards"):
        in_shards(folders.load(str(own)), "webdataset", str(own), None, None)
    shutil.rmtree(own / "train.shards")
    with pytest.raises(Problem, match=r"train\.shards does not exist: python data/folder"):
        in_shards(folders.load(str(own)), "webdataset", str(own), None, None)


def test_sets_in_memory_have_no_shards() -> None:
    pixels = Pixels(np.zeros((4, 3, 8, 8), np.uint8), np.arange(4))
    dataset = Dataset(["a"], pixels, pixels, "test")
    with pytest.raises(Problem, match=r"loader=webdataset reads photographs .* loader=auto"):
        in_shards(dataset, "webdataset", "data", None, None)


def test_shards_in_another_folder_are_read_there(own: Path, tmp_path: Path) -> None:
    (tmp_path / "fast").mkdir()
    shutil.copytree(own / "train.shards", tmp_path / "fast" / "train.shards")
    for tar in (own / "train.shards").glob("*.tar"):
        tar.unlink()
    found = in_shards(folders.load(str(own)), "webdataset", str(own), str(tmp_path / "fast"), None)
    assert zlib.crc32(found.train.content(5)) == found.train.checksums[5]


# -- shards that are elsewhere ------------------------------------------------------------------------


def elsewhere(root: Path, url: str, cache: Path | None = None) -> shards.Shards:
    dataset = in_shards(folders.load(str(root)), "webdataset", str(root), url, cache and str(cache))
    assert isinstance(dataset.train, shards.Shards)
    return dataset.train


@pytest.mark.parametrize("url", ["file://{root}", "pipe:cat {root}/{{}}"])
def test_shards_elsewhere_give_the_same_bytes(root: Path, url: str) -> None:
    remote, here = elsewhere(root, url.format(root=root)), shards.load(root / "train.shards")
    part = np.array([3, 8, 20, 21, 40])
    assert remote.contents(part) == here.contents(part)


def test_shards_elsewhere_are_copied_once_to_the_cache(root: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    url = f"pipe:echo {{}} >> {log}; cat {root}/{{}}"
    remote, here = elsewhere(root, url, tmp_path / "cache"), shards.load(root / "train.shards")
    for index in (4, 5, 4):
        assert remote.content(index) == here.content(index)
    assert len(log.read_text().splitlines()) == len({int(here.shards[k]) for k in (4, 5)})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///nowhere", "No such file"),
        ("pipe:exit 3; {}", "exit 3"),
        (
            "pipe:head -c 3000 {root}/{}",
            "images are missing|unexpected end|has 3,000 bytes, expected",
        ),
        ("nothing://host", "no gopen handler"),
    ],
)
@pytest.mark.parametrize("cached", [False, True])
def test_a_shard_that_cannot_be_had_is_one_line(
    root: Path, tmp_path: Path, url: str, says: str, cached: bool
) -> None:
    remote = elsewhere(root, url.replace("{root}", str(root)), tmp_path if cached else None)
    with pytest.raises(Problem) as problem:
        remote.contents(np.arange(41))
    assert "\n" not in str(problem.value)
    problem.match(rf"\.tar.*({says}).*loader\.shards")


def test_a_passing_failure_is_tried_again(root: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    remote = elsewhere(root, f"pipe:test -e {flag} || ! touch {flag} && cat {root}/{{}}")
    here = shards.load(root / "train.shards")
    assert remote.contents(np.array([0])) == here.contents(np.array([0]))


def test_a_member_of_another_size_is_no_image_of_the_index(root: Path, tmp_path: Path) -> None:
    whole = shards.load(root / "train.shards")
    path = tmp_path / "train.shards" / whole.tars[int(whole.shards[0])][0]
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("00000000.jpeg")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"four"))
    with pytest.raises(Problem, match=r"1 of 1 images are missing"):
        elsewhere(root, f"file://{tmp_path}").contents(np.array([0]))


def test_without_webdataset_the_extra_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webdataset.gopen", None)
    with pytest.raises(Problem, match=r"uv sync --extra webdataset"):
        elsewhere(root, f"file://{root}").contents(np.array([0]))


def test_images_that_pass_by_are_not_read_in_any_order(root: Path) -> None:
    remote = elsewhere(root, f"file://{root}")
    for read in (
        lambda: remote.content(0),
        lambda: torch_loader.evaluation(remote, np.arange(3), OneView(8), 4, Share(), 2, False),
    ):
        with pytest.raises(Problem, match=r"in any order .* set loader\.cache=FOLDER"):
            read()


def test_the_order_in_which_shards_were_dealt_is_a_fixed_draw(root: Path) -> None:
    whole = shards.load(root / "train.shards")
    dealt = np.array_split(streams.permutation(0, "shards", 0, 41), 9)
    assert [set(np.flatnonzero(whole.shards == k)) for k in range(9)] == [set(d) for d in dealt]
