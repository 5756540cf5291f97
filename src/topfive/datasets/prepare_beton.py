"""Writes a split as a .beton: in parallel, to go on where it was interrupted, and checked at the end."""

import hashlib
import io
import json
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np

from topfive import whole_files
from topfive.datasets import beton
from topfive.datasets.beton_writer import UNREADABLE, BetonWriter
from topfive.datasets.images import Images, Photographs, Unreadable
from topfive.datasets.progress import bar
from topfive.datasets.storage import HOW, TILE, Storage, Stored, store, store_pixels
from topfive.problems import Problem

CHUNK = 16  # images a thread takes at a time
PAGE = 1 << 23  # bytes; FFCV's default
RAW_PAGE = 1 << 26  # 22 million pixels


def write(
    images: Images,
    classes: Sequence[str],
    path: Path,
    storage: Storage,
    workers: int,
    progress: bool = True,
    page_size: int | None = None,
) -> dict[str, object]:
    """Writes `path` and what lies beside it, unless all of it is there already; returns the report.

    Files that Pillow cannot read are counted, named in the report, and keep their place in the split: a
    run meets them as unreadable. Raises Problem where the file that was written is not what was to be.
    """
    wish = {"source": images.fingerprint(), "storage": str(storage), "tile": TILE}
    found = _finished(path, wish)
    if found is not None:
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    lengths = [_length(images, index) for index in range(len(images))]
    writer = BetonWriter(path, len(images), wish, page_size or _page(lengths, storage))
    try:
        with bar(progress) as shown:
            task = shown.add_task(f"writing {path.name}", total=len(images), completed=writer.done)
            for index, stored in _all_stored(images, storage, writer.done, workers):
                writer.add(stored, int(images.labels[index]))
                shown.advance(task)
        entries = writer.finish()
    finally:
        writer.close()
    report = {"schema": beton.SCHEMA, **wish, **_found(images, storage, entries)}
    report["classes"] = list(classes)
    whole_files.write(beton.details_of(path), _details(images, lengths, entries), synced=True)
    writer.publish()
    check(path, report, progress)
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    whole_files.write(beton.report_of(path), text.encode(), synced=True)
    return report


def check(path: Path, expected: dict[str, object], progress: bool = True) -> None:
    """Reads every image's bytes again; raises Problem where they are not those that were written."""
    whole = beton.load(path, str(expected["storage"]))
    changed = []
    with bar(progress) as shown:
        for index, has_changed in shown.track(
            whole.changed(), total=int(np.sum(whole.rows >= 0)), description=f"checking {path.name}"
        ):
            if has_changed:
                changed.append(whole.files[index])
    if len(whole) != expected["images"]:
        raise Problem(
            f"{path} holds {len(whole):,} images, expected {expected['images']:,}: write it anew."
        )
    if changed:
        raise Problem(
            f"{path}: the bytes of {len(changed):,} images have changed since they were written "
            f"({', '.join(changed[:5])}{' ...' if len(changed) > 5 else ''}): write it anew."
        )


def _page(lengths: Sequence[int], storage: Storage) -> int:
    """Room for the largest image, as far as the files' sizes tell: a power of two, FFCV's default or more."""
    room = 1 << (2 * max(lengths, default=0)).bit_length()
    return max(RAW_PAGE if storage.raw else PAGE, room)


def _finished(path: Path, wish: dict[str, object]) -> dict[str, object] | None:
    if not (path.exists() and beton.report_of(path).exists()):
        return None
    found = beton.report(path)
    return found if all(found.get(key) == value for key, value in wish.items()) else None


def _all_stored(
    images: Images, storage: Storage, first: int, workers: int
) -> Iterator[tuple[int, Stored | None]]:
    """(index, image) in their order; so many chunks are ahead that no thread waits, and no more."""
    running: deque[tuple[range, Future[list[Stored | None]]]] = deque()
    chunks = (range(k, min(k + CHUNK, len(images))) for k in range(first, len(images), CHUNK))
    with ThreadPoolExecutor(workers) as pool:
        try:
            for chunk in chunks:
                running.append((chunk, pool.submit(_chunk, images, storage, chunk)))
                if len(running) > 2 * workers:
                    yield from _taken(running)
            while running:
                yield from _taken(running)
        finally:
            pool.shutdown(cancel_futures=True)


def _taken(
    running: deque[tuple[range, Future[list[Stored | None]]]],
) -> Iterator[tuple[int, Stored | None]]:
    chunk, future = running.popleft()
    yield from zip(chunk, future.result(), strict=True)


def _chunk(images: Images, storage: Storage, chunk: range) -> list[Stored | None]:
    stored: list[Stored | None] = []
    for index in chunk:
        try:
            stored.append(_stored(images, storage, index))
        except Unreadable:
            stored.append(None)
    return stored


def _stored(images: Images, storage: Storage, index: int) -> Stored:
    if isinstance(images, Photographs):
        try:
            content = (images.root / images.files[index]).read_bytes()
        except OSError as error:
            raise Unreadable(f"{images.name(index)}: {error.strerror}") from error
        return store(content, storage)
    return store_pixels(images.read(index).convert("RGB"), storage, "pixels")


def _found(images: Images, storage: Storage, entries: np.ndarray) -> dict[str, object]:
    """Counts, and why the unreadable could not be read."""
    unreadable = {}
    for index in np.flatnonzero(entries["how"] == UNREADABLE):
        try:
            _stored(images, storage, int(index))
            reason = "could not be read when it was written"
        except Unreadable as error:
            reason = str(error)
        unreadable[_name(images, int(index))] = reason
    hows = Counter(HOW[how] for how in entries["how"])
    kinds = Counter(kind.decode() for kind in entries["kind"] if kind)
    return {
        "images": len(entries),
        "bytes": int(entries["size"].sum()),
        "stored": dict(sorted(hows.items())),
        "kinds": dict(sorted(kinds.items())),
        "unreadable": unreadable,
        "fingerprint": hashlib.sha256(entries["crc"].tobytes()).hexdigest()[:16],
        "versions": {name: metadata.version(name) for name in ("topfive-jpeg-tiles", "pillow")},
    }


def _details(images: Images, lengths: Sequence[int], entries: np.ndarray) -> bytes:
    readable = entries["how"] != UNREADABLE
    rows = np.where(readable, np.cumsum(readable) - 1, beton.MISSING)
    names = "\n".join(_name(images, index) for index in range(len(images))).encode()
    content = io.BytesIO()
    np.savez(
        content,
        names=np.frombuffer(names, np.uint8),
        bytes=np.array(lengths, np.int64),
        rows=rows.astype(np.int64),
        labels=entries["label"],
        checksums=entries["crc"],
    )
    return content.getvalue()


def _name(images: Images, index: int) -> str:
    return images.files[index] if isinstance(images, Photographs) else images.name(index)


def _length(images: Images, index: int) -> int:
    return (
        (images.root / images.files[index]).stat().st_size if isinstance(images, Photographs) else 0
    )
