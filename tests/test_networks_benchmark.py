"""benchmarks/networks.py: what it measures, that it goes on where it stopped, and its charts."""

import csv
import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from topfive.inspect.measure import Counts, measure
from topfive.inspect.network import network
from topfive.inspect.speed import Point, Row, append, processor, read
from topfive.inspect.speed_charts import draw

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "networks.py"
POINT = Point("lenet5", 1, processor(), 1, "float32", False, "inference")
DONE = Row(
    **vars(POINT), input="1x32x32", repeats=3, passes=9, seconds=0.002, fastest=0.001, slowest=0.003, cpu_seconds=0.002,
    images_per_second=500.0, memory_mib=1.5, weights_mib=0.2, load=0.1,
)  # fmt: skip


@pytest.fixture
def benchmark(monkeypatch):
    """The script as a module; `measured` has the points that it would have measured."""
    spec = importlib.util.spec_from_file_location("networks_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.measured = []

    def pretend(point, repeats, max_seconds):
        module.measured.append((point.network, point.batch))
        return replace(DONE, **vars(point))

    monkeypatch.setattr(module, "in_its_own_process", pretend)
    monkeypatch.setattr(module.torch.cuda, "is_available", lambda: False)
    return module


def test_a_point_is_measured_in_a_process_of_its_own(tmp_path):
    file = tmp_path / "speed.csv"
    command = [sys.executable, SCRIPT, "resnet20", "--batch", "64", "--csv", file, "--threads", "1"]
    command += ["--repeats", "2", "--max-seconds", "30"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    (row,) = read(file).values()
    assert row.status == "done"
    assert row.input == "3x32x32"
    assert row.weights_mib == 1.0  # 269,722 of 4 bytes
    assert row.fastest <= row.seconds <= row.slowest
    assert 0 < row.cpu_seconds < 1.1 * row.slowest  # one thread
    assert row.images_per_second == pytest.approx(64 / row.seconds, rel=1e-3)
    # The resident set grows by what is alive at once, and by working space.
    alive = measure(network("resnet20").net, (64, 3, 32, 32)).peak / 2**20
    images = 64 * 3 * 32 * 32 * 4 / 2**20  # which were there before
    assert 0.8 * (alive - images) < row.memory_mib < 3 * alive + 100


def test_a_run_goes_on_where_it_stopped(benchmark, tmp_path):
    file = tmp_path / "speed.csv"
    common = ["--csv", str(file), "--threads", "1"]
    assert benchmark.main(["lenet5", "--batch", "1", *common]) == 0
    assert benchmark.main(["lenet5", "alexnet", "--batch", "4", "1", *common]) == 0
    assert benchmark.measured == [("lenet5", 1), ("alexnet", 1), ("lenet5", 4), ("alexnet", 4)]
    benchmark.measured.clear()
    for other in (["--train"], ["--channels-last"], ["--dtype", "bfloat16"]):
        assert benchmark.main(["lenet5", "--batch", "1", *common, *other]) == 0
    assert benchmark.measured == [("lenet5", 1)] * 3  # other settings are other rows
    assert len(read(file)) == 7


def test_what_failed_is_tried_again_and_what_is_too_slow_spares_larger_batches(benchmark, tmp_path):
    file = tmp_path / "speed.csv"
    append(file, Row(**vars(replace(POINT, batch=4)), status="too slow"))
    append(file, Row(**vars(replace(POINT, batch=1)), status="failed: RuntimeError: why"))
    arguments = ["lenet5", "--batch", "1", "4", "16", "--csv", str(file), "--threads", "1"]
    assert benchmark.main(arguments) == 0
    assert benchmark.measured == [("lenet5", 1)]
    assert [row.status for row in read(file).values()] == ["too slow", "done"]


def test_a_failure_is_a_row_that_says_why(benchmark):
    row = benchmark.guarded(replace(POINT, network="no_such"), 1, 1.0)
    assert row.status.startswith("failed: ")


def test_the_csv_names_the_kind_of_machine_and_nothing_else_of_it(tmp_path):
    append(tmp_path / "speed.csv", DONE)
    text = (tmp_path / "speed.csv").read_text()
    assert processor().endswith(f"{len(os.sched_getaffinity(0))} cores")
    assert "/" not in text
    assert os.uname().nodename not in text
    assert next(csv.DictReader(text.splitlines()))["machine"] == processor()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none_such"], "no network is named none_such. There are: alexnet"),
        (["--chart", "charts"], "has no row yet. Measure first"),
    ],
)
def test_what_cannot_be_measured_is_one_line(benchmark, capsys, tmp_path, arguments, message):
    assert benchmark.main([*arguments, "--csv", str(tmp_path / "speed.csv")]) == 1
    assert message in capsys.readouterr().err


def test_a_csv_of_other_columns_is_refused(benchmark, capsys, tmp_path):
    (tmp_path / "speed.csv").write_text("network,batch\nlenet5,1\n")
    assert benchmark.main(["lenet5", "--csv", str(tmp_path / "speed.csv")]) == 1
    assert "has columns network, batch, expected" in capsys.readouterr().err


def test_charts_are_drawn_of_the_setting_with_most_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "topfive.inspect.speed_charts.counts",
        lambda name: Counts(8, 60_000_000, 700_000_000 if name == "plain34" else 300_000),
    )
    rows = [
        replace(DONE, network=name, batch=batch, input=input, images_per_second=9.0 * batch)
        for name, input in (("plain34", "3x224x224"), ("lenet5", "1x32x32"))
        for batch in (1, 4)
    ]
    files = draw([*rows, replace(DONE, threads=8)], tmp_path)
    assert {file.stem for file in files} == {
        *("images_per_second_against_batch", "seconds_against_batch", "memory_mib_against_batch"),
        *("speed_against_operations", "error_against_operations"),
    }
    assert all(file.stat().st_size < 200_000 for file in files if file.suffix == ".svg")
