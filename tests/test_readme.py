"""What the README says can be typed, can be typed."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep

from topfive.command_line import expand
from topfive.config import compose

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"(?:uv run |python )(train\.py[^`\n]*)", README)))


def test_the_readme_has_the_commands_that_it_promises() -> None:
    assert "pip install uv && uv run train.py experiment=quickstart" in README
    assert "pip install uv && uv run pytest" in README
    assert "train.py model=resnet152 trainer.devices=8" in COMMANDS
    assert len(README.splitlines()) < 250


@pytest.mark.parametrize("command", COMMANDS)
def test_a_training_command_of_the_readme_composes(command: str) -> None:
    arguments = [a for a in command.split()[1:] if a not in ("-m", "--help", "--cfg", "job")]
    if "-m" in command:
        arguments = expand(["-m", *arguments])[1:]
    first = []
    for override in OverridesParser.create().parse_overrides(arguments):
        sweep = override.value()
        value = (
            sweep.list[0] if isinstance(sweep, ChoiceSweep) else override.get_value_element_as_str()
        )
        first.append(f"{override.get_key_element()}={value}")
    if first and not any(a.startswith("sweep=") for a in first):
        assert compose(first)["choices"]["model"]


@pytest.mark.parametrize("module", ["topfive.report", "topfive.evaluate", "topfive.inspect"])
def test_the_other_commands_explain_themselves(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "python -m topfive" in done.stdout


def test_the_quickstart_ends_with_the_table_and_can_be_tested_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    short = ["experiment=quickstart", "trainer.max_steps=3", "trainer.progress=false"]
    monkeypatch.setattr(sys, "argv", ["train.py", *short, "hydra.run.dir=run"])
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    assert "lenet5, digits, one_view, test" in capsys.readouterr().out

    again = [sys.executable, "-m", "topfive.evaluate", "run=run", "trainer.progress=false"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(again, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "lenet5, digits, one_view, test" in done.stdout


def test_a_test_of_nothing_is_refused_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "topfive.evaluate", f"run={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no readable config.yaml" in done.stderr
    assert "Traceback" not in done.stderr
