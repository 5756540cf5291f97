"""What runs would take: lengths, speeds, views and sums, against arithmetic by hand."""

import csv
from pathlib import Path

import pytest
from records import record

from topfive.inspect.speed import Row, append
from topfive.plan import cost, device
from topfive.plan.costs import Cost, of
from topfive.plan.devices import devices
from topfive.plan.facts import FILE, counted, facts_of
from topfive.plan.jobs import Job, jobs, needed
from topfive.plan.measured import Known, known
from topfive.plan.whole import Planned, makespan, whole
from topfive.problems import Problem
from topfive.published import Paper, load
from topfive.report.lines import lines
from topfive.report.plan import main

RESNET20 = "python train.py model=resnet20"
VGG16 = (
    "python train.py model=vgg11 && "
    "python train.py model=vgg16 recipe.initialization.checkpoint=outputs/vgg11/vgg/TIME && "
    "python -m topfive.evaluate run=outputs/vgg16/vgg_from_a/TIME protocol=dense_384"
)
OPTIONS = {"depth": 20, "shortcut": "A", "added_channels": "after"}


def measured(**changes):
    """A record of ResNet-20 on four A100s, 1,000 images a second together."""
    recipe = {"batch_size": 128, "crop": {"size": 32}, "online": None}
    config = {"recipe": recipe, "trainer": {"precision": "32-true"}}
    fields = {
        "options": OPTIONS,
        "device": "NVIDIA A100-SXM4-80GB",
        "world_size": 4,
        "images_per_second": 1000.0,
    }
    return record(**fields | {"config": config} | changes)  # fmt: skip


# ---- what a command asks for


def test_the_steps_of_a_command_are_trainings_and_their_tests():
    assert jobs(VGG16) == [
        Job(("model=vgg11",)),
        Job(("model=vgg16",), protocols=("dense_384",)),
    ]


def test_seeds_are_runs_and_a_test_in_a_loop_is_one_of_each():
    command = (
        "python train.py -m model=zfnet seed=0,1,2,3,4 && for run in outputs/zfnet/zfnet/TIME-*; do "
        "python -m topfive.evaluate run=$run protocol=ten_crop; done && "
        "python -m topfive.predictions ensemble outputs/zfnet/zfnet/TIME-*/predictions-ten_crop-val.npz"
    )
    assert jobs(command) == [Job(("model=zfnet",), seeds=5, protocols=("ten_crop",))]


def test_a_sweep_over_four_rates_is_five_runs():
    (job,) = jobs("python train.py sweep=lr model=allcnn_c")
    assert (job.overrides, job.runs) == (("model=allcnn_c",), 5)
    assert jobs("python train.py sweep=init model=vgg11")[0].tries == 4


def test_one_training_serves_all_that_need_it():
    one = needed([RESNET20, f"{RESNET20} seed=0,1,2 -m", "", VGG16, VGG16.replace("384", "256")])
    assert one == [
        Job(("model=resnet20",), seeds=3),
        Job(("model=vgg11",)),
        Job(("model=vgg16",), protocols=("dense_384", "dense_256")),
    ]


def test_only_how_a_run_is_carried_out_makes_no_other_training():
    assert jobs(f"{RESNET20} trainer.devices=8 loader.workers=4 logger=csv") == jobs(RESNET20)
    assert jobs(f"{RESNET20} recipe.shorten=4") != jobs(RESNET20)


@pytest.mark.parametrize(
    ("command", "match"),
    [
        ("python -m topfive.evaluate run=outputs/x protocol=ten_crop", "Name the training, too"),
        ("python train.py sweep=rates model=vgg11", "no sweep=rates"),
        ("python train.py sweep=cifar", "one by one"),
        ("python train.py model=resnet21", "resnet21"),
        ("python train.py model=resnet20 data=digits", "of known size"),
        (f"{RESNET20} && python -m topfive.evaluate run=RUN protocol=twelve_crop", "no protocol="),
    ],
)
def test_a_command_that_cannot_be_planned_is_said_to_be_so(command, match):
    with pytest.raises(Problem, match=match):
        cost(command, "h100")


# ---- how long


