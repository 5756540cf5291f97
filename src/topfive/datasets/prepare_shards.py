"""Writes a split as shards: in parallel, to go on where it was interrupted, and checked at the end."""

import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from topfive import streams, whole_files
from topfive.datasets import shards
from topfive.datasets.images import Dataset, Images, Photographs
from topfive.datasets.progress import bar
from topfive.datasets.shard_streams import library
from topfive.problems import Problem

SIZE = 128e6  # bytes of a shard: some thousand photographs, a second or two of one connection
FEWEST = 32  # shards of a split, so that lanes have windows of them


def write_all(
    dataset: Dataset, root: Path, count: int | None, workers: int | None, progress: bool
) -> None:
    """Writes root/train.shards and the reported split's, and says what is in them; as `write`."""
    threads = workers or len(os.sched_getaffinity(0))
    for name, images in (("train", dataset.train), (dataset.reported_name, dataset.reported)):
        folder = root / f"{name}.shards"
        report = write(images, dataset.classes, folder, count, threads, progress)
        size = sum(shard["bytes"] for shard in report["shards"])
        print(
            f"{folder}: {report['images']:,} images in {len(report['shards']):,} shards, {size / 1e6:,.1f} MB"
        )


def check_all(root: Path, names: Sequence[str], progress: bool) -> None:
    """Compares every image with its checksum; raises Problem where a shard is missing, damaged or has changed."""
    for name in names:
        count = check(root / f"{name}.shards", progress)
        print(f"{root / name}.shards: {count:,} images, unchanged")


def write(
    images: Images,
    classes: Sequence[str],
    folder: Path,
    count: int | None,
    workers: int,
    progress: bool = True,
) -> dict[str, Any]:
    """Writes `folder`, unless all of it is there already; returns the report.

    The images are dealt to `count` shards at random, the same number to each or one more; None makes shards of
    about SIZE. Raises Problem where the images are no files, one cannot be read, or there are fewer than shards.
    """
    if not isinstance(images, Photographs):
        raise Problem(f"{folder} is written from class folders, and these are none.")
    sizes = [(images.root / file).stat().st_size for file in images.files]
    count = count or min(len(images), max(FEWEST, -(-sum(sizes) // int(SIZE))))
    if not 1 <= count <= len(images):
        raise Problem(f"--shards {count} of {len(images)} images: expected 1 to {len(images)}.")
    wish = {"source": images.fingerprint(), "count": count}
    if shards.report_of(folder).exists():
        found = shards.report(folder)
        if all(found.get(key) == value for key, value in wish.items()):
            return found
        shards.report_of(folder).unlink()  # while shards of two kinds lie there, it is no set
    folder.mkdir(parents=True, exist_ok=True)
    parts = np.array_split(streams.permutation(0, "shards", 0, len(images)), count)
    paths = [folder / f"{_kind(wish)}-{number:05}.tar" for number in range(count)]
    for path in set(folder.glob("*.tar")) - set(paths):
        path.unlink()
    with bar(progress) as shown, ThreadPoolExecutor(workers) as pool:
        task = pool.map(_write_shard, [images] * count, parts, paths)
        for _ in shown.track(task, total=count, description=f"writing {folder.name}"):
            pass
    report = {"schema": shards.SCHEMA, **wish, "images": len(images), "classes": list(classes)}
    report["shards"] = [{"name": path.name, "bytes": path.stat().st_size} for path in paths]
    whole_files.write(shards.details_of(folder), _details(images, paths, sizes), synced=True)
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    whole_files.write(shards.report_of(folder), text.encode(), synced=True)
    return report


def _kind(wish: dict[str, Any]) -> str:
    # In the names, so that what an interrupted run of another wish left is not taken for a part of this one.
    return hashlib.sha256(json.dumps(wish).encode()).hexdigest()[:8]


def _write_shard(images: Photographs, part: np.ndarray, path: Path) -> None:
    if path.exists():
        return
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        with library("writer").TarWriter(file, encoder=False, mtime=0) as tar:
            for index in part:
                source = images.root / images.files[index]
                try:
                    content = source.read_bytes()
                except OSError as error:
                    raise Problem(f"{source} cannot be read ({error.strerror}).") from error
                ending = source.suffix.lower().removeprefix(".")
                label = str(images.labels[index]).encode()
                tar.write({"__key__": f"{index:08}", ending: content, "cls": label})
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _details(images: Photographs, paths: Sequence[Path], sizes: Sequence[int]) -> bytes:
    """The index, read from the shards themselves; raises Problem where they do not hold the images."""
    place = np.full((len(images), 3), -1, dtype=np.int64)  # shard, offset, size
    checksums = np.zeros(len(images), dtype=np.uint32)
    for shard, path in enumerate(paths):
        with tarfile.open(path) as tar:
            for member in tar:
                number, _, ending = member.name.partition(".")
                file = tar.extractfile(member)
                if ending != "cls" and file is not None:
                    place[int(number)] = shard, member.offset_data, member.size
                    checksums[int(number)] = zlib.crc32(file.read())
    if not np.array_equal(place[:, 2], sizes):
        raise Problem(
            f"{paths[0].parent} does not hold the files as they are: remove it and write it anew."
        )
    content = io.BytesIO()
    names = "\n".join(images.files).encode()
    np.savez_compressed(
        content,
        names=np.frombuffer(names, np.uint8),
        lengths=place[:, 2],
        labels=images.labels,
        shards=place[:, 0],
        offsets=place[:, 1],
        checksums=checksums,
    )
    return content.getvalue()


def check(folder: Path, progress: bool = True) -> int:
    """How many images there are, all with the bytes that were written; raises Problem where they are not."""
    whole, changed = shards.load(folder), list[str]()
    with bar(progress) as shown:
        for shard in shown.track(range(len(whole.tars)), description=f"checking {folder.name}"):
            whole.local(shard)
            found = whole.contents(np.flatnonzero(whole.shards == shard))
            changed += [
                whole.files[index]
                for index, content in found.items()
                if zlib.crc32(content) != whole.checksums[index]
            ]
    if changed:
        raise Problem(
            f"{folder}: the bytes of {len(changed):,} images have changed since they were written "
            f"({', '.join(changed[:5])}{' ...' if len(changed) > 5 else ''}): remove it and write it anew."
        )
    return len(whole)
