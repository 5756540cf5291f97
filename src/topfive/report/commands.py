"""The commands that measure a published number here."""

import json
import shlex
from collections.abc import Mapping

from topfive.published import Published
from topfive.published.conf_files import content, own
from topfive.results import Json

START = "recipe.initialization.checkpoint"


def command(one: Published) -> str:
    """What to type, in order, with && between; "" for a network that is not built here.

    TIME stands for the time in the name of a run's directory.
    """
    ensemble = one.networks not in (None, 1)
    steps: list[str] = []
    files: list[str] = []
    for name, count in one.members.items():
        runs = max(count, _runs(one.statistic))
        steps += _trainings(name, one.recipes[0], one.data, one.options, runs, one.statistic)
        folder = _folder(name, one.recipes[0])
        if ensemble or one.protocol != own(name)["protocol"]:
            steps.append(_test(folder, one.protocol, runs))
        files.append(f"{folder}{'-*' * (runs > 1)}/predictions-{one.protocol}-{one.split}.npz")
    if ensemble and files:
        mean = f"python -m topfive.predictions ensemble {' '.join(files)}"
        steps.append(f"{mean} --record {_ensemble(one)}")
    return " && ".join(dict.fromkeys(steps))


def _runs(statistic: str) -> int:
    """5 of "mean of 5"; 1 where the statistic is of no number of runs."""
    last = statistic.split()[-1]
    return int(last) if last.isdigit() else 1


def _folder(model: str, recipe: str) -> str:
    return f"outputs/{model}/{recipe}/TIME"


def _ensemble(one: Published) -> str:
    """outputs/ensembles/5_zfnet+zfnet_big-ten_crop_square: where the mean is kept as a run."""
    counts = one.members.items()
    networks = "+".join(f"{count}_{name}" if count > 1 else name for name, count in counts)
    return f"outputs/ensembles/{networks}-{one.protocol}"


def _trainings(
    model: str,
    recipe: str,
    data: str,
    options: Mapping[str, Json],
    runs: int = 1,
    statistic: str = "single",
) -> list[str]:
    """The command that trains the network, after those that train what it starts from."""
    before: list[str] = []
    chosen = {"recipe": recipe, "data": data}
    arguments = [f"model={model}"]
    arguments += [f"{k}={v}" for k, v in chosen.items() if v != own(model)[k]]
    arguments += [f"model.{name}={_value(value)}" for name, value in options.items()]
    start = content("recipe", recipe).get("starts_from")
    if start:
        first = start["model"] or model
        under = own(first)["recipe"]
        under = under if under in start["recipes"] else start["recipes"][0]
        before = _trainings(first, under, data, options if first == model else {})
        arguments.append(f"{START}={_folder(first, under)}")
    if statistic.startswith("best") and "candidates" in content("recipe", recipe):
        arguments.insert(0, "sweep=lr")  # the best is that of several rates, not of seeds
    elif runs > 1:
        arguments = ["-m", *arguments, f"seed={','.join(map(str, range(runs)))}"]
    return [*before, shlex.join(["python", "train.py", *arguments])]


def _test(folder: str, protocol: str, runs: int) -> str:
    """The command that tests a run, or all runs of a multirun, under one protocol."""
    if runs == 1:
        return f"python -m topfive.evaluate run={folder} protocol={protocol}"
    test = f"python -m topfive.evaluate run=$run protocol={protocol}"
    return f"for run in {folder}-*; do {test}; done"


def _value(value: Json) -> str:
    """As the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
