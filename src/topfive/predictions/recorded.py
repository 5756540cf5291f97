"""An ensemble as a run: a folder with its record, which the report reads, and its predictions."""

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from topfive import results
from topfive.identity import digest
from topfive.origin import origin
from topfive.predictions.aligned import Tested
from topfive.predictions.ensemble import network
from topfive.predictions.file import Predictions, file_name, write
from topfive.problems import Problem
from topfive.results import FILE_NAME, Json, Member, Record


def write_record(mean: Predictions, tests: Sequence[Tested], folder: Path) -> Record:
    """Writes the record of `mean`, the average of `tests`, and its predictions into `folder`; gives the record back.

    Raises Problem, and writes nothing, where one is there already, a member has no record beside its file or
    one that counts otherwise, a member is an ensemble itself, or two are the same run.
    """
    score = mean.score()
    files = [folder / file_name(score.protocol, score.split), folder / FILE_NAME]
    for path in files:
        if path.exists():
            raise Problem(
                f"--record {folder}: there is a {path.name} already. Name another folder."
            )
    made = _record(mean, tests, files[1])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"--record {folder}: {error.strerror}. Name a folder to write to.") from error
    write(mean, files[0])
    results.write(made, files[1])  # last: where it is, all is there
    return made


def _record(mean: Predictions, tests: Sequence[Tested], path: Path) -> Record:
    members = _members(tests)
    score, weights = mean.score(), mean.about["weights"]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    listed = [text for one in members for text in one.departures]
    return Record(
        identity=digest([[str(network(given.about)) for _, given in tests], weights, str(score)]),
        model=_called(one.model for one in members),
        options=_options(members),
        recipe="_and_".join(sorted({one.recipe for one in members})),
        data=str(mean.about["data"]),
        ablation=None,
        seed=0,
        scores=(score,),
        departures=tuple(dict.fromkeys([*listed, *_unlike_papers(mean, tests)])),
        members=members,
        trained_on={},
        iterations=0,
        epochs=0.0,
        train={},
        config={},
        command=_command(mean, [path for path, _ in tests]),
        world_size=1,
        started=now,
        finished=now,
        wall_seconds=0.0,
        path=path,
        **origin(cuda=False),
    )


def _members(tests: Sequence[Tested]) -> tuple[Member, ...]:
    """The networks of all files, each once however many protocols it was tested under."""
    found: dict[tuple[str, ...], Member] = {}
    files: dict[tuple[object, ...], Path] = {}
    for path, given in tests:
        one = _member(path, given)
        run = found.setdefault(network(given.about), one)
        other = files.setdefault((*network(given.about), given.about["protocol"]), path)
        if run.started != one.started or other is not path:
            raise Problem(
                f"{path} is of a run that is a member already, or of one like it ({one.model}, seed {one.seed}, "
                f"{one.identity}): the networks of an ensemble differ. Train another with another seed."
            )
    if len(found) < 2:
        raise Problem(
            "--record: the files are all of one network. Test it under several protocols at once, which its own record "
            "then has: python -m topfive.evaluate run=RUN protocol=crops150_and_dense_256_384_512."
        )
    return tuple(found.values())


def _member(path: Path, given: Predictions) -> Member:
    if "members" in given.about:
        raise Problem(f"{path} is a mean itself: name the files of its members.")
    record = results.read(_beside(path))
    score = given.score()
    counted = [
        one for one in record.scores if (one.protocol, one.split) == (score.protocol, score.split)
    ]
    if record.identity != given.about.get("identity") or counted != [score]:
        raise Problem(
            f"{path} and the {FILE_NAME} beside it are not of the same test. Repeat it: "
            f"python -m topfive.evaluate run={path.parent} protocol={score.protocol}."
        )
    return Member(
        model=record.model,
        options=record.options,
        recipe=record.recipe,
        identity=record.identity,
        seed=record.seed,
        origin=network(given.about)[-1],
        started=record.started,
        departures=record.departures,
    )


def _beside(path: Path) -> Path:
    record = path.with_name(FILE_NAME)
    if not record.exists():
        raise Problem(
            f"{path} has no {FILE_NAME} beside it, which says how its network was trained. Name the file in the "
            "directory of its run."
        )
    return record


def _called(models: Iterable[str]) -> str:
    """5 × zfnet + zfnet_big."""
    counts = sorted(Counter(models).items())
    return " + ".join(f"{count} × {model}" if count > 1 else model for model, count in counts)


def _options(members: Sequence[Member]) -> Mapping[str, Json]:
    """By model; a list where its networks have different ones."""
    found: dict[str, list[Mapping[str, Json]]] = {}
    for one in members:
        others = found.setdefault(one.model, [])
        others += [one.options] * (one.options not in others)
    return {model: some if len(some) > 1 else some[0] for model, some in found.items()}


def _unlike_papers(mean: Predictions, tests: Sequence[Tested]) -> list[str]:
    """What no paper did: weights that are not equal, and members that were not all tested alike."""
    listed = []
    weights = mean.about["weights"]
    assert isinstance(weights, Sequence)
    if len(set(weights)) > 1:
        listed.append(f"weights={','.join(f'{one:g}' for one in weights)} (papers: equal ones)")
    protocols: dict[tuple[str, ...], list[str]] = {}
    for _, given in tests:
        protocols.setdefault(network(given.about), []).append(str(given.about["protocol"]))
    alike = {" and ".join(sorted(some)) for some in protocols.values()}
    if len(alike) > 1:
        listed.append(f"members tested under different protocols: {'; '.join(sorted(alike))}")
    return listed


def _command(mean: Predictions, files: Sequence[Path]) -> str:
    """What makes it again, without the folders of this machine."""
    weights = mean.about["weights"]
    assert isinstance(weights, Sequence)
    weighted = (
        ["--weights", ",".join(f"{one:g}" for one in weights)] if len(set(weights)) > 1 else []
    )
    named = [_named(path) for path in files]
    return shlex.join(["python", "-m", "topfive.predictions", "ensemble", *named, *weighted])


def _named(path: Path) -> str:
    """From where the user stands; by its run's directory where it lies elsewhere."""
    relative = os.path.relpath(path)
    return "/".join(path.absolute().parts[-2:]) if relative.startswith("..") else relative
