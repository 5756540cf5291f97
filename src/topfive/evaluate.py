"""Tests a trained network again: python -m topfive.evaluate run=outputs/... [protocol=ten_crop]

Reads the run's own configuration and checkpoint; protocol, data.root, loader and trainer keys may be given anew.
The counts are added to the run's result.json and printed beside what was published under that protocol.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from topfive.config import CONF


@hydra.main(config_path=str(CONF), config_name="evaluate", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Evaluates `cfg.run`."""
    from hydra.errors import InstantiationException

    from topfive.problems import Problem
    from topfive.session import problem_in

    try:
        evaluate(cfg)
    except (Problem, InstantiationException) as error:
        problem = problem_in(error)
        if problem is None:
            raise
        sys.exit(f"topfive.evaluate: {problem}")


def evaluate(cfg: DictConfig) -> None:
    from omegaconf import OmegaConf

    from topfive import build, conclude, results
    from topfive.quiet import quiet_lightning
    from topfive.runs import CHECKPOINT

    quiet_lightning()

    asked: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    config, directory = _config_of(asked)
    chosen = HydraConfig.get().runtime.choices["protocol"]
    if chosen is not None:
        section = OmegaConf.create({"protocol": asked["protocol"], "recipe": config["recipe"]})
        config["protocol"] = OmegaConf.to_container(section, resolve=True)["protocol"]  # type: ignore[index, call-overload]
        config["choices"]["protocol"] = chosen
    data = build.data_module(config)
    trainer = build.evaluator(config)
    module = build.classifier(config, data, trainer, trained=True)
    build.load_weights(module, directory / CHECKPOINT)
    data.trainer = trainer
    trainer.validate(module, data.reported_loader(data.protocol), verbose=False)
    if trainer.is_global_zero:
        score = conclude.score(module.scores[0], data.protocol.name, data.dataset.reported_name)
        before = results.read(directory / results.FILE_NAME)
        kept = [s for s in before.scores if (s.protocol, s.split) != (score.protocol, score.split)]
        listed = dict.fromkeys((*before.departures, *data.departures))
        record = replace(before, scores=(*kept, score), departures=tuple(listed))
        results.write(record, directory / results.FILE_NAME)
        conclude.show([record])


def _config_of(asked: dict[str, Any]) -> tuple[dict[str, Any], Path]:
    """The run's configuration under the keys that a test may change, and the run's directory."""
    from topfive.problems import Problem
    from topfive.runs import CONFIG, read_config

    if asked["run"] is None:
        raise Problem(
            "no run is named: run=outputs/MODEL/RECIPE/TIME, a directory that train.py made."
        )
    directory = Path(asked["run"])
    config = read_config(directory)
    if config is None:
        raise Problem(
            f"run={directory}: there is no readable {CONFIG} in it. Name a directory that train.py made."
        )
    config["trainer"] |= asked["trainer"]
    config["loader"] |= asked["loader"]
    if asked["data"]["root"] is not None:
        config["data"]["root"] = asked["data"]["root"]
    return config, directory


if __name__ == "__main__":
    main()
