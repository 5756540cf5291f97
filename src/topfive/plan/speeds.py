"""How many images a second a device trains or tests, as measured or else as estimated from multiply-adds."""

from typing import NamedTuple

from topfive.plan.devices import Device
from topfive.plan.facts import Facts
from topfive.plan.measured import Known, in_benchmark, in_runs

PASSES = 3  # a training step in forward passes: one forward, two backward
# Of one call of torch, before its kernel runs: ResNet-50's 233 take 10.4 ms forward at batches 1, 2 and 4 alike (V100,
# 32 bits: the readme of NVIDIA/DeepLearningExamples that devices.yaml names). A newer processor takes less.
SECONDS_OF_A_CALL = 10.4e-3 / 233


class Speed(NamedTuple):
    """images: a second, on one device. estimated: it was not measured. basis: how it is known."""

    images: float
    estimated: bool
    basis: str


def training(facts: Facts, device: Device, precision: str, known: Known) -> Speed:
    """Measured in runs or in the benchmark; else a third of what inference was; else estimated."""
    measured = in_runs(facts, device, precision, known) or in_benchmark(
        facts, device, precision, known, "training"
    )
    if measured:
        return Speed(measured.images, False, f"measured: {measured.where}")
    inference = in_benchmark(facts, device, precision, known, "inference")
    if inference:
        basis = f"estimated: a third of inference, {inference.where}"
        return Speed(inference.images / PASSES, True, basis)
    return estimated(facts, device, precision)


def testing(facts: Facts, device: Device, precision: str, known: Known) -> Speed:
    """Views a second of the size that was trained on: measured in the benchmark, else estimated."""
    measured = in_benchmark(facts, device, precision, known, "inference")
    if measured:
        return Speed(measured.images, False, f"measured: {measured.where}")
    rate = device.rate(precision)
    views = rate.peak * rate.utilization / (2 * facts.multiply_adds)
    return Speed(views, True, "estimated: multiply-adds")


def estimated(facts: Facts, device: Device, precision: str) -> Speed:
    """From 3 x 2 x multiply-adds over what the device reaches; at least the time that the calls themselves take."""
    rate = device.rate(precision)
    arithmetic = PASSES * 2 * facts.multiply_adds / (rate.peak * rate.utilization)
    calls = PASSES * facts.operations * SECONDS_OF_A_CALL / facts.batch
    if calls > arithmetic:
        return Speed(1 / calls, True, "estimated: calls")
    return Speed(1 / arithmetic, True, "estimated: multiply-adds")
