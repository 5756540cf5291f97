"""Trains a network as its paper says, and sets the result beside the paper's.

python train.py experiment=quickstart
python train.py model=resnet152 trainer.devices=8
python train.py -m model=resnet20,plain20 seed=0,1,2
"""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from topfive.command_line import expand


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(cfg: DictConfig) -> None:
    # torch is imported here, so that --help and --cfg answer at once.
    from topfive.multirun import isolated_job
    from topfive.session import concluding

    with concluding(HydraConfig.get()), isolated_job():
        train(cfg)


def train(cfg: DictConfig) -> None:
    from topfive.config import settle

    config = settle(cfg, HydraConfig.get().runtime.choices)

    from topfive import build, conclude
    from topfive.outcomes import already
    from topfive.quiet import quiet_lightning
    from topfive.runs import start

    quiet_lightning()
    output = HydraConfig.get().runtime.output_dir
    if already(config, output):
        return
    run = start(config, output)
    data = build.data_module(config)
    trainer = build.trainer(config, run, data)
    classifier = build.classifier(config, data, trainer, trained=run.checkpoint is not None)

    build.resume(run, data, trainer)
    trainer.fit(classifier, data, ckpt_path=run.checkpoint, weights_only=True)
    scores = conclude.scores(config, run, classifier, trainer, data)
    conclude.record(config, run, classifier, trainer, data, scores)


if __name__ == "__main__":
    sys.argv[1:] = expand(sys.argv[1:])
    main()
