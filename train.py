"""Trains a network as its paper says, and sets the result beside the paper's.

python train.py experiment=quickstart
python train.py model=resnet152 trainer.devices=8
python train.py -m model=resnet20,plain20 seed=0,1,2
"""

from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from topfive.command_line import run

if TYPE_CHECKING:
    from topfive.runs import Run


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(cfg: DictConfig) -> None:
    # torch is imported here, so that --help and --cfg answer at once.
    from topfive.mishaps import mishaps
    from topfive.multirun import isolated_job
    from topfive.session import concluding

    with concluding(HydraConfig.get()), isolated_job(), mishaps():
        train(cfg)


def train(cfg: DictConfig) -> None:
    from topfive.config import settle

    config = settle(cfg, HydraConfig.get().runtime.choices)

    from topfive.job import taken
    from topfive.quiet import quiet_lightning

    quiet_lightning()
    with taken(config, HydraConfig.get()) as run:
        if run is not None:
            fit(config, run)


def fit(config: dict[str, Any], run: "Run") -> None:
    from topfive import build, conclude

    data = build.data_module(config)
    trainer = build.trainer(config, run, data)
    classifier = build.classifier(config, data, trainer, trained=run.checkpoint is not None)

    build.resume(run, data, trainer)
    trainer.fit(classifier, data, ckpt_path=run.checkpoint, weights_only=True)
    scores = conclude.scores(config, run, classifier, trainer, data)
    conclude.record(config, run, classifier, trainer, data, scores)


if __name__ == "__main__":
    run(main)
