"""A training of seconds that faults are injected into: what is run, and as often as it takes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from started import Prepare, Started, expect, last_line, start_forked, start_plain

# A residual network of 8 layers on 400 digits of 8 x 8: 40 steps, of which every third is kept.
SMALL = [
    "model=resnet20", "model.depth=8", "data=digits", "data.per_class=40", "recipe.crop.size=8",
    "recipe.crop.by=1", "recipe.batch_size=16", "recipe.bn_batch=8", "recipe.duration={iterations:40}",
    "recipe.schedule.at={iterations:[20,30]}", "trainer.accelerator=cpu", "trainer.progress=false",
    "trainer.check_every=0.4", "trainer.checkpoint_every=3", "logger=csv", "resume=auto",
]  # fmt: skip
# One thread: the same arithmetic in every process. No quarrel with whatever account this machine has.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}


@dataclass
class Training:
    """One run, started as often as it takes, in `folder`, always by the same command."""

    folder: Path
    overrides: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    started: list[Started] = field(default_factory=list)

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def run(self) -> Path:
        """Its directory: there must be one with a checkpoint."""
        found = sorted({file.parent for file in self.outputs.glob("*/last*.ckpt")})
        expect(len(found) == 1, f"{len(found)} runs have checkpoints, of one training")
        return found[0]

    def start(self, *prepare: Prepare, plain: bool = False) -> Started:
        """Starts it, or goes on with it; `plain`: as `python train.py`, imports and all."""
        number = len(self.started)
        arguments = [*SMALL, *self.overrides, f"hydra.run.dir=outputs/{number}"]
        environment = {**ENVIRONMENT, **self.environment}
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"log-{number}"
        how = (arguments, self.folder, log, environment)
        self.started.append(start_plain(*how) if plain else start_forked(*how, prepare))
        return self.started[-1]

    def finish(self, *prepare: Prepare, plain: bool = False) -> Started:
        """Lets it run to its end, which must be a good one."""
        last = self.start(*prepare, plain=plain)
        status = last.end()
        expect(status == 0, f"it did not go on: status {status}, {last_line(last.output)}")
        return last

    def destroy(self) -> None:
        for one in self.started:
            one.destroy()


@contextmanager
def training(folder: Path, *overrides: str, **environment: str) -> Iterator[Training]:
    """A training, of which no process is left afterwards."""
    made = Training(folder, overrides, environment)
    try:
        yield made
    finally:
        made.destroy()
