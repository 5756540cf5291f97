"""Shards that are not on this machine: read while they pass, or copied whole, through WebDataset.

A URL is whatever webdataset.gopen opens: http://, https://, gs://, hf://, file: and `pipe:COMMAND` (its output).
"{}" in it stands for SPLIT.shards/NAME.tar, which is appended where there is none: https://host/imagenet, or
pipe:aws s3 cp s3://bucket/imagenet/{} -
"""

import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from topfive.problems import Problem

TRIES = 3
PAUSE = 1.0  # seconds before the second try, twice that before the third
INSTALL = "the extra webdataset is not installed: uv sync --extra webdataset"


def library(module: str) -> Any:
    """A module of WebDataset; raises Problem where it is not installed."""
    try:
        return import_module(f"webdataset.{module}")
    except ImportError as error:
        raise Problem(f"{error}: {INSTALL}.") from error


def location(url: str, folder: str, name: str) -> str:
    """Where shard `name` of the split in `folder` is."""
    template = url if "{}" in url else f"{url.rstrip('/')}/{{}}"
    return template.replace("{}", f"{folder}/{name}")


def read(url: str, wanted: Mapping[int, tuple[int, int]]) -> dict[int, bytes]:
    """The members of one shard as they pass, from {member: (index, bytes)} to {index: content}.

    Raises Problem where the shard is not there, breaks off, or holds others than it should.
    """
    gopen, tars = library("gopen"), library("tariterators")
    for attempt in range(TRIES):
        time.sleep(PAUSE * attempt)
        try:
            return _passing(gopen, tars, url, wanted)
        except (
            Exception
        ) as error:  # whatever a protocol, a command or the bytes make it stumble over
            last = error
    raise Problem(
        f"the shard {url} could not be read, {TRIES} times ({_reason(last)}): look for it under loader.shards, "
        f"and continue with resume=auto."
    ) from last


def _passing(
    gopen: Any, tars: Any, url: str, wanted: Mapping[int, tuple[int, int]]
) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    with gopen.gopen(url) as stream:
        for member in tars.tar_file_iterator(stream):
            number, _, ending = member["fname"].partition(".")
            if ending != "cls" and int(number) in wanted:
                index, length = wanted[int(number)]
                if len(member["data"]) == length:
                    found[index] = member["data"]
        # To its end, so that a command that failed is heard of and none dies of a closed pipe.
        while stream.read(1 << 20):
            pass
    if len(found) != len(wanted):
        raise EOFError(f"{len(wanted) - len(found)} of {len(wanted)} images are missing")
    return found


def cached(url: str, folder: Path) -> Path:
    """The copy of a shard in `folder`, made where there is none; raises Problem where it cannot be."""
    files = library("cache").FileCache(str(folder))
    for attempt in range(TRIES):
        time.sleep(PAUSE * attempt)
        try:
            return Path(files.get_file(url))
        except Exception as error:
            last = error
    raise Problem(
        f"the shard {url} could not be copied to {folder}, {TRIES} times ({_reason(last)}): look for it under "
        f"loader.shards, and for room in loader.cache."
    ) from last


def _reason(error: Exception) -> str:
    # What a library says may have many lines, of which a Problem has one.
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
