"""Nothing that befalls a training loses, doubles or falsifies anything, and it is told in a line."""

import pytest
from bench import injected
from damage import HARMS, change, resumed
from injection import Bench, Fault
from kills import killed_at_moments
from processes import worker_killed
from scenarios import FAULTS
from started import Unexpected
from table import markdown


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("faults"), seed=0)


def test_a_training_killed_twice_ends_as_the_undisturbed_one_bit_for_bit(bench: Bench) -> None:
    assert "bit for bit" in killed_at_moments(bench, "killed_twice", 2)


def test_a_flipped_bit_in_the_newest_checkpoint_costs_steps_and_no_more(bench: Bench) -> None:
    said = resumed(bench, "flipped", lambda run: change(HARMS["bit-flipped"], "last.ckpt", run))
    assert "last.ckpt is damaged" in said


def test_a_killed_worker_ends_the_training_with_a_line_and_it_goes_on(bench: Bench) -> None:
    assert "went on bit for bit" in worker_killed(bench, "worker", 1)


def test_an_unexpected_outcome_is_a_fault_in_the_table(bench: Bench) -> None:
    def inject(bench: Bench, name: str, times: int) -> str:
        raise Unexpected("a stack trace in /somebody/s/folder/log-0")

    fault = Fault("name", "what", 1, "nothing", inject)
    row = injected(bench, fault)
    assert row.verdict == "FAULT"
    line = markdown([row]).splitlines()[-1]
    assert line.startswith("| `name` | what | 1 | nothing | a stack trace in log-0 | FAULT |")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_ends_as_expected(bench: Bench, fault: Fault) -> None:
    row = injected(bench, fault)
    if row.verdict == "not run":
        pytest.skip(row.happened)
    assert row.verdict == "as expected", row.happened
