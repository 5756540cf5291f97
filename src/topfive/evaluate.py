"""Tests a trained network: python -m topfive.evaluate run=outputs/... protocol=ten_crop

A run of this project, one of its checkpoints, or weights that others trained (weights=torchvision:resnet50), under
one protocol or several, on the data that it was made for or others. Predictions go to files, counts to a record
that the report reads, and onto the screen beside what was published under that protocol.
"""

import signal
import sys
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from topfive.config import CONF


@hydra.main(config_path=str(CONF), config_name="evaluate", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Evaluates `cfg.run` or `cfg.weights`."""
    from hydra.errors import InstantiationException

    from topfive.problems import Problem, problem_in
    from topfive.session import CTRL_C, PREEMPTED, Interrupted

    try:
        evaluate(cfg)
    except (Problem, InstantiationException) as error:
        problem = problem_in(error)
        if problem is None:
            raise
        sys.exit(f"topfive.evaluate: {problem}")
    except Interrupted as stop:
        print(f"\nstopped by {stop}; the same command goes on from here", file=sys.stderr)
        sys.exit(CTRL_C if stop.number == signal.SIGINT else PREEMPTED)


def evaluate(cfg: DictConfig) -> None:
    from omegaconf import OmegaConf

    from topfive import build, conclude
    from topfive.evaluation import subject
    from topfive.evaluation.averages import Averages
    from topfive.evaluation.counting import counts
    from topfive.evaluation.records import record
    from topfive.loaders.datamodule import LoaderSettings
    from topfive.quiet import quiet_lightning

    quiet_lightning()
    asked: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    one = subject.of(asked, HydraConfig.get().runtime.choices)
    trainer = build.evaluator(one.config)
    scores = counts(
        one.trained,
        one.split,
        one.protocols,
        Averages(**asked["averages"]),
        trainer,
        LoaderSettings(**asked["loader"]),
        one.folder,
        one.about,
        asked["filter"],
    )
    if scores:
        conclude.show([record(one, scores, trainer)])


if __name__ == "__main__":
    main()
