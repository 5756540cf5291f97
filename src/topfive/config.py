"""From Hydra's configuration to the plain dictionary that the rest of the program reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from topfive.ablations import register
from topfive.problems import Problem

CONF = Path(__file__).resolve().parents[2] / "conf"
GROUPS = ("model", "recipe", "data", "protocol", "ablation", "sweep", "experiment")


def settle(cfg: DictConfig, choices: Mapping[str, str | None]) -> dict[str, Any]:
    """The resolved configuration, with what was chosen in every group under `choices`.

    Raises Problem where no model, recipe, data or protocol is chosen.
    """
    chosen = {group: choices.get(group) for group in GROUPS}
    for group in ("model", "recipe", "data", "protocol"):
        if chosen[group] is None:
            raise Problem(_what_to_choose(group))
    cfg = cfg.copy()
    with open_dict(cfg):
        if "hydra" in cfg:
            del cfg["hydra"]
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    return {**{str(key): value for key, value in config.items()}, "choices": chosen}


def compose(overrides: Sequence[str]) -> dict[str, Any]:
    """What `train.py` would read under `overrides`, from anywhere."""
    register(overrides)
    if GlobalHydra.instance().is_initialized():
        cfg = hydra_compose("config", list(overrides), return_hydra_config=True)
    else:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra_compose("config", list(overrides), return_hydra_config=True)
    return settle(cfg, cfg.hydra.runtime.choices)


def options(group: str) -> list[str]:
    """The names that `group=NAME` takes."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def _what_to_choose(group: str) -> str:
    if group != "model":
        return f"no {group} is chosen: {group}={{{','.join(options(group))}}}, or a model that names one."
    return (
        "no model is chosen. Try\n"
        "  python train.py experiment=quickstart               LeNet-5 on embedded digits, about a minute\n"
        "  python train.py model=resnet20                      ResNet-20 on CIFAR-10, as the paper trained it\n"
        "  python train.py model=resnet152 trainer.devices=8   ResNet-152 on ImageNet, on 8 GPUs\n"
        f"Models: {', '.join(options('model'))}"
    )
