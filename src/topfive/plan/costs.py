"""What a training with its tests, or a whole command, takes on a device."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topfive.plan.devices import Device, device
from topfive.plan.facts import facts_of
from topfive.plan.jobs import Job, jobs
from topfive.plan.lengths import data_set
from topfive.plan.measured import Known
from topfive.plan.speeds import testing, training

if TYPE_CHECKING:
    from topfive.report.lines import Line

PRECISION = "32-true"
BYTES = 8  # of a parameter in a checkpoint: its weight, and one state of the optimizer
ANSWER = 60  # bytes of an image's name, label and five best classes in a file of predictions


@dataclass(frozen=True)
class Cost:
    """Of all runs, on one device after the other.

    kwh: of the device alone. gigabytes: of checkpoints and predictions, data sets apart. images: shown in training.
    estimated: a speed of training was not measured; basis: how it is known.
    """

    training_hours: float
    test_hours: float
    kwh: float
    gigabytes: float
    images: int
    estimated: bool
    basis: str

    @property
    def device_hours(self) -> float:
        """Of training and tests."""
        return self.training_hours + self.test_hours


def cost(
    what: "Line | str", on: str | Device, known: Known | None = None, precision: str = PRECISION
) -> Cost | None:
    """Of a command line, or of what measures a published number: all its steps; None where it has none.

    known: what was measured; without it all is estimated. Raises Problem where the device, a network or its data are
    not known.
    """
    command = what if isinstance(what, str) else what.command
    if not command:
        return None
    place = device(on) if isinstance(on, str) else on
    return total(of(job, place, known or Known(), precision) for job in jobs(command))


def of(job: Job, device: Device, known: Known, precision: str = PRECISION) -> Cost:
    """Of all runs of one training, and of the tests of those that are reported."""
    found = facts_of(job)
    data = data_set(found.data)
    speed = training(found, device, precision, known)
    tests = ["", *job.protocols]
    views = data.test * sum(found.views[name] for name in tests)
    images = job.runs * found.images
    hours = images / speed.images / 3600
    test_hours = job.seeds * views / testing(found, device, precision, known).images / 3600
    checkpoints = job.runs * BYTES * found.parameters
    predictions = job.seeds * len(tests) * data.test * (2 * data.classes + ANSWER)
    return Cost(
        training_hours=hours,
        test_hours=test_hours,
        kwh=(hours + test_hours) * device.watts / 1000,
        gigabytes=(checkpoints + predictions) / 1e9,
        images=images,
        estimated=speed.estimated,
        basis=speed.basis,
    )


def total(several: Iterable[Cost]) -> Cost:
    """The sum; estimated where one of them is."""
    found = list(several)
    return Cost(
        sum(one.training_hours for one in found),
        sum(one.test_hours for one in found),
        sum(one.kwh for one in found),
        sum(one.gigabytes for one in found),
        sum(one.images for one in found),
        any(one.estimated for one in found),
        "; ".join(dict.fromkeys(one.basis for one in found)),
    )
