"""One job: left alone where there is nothing to do, else its run, which no other process trains meanwhile."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.types import RunMode

from topfive import locks, outcomes
from topfive.identity import identity
from topfive.outcomes import Outcome
from topfive.problems import Problem, problem_in
from topfive.runs import AUTO, SWEEP, Run, first_process, home, remove_empty, start, take_back


@contextmanager
def taken(config: Mapping[str, Any], hydra: HydraConf) -> Iterator[Run | None]:
    """The run of a job, for as long as it trains; None, and a line that says why, where it is left alone.

    A job of a sweep is left alone where it is finished, failed before, or is trained by another process;
    where it fails, it leaves a note. A run under resume=auto is where it is finished. Of any other run that
    another process trains it is a Problem, as is whatever runs.start refuses.
    """
    config = {**config, "resume": resume(config, hydra)}
    output, sweeps = hydra.runtime.output_dir, config["resume"] == SWEEP
    if not first_process():  # it does as the first one does, which has the lock
        yield None if _over(config, Path(output)) else start(config, output)
        return
    with locks.held(home(config, output), identity(config)) as lock:
        over = _over(config, Path(output))
        if over is None and lock is None:
            over = _elsewhere(config, output, sweeps)
        if over is not None or lock is None:
            assert over is not None
            print(over.line, flush=True)
            remove_empty(Path(output))  # perhaps that of who trains it
            yield None
            return
        run = start(config, output)
        outcomes.forget_failures(Path(output), identity(config))
        lock.sign(run.directory)
        try:
            yield run
        except BaseException as error:
            if sweeps and isinstance(error, Exception) and _says_something(error):
                which = identity(config)
                outcomes.note_failure(run.directory, which, problem_in(error) or error)
            take_back(run.directory)
            raise


def resume(config: Mapping[str, Any], hydra: HydraConf) -> str | None:
    """As told; a job of a multirun goes on as one of a sweep unless told otherwise."""
    told: str | None = config["resume"]
    return SWEEP if told is None and hydra.mode == RunMode.MULTIRUN else told


def _over(config: Mapping[str, Any], output: Path) -> Outcome | None:
    """What there is in place of something to do; resume=auto, typed by hand, tries again what failed."""
    if config["resume"] not in (AUTO, SWEEP):
        return None
    over = outcomes.ended(config, output)
    return None if over.calls_for_work(config["retry"] or config["resume"] == AUTO) else over


def _elsewhere(config: Mapping[str, Any], output: str, sweeps: bool) -> Outcome:
    signed = locks.signed(home(config, output), identity(config))
    running = outcomes.running(signed)
    if sweeps:
        return running
    where = "" if running.where is None else f", in {os.path.relpath(running.where)}"
    raise Problem(
        f"this run is being trained by {running.why}{where}: wait for its end, or "
        f"stop it and continue with resume=auto. Another seed is another run."
    )


def _says_something(error: Exception) -> bool:
    """Of several processes one may have been killed, which ends the others but says nothing of the job."""
    import torch.distributed as dist

    return problem_in(error) is not None or not (dist.is_available() and dist.is_initialized())