@pytest.mark.parametrize(
    ("model", "images"),
    [
        ("resnet20", 64_000 * 128),  # He et al. 2015, section 4.2
        ("resnet50", 600_000 * 256),  # section 3.4: "up to 60 x 10^4 iterations"
        ("lenet5", 20 * 60_000),  # LeCun et al. 1998, section III-B
        ("googlenet", 10_000_000 * 32),  # BVLC's
        (
            "alexnet",
            round(90 * 1_271_167 / 128) * 128,
        ),  # 10,000 are held out to end the rate's steps
    ],
)
def test_a_training_shows_as_many_images_as_its_paper_says(model, images):
    assert facts_of(Job((f"model={model}",))).images == images


def test_shortening_divides_the_images():
    assert facts_of(Job(("model=resnet20", "recipe.shorten=40"))).images == 1_600 * 128
    to_a_thousand = ("model=resnet20", "recipe.shorten={iterations: 1000}")
    assert facts_of(Job(to_a_thousand)).images == 1_000 * 128


def test_resnet50_takes_a_day_on_an_h100():
    """600,000 x 256 images x 3 x 2 x 3.856e9 multiply-adds at 8.4 % of 494.7e12/s: 85,520 s."""
    found = cost("python train.py model=resnet50", "h100")
    assert found.training_hours == pytest.approx(85_520 / 3600, rel=1e-3)
    assert (found.estimated, found.basis) == (True, "estimated: multiply-adds")
    # Ten crops of 50,000 images, 2 x 3.856e9 each: 92.8 s; 700 W all the time.
    assert found.test_hours == pytest.approx(92.8 / 3600, rel=1e-3)
    assert found.kwh == pytest.approx((85_520 + 93) / 3600 * 0.7, rel=1e-3)


def test_vgg16_takes_370_000_iterations_of_256_as_its_paper_says():
    """Section 3.1; x 6 x 15.470e9 at 14.7 % of 156e12/s: 383,398 s."""
    found = of(jobs(VGG16)[1], device("a100"), Known())
    assert found.images == 370_000 * 256
    assert found.training_hours * 3600 == pytest.approx(383_398, rel=1e-3)


def test_small_batches_of_small_images_take_the_time_of_their_calls():
    """ResNet-20's arithmetic (41 M multiply-adds) would take 0.75 ms a step; 3 x 94 calls take 12.6 ms."""
    found = cost(RESNET20, "h100")
    assert found.basis == "estimated: calls"
    assert found.training_hours * 3600 == pytest.approx(64_000 * 3 * 94 * 10.4e-3 / 233, rel=1e-3)


def test_a_dense_test_at_five_scales_costs_48_views_of_an_image_of_4_to_3():
    """Shorter sides 224, 256, 384, 480, 640, both mirrors: 2 x 1,204,000 pixels over 224 x 224."""
    job = Job(("model=resnet152",), protocols=("dense_multiscale", "ten_crop"))
    views = facts_of(job).views
    assert views["dense_multiscale"] == pytest.approx(2 * 1_204_000 / 224**2, rel=5e-3)
    assert views["ten_crop"] == 10


def test_checkpoints_and_predictions_are_what_stays_on_disk():
    """ResNet-20 has 0.27 M parameters (Table 6); 10,000 answers of 10 classes in half precision, five seeds."""
    found = cost(f"{RESNET20} -m seed=0,1,2,3,4", "h100")
    assert found.gigabytes == pytest.approx(
        5 * (8 * 0.27e6 + 10_000 * (2 * 10 + 60)) / 1e9, rel=0.01
    )


def test_a_command_of_several_steps_costs_their_sum():
    first, second = (of(job, device("a100"), Known()) for job in jobs(VGG16))
    both = cost(VGG16, "a100")
    assert both.device_hours == pytest.approx(first.device_hours + second.device_hours)
    assert cost("", "a100") is None


# ---- measured speeds


def test_a_record_of_the_network_on_such_a_device_is_preferred_to_an_estimate():
    """250 images a second on each: 8,192,000 / 250 = 32,768 s."""
    found = cost(RESNET20, "a100", Known([measured()]))
    assert found.training_hours * 3600 == pytest.approx(32_768)
    assert (found.estimated, found.basis) == (False, "measured: a record, batch 32")


