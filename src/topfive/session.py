"""How a command ends: with a result, with one clear line, or interrupted with everything saved."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.conf import HydraConf
from hydra.types import RunMode

from topfive.checkpoints import Interrupted
from topfive.problems import Problem
from topfive.runs import remove_if_empty

PREEMPTED = 75  # EX_TEMPFAIL: try again later
CTRL_C = 130


@contextmanager
def concluding(hydra: HydraConf) -> Iterator[None]:
    """Turns a Problem into one line and exit status 1, and an interruption into 130 (Ctrl-C) or 75 (SIGTERM).

    In a multirun a Problem ends its own job only: the others run, and Hydra reports the failure at the end.
    """
    try:
        yield
    except Problem as problem:
        remove_if_empty(Path(hydra.runtime.output_dir))
        if hydra.mode == RunMode.MULTIRUN:
            print(f"job {hydra.job.num} failed: {problem}", file=sys.stderr, flush=True)
            raise
        sys.exit(f"train.py: {problem}")
    except Interrupted as stop:
        print(f"\nstopped by {stop}; continue with resume=auto", file=sys.stderr, flush=True)
        sys.exit(CTRL_C if str(stop) == "SIGINT" else PREEMPTED)