def test_of_several_records_the_nearest_batch_and_the_median_count():
    rates = [measured(world_size=1, images_per_second=float(rate)) for rate in (100, 300, 200)]
    found = cost(RESNET20, "a100", Known([measured(), *rates]))
    assert found.training_hours * 3600 == pytest.approx(8_192_000 / 200)


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "NVIDIA H100 80GB HBM3"},
        {"model": "plain20"},
        {"options": OPTIONS | {"shortcut": "B"}},
        {"images_per_second": None},
        {"config": {"recipe": {"batch_size": 128, "crop": {"size": 32}, "online": None},
                    "trainer": {"precision": "bf16-mixed"}}},
        {"config": {"recipe": {"batch_size": 128, "crop": {"size": 24}, "online": None},
                    "trainer": {"precision": "32-true"}}},
        {"config": {"seed": 0}},
    ],
)  # fmt: skip
def test_a_record_of_anything_else_says_nothing_of_its_speed(changes):
    assert cost(RESNET20, "a100", Known([measured(**changes)])).estimated


def test_a_record_from_before_an_option_was_there_still_tells_the_speed():
    older = {"depth": 20, "shortcut": "A"}
    assert not cost(RESNET20, "a100", Known([measured(options=older)])).estimated


def test_a_core_is_as_fast_as_one_thread_was():
    one = measured(device="AMD EPYC", world_size=1, threads=1, images_per_second=200.0)
    assert cost(RESNET20, "cpu", Known([one])).training_hours * 3600 == pytest.approx(40_960)
    two = measured(device="AMD EPYC", world_size=1, threads=2, images_per_second=200.0)
    assert cost(RESNET20, "cpu", Known([two])).estimated


def test_the_benchmark_tells_training_tests_and_a_third_of_inference(tmp_path):
    where = ("NVIDIA A100-SXM4-80GB", 0, "float32", False)
    for batch, rate in ((16, 3000.0), (64, 6000.0)):
        row = Row("resnet20", batch, *where, "inference", input="3x32x32", images_per_second=rate)
        append(tmp_path / "rows.csv", row)
    found = cost(RESNET20, "a100", known([], tmp_path / "rows.csv"))
    assert found.training_hours * 3600 == pytest.approx(8_192_000 / 2000)
    assert found.test_hours * 3600 == pytest.approx(10_000 / 6000)
    assert found.basis == "estimated: a third of inference, networks.csv, batch 64"
    row = Row("resnet20", 128, *where, "training", input="3x32x32", images_per_second=1600.0)
    append(tmp_path / "rows.csv", row)
    found = cost(RESNET20, "a100", known([], tmp_path / "rows.csv"))
    assert (found.training_hours * 3600, found.estimated) == (pytest.approx(5120), False)


def test_the_committed_record_of_lenet5_tells_what_a_core_takes():
    """results/lenet5-mnist-map: 843.24 images a second, 1,200,000 of them."""
    from topfive.results import read

    one = read(Path(__file__).parents[1] / "results" / "lenet5-mnist-map" / "result.json")
    found = cost("python train.py model=lenet5", "cpu", Known([one]))
    assert found.training_hours * 3600 == pytest.approx(1_200_000 / 843.24, rel=1e-3)
    assert found.basis == "measured: lenet5-mnist-map, batch 1"


# ---- devices


def test_the_utilization_of_each_device_is_what_its_source_gives():
    """Images a second of ResNet-50, v1.5 (4.09e9 multiply-adds) or v1 (3.86e9), x 6 x those over the peak."""
    found = devices()
    assert found["a100"].rate("32-true").utilization == pytest.approx(
        938 * 6 * 4.09e9 / 156e12, abs=1e-3
    )
    assert found["a100"].rate("bf16-mixed").utilization == pytest.approx(
        2470 * 6 * 4.09e9 / 312e12, abs=1e-3
    )
    assert found["v100"].rate("32-true").utilization == pytest.approx(
        367 * 6 * 4.09e9 / 15.7e12, abs=1e-3
    )
    assert found["v100"].rate("16-mixed").utilization == pytest.approx(
        1200 * 6 * 4.09e9 / 125e12, abs=1e-3
    )
    for precision, rate in (("32-true", 938), ("bf16-mixed", 2470)):
        h100 = found["h100"].rate(precision)
        assert h100.utilization == pytest.approx(1.8 * rate * 6 * 4.09e9 / h100.peak, abs=1e-3)
    assert found["rtx4090"].rate("bf16-mixed").utilization == pytest.approx(
        1776 * 6 * 3.86e9 / 165.2e12, abs=1e-3
    )
    assert found["cpu"].rate("32-true").utilization == pytest.approx(
        4.98 * 6 * 1.795e9 / 78.4e9, abs=5e-3
    )


def test_an_unknown_device_or_precision_is_answered_with_those_there_are():
    with pytest.raises(Problem, match=r"no device 'h1000'\. Devices: h100, h200, a100"):
        cost(RESNET20, "h1000")
    with pytest.raises(Problem, match="precision=bf16-mixed on v100: choose 32-true or 16-mixed"):
        device("v100").rate("bf16-mixed")


# ---- the whole table


def test_every_training_of_the_table_is_counted_in_the_file():
    kept = {line.partition('"model"')[0] for line in FILE.read_text().splitlines()}
    wanted = needed(line.command for line in lines([], load()))
    assert len(kept) == len(wanted)
    for job in wanted:
        assert facts_of(job).views.keys() >= set(job.protocols), "run: python -m topfive.plan"


@pytest.mark.parametrize("model", ["lenet5", "alexnet", "allcnn_c", "vgg11", "resnet20"])
def test_the_file_says_what_is_counted_now(model):
    (job,) = [one for one in needed(line.command for line in lines([], load()))
              if one.overrides == (f"model={model}",)]  # fmt: skip
    assert facts_of(job) == counted(job), "run: python -m topfive.plan"


def test_the_runs_of_the_table_are_fewer_than_its_numbers():
    resnet = [line for line in lines([], load()) if line.published.network == "resnet152"]
    (found,) = whole(resnet, device("h100"), Known())
    assert found.numbers == len([line for line in resnet if line.command]) > 4
    assert set(found.job.protocols) >= {"one_crop", "dense_multiscale"}
    assert found.paper.year == 2015


def test_the_longest_runs_are_begun_first():
    """5, 4, 3, 3, 3 hours on two devices: 5 + 3 and 4 + 3, then 3 after the 7."""
    costs = [Cost(hours, 0.0, 0.0, 0.0, 0, True, "") for hours in (5.0, 4.0, 9.0)]
    paper = Paper("p", "somebody")
    planned = [Planned(Job((str(n),), seeds=3 if n == 2 else 1), one, paper, 1)
               for n, one in enumerate(costs)]  # fmt: skip
    assert makespan(planned, 2) == 10
    assert makespan(planned, 1) == 18


def test_the_plan_of_the_table_is_printed_and_its_rows_add_up(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    file = tmp_path / "plan.csv"
    asked = ["device=a100", "count=8", "--records", str(tmp_path), "--csv", str(file)]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    hours = sum(float(row["training_hours"]) + float(row["test_hours"]) for row in rows)
    (last,) = [line for line in printed.splitlines() if line.startswith("all ")]
    assert f"{hours:,.1f}" in last
    assert f"{hours * 0.4:,.1f}" in last  # 400 W
    assert rows[0]["run"] == "googlenet"
    assert "speeds are estimated" in printed


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["device=tpu"], "Devices: h100"),
        (["h100"], "expected KEY=VALUE"),
        (["devices=h100"], "expected KEY=VALUE"),
        (["count=0"], "count=0"),
        (["--count", "many"], "count=many"),
        (["--device", "v100", "precision=bf16-mixed"], "nothing is known of precision"),
        (["--records", "nowhere"], "neither a folder nor a record"),
    ],
)
def test_a_bad_argument_is_one_line(asked, said, capsys):
    assert main(asked) == 1
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1
