import csv

from topfive.curve import COLUMNS, Curve


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def log(curve, step, split="train", **values):
    metrics = {f"{split}/{name}": value for name, value in values.items()}
    curve.log_metrics({**metrics, "epoch": step / 10}, step)


def test_a_row_holds_the_values_of_one_split_at_one_step(tmp_path):
    log(Curve(tmp_path / "curve.csv"), 50, loss=1.25, top1_error=0.5, learning_rate=0.1)
    (row,) = rows(tmp_path / "curve.csv")
    assert tuple(row) == COLUMNS
    assert row["step"] == "50"
    assert row["split"] == "train"
    assert {
        name: float(row[name]) for name in ("epoch", "loss", "top1_error", "learning_rate")
    } == {
        "epoch": 5.0,
        "loss": 1.25,
        "top1_error": 0.5,
        "learning_rate": 0.1,
    }
    assert row["top5_error"] == row["images_per_second"] == ""


def test_splits_logged_together_get_a_row_each(tmp_path):
    metrics = {"reported/loss": 1.0, "minival/loss": 2.0, "epoch": 1.0}
    Curve(tmp_path / "curve.csv").log_metrics(metrics, 7)
    found = {row["split"]: row["loss"] for row in rows(tmp_path / "curve.csv")}
    assert found == {"reported": "1", "minival": "2"}


def test_the_header_is_written_once_over_several_processes(tmp_path):
    for step in (1, 2, 3):
        log(Curve(tmp_path / "curve.csv"), step, loss=step)  # each as a new process would
    text = (tmp_path / "curve.csv").read_text()
    assert text.count("learning_rate") == 1
    assert [row["step"] for row in rows(tmp_path / "curve.csv")] == ["1", "2", "3"]


def test_a_file_that_a_crash_left_empty_gets_its_header(tmp_path):
    (tmp_path / "curve.csv").touch()
    log(Curve(tmp_path / "curve.csv"), 1, loss=1)
    assert [row["step"] for row in rows(tmp_path / "curve.csv")] == ["1"]


def test_a_resumed_run_drops_the_rows_that_it_will_write_again(tmp_path):
    curve = Curve(tmp_path / "curve.csv")
    for step in (50, 100, 150):
        log(curve, step, loss=step, top1_error=0.1)
    before = rows(curve.path)
    curve.resume_at(100)
    assert rows(curve.path) == before[:2]
    log(curve, 150, loss=0.5)
    assert [row["step"] for row in rows(curve.path)] == ["50", "100", "150"]
    assert [file.name for file in tmp_path.iterdir()] == ["curve.csv"]


def test_a_row_that_a_crash_cut_short_is_dropped(tmp_path):
    curve = Curve(tmp_path / "curve.csv")
    log(curve, 50, loss=1)
    with open(curve.path, "a") as file:
        file.write("10")  # of step 100, without the rest
    curve.resume_at(75)
    assert [row["step"] for row in rows(curve.path)] == ["50"]


def test_a_run_without_a_curve_resumes_without_one(tmp_path):
    Curve(tmp_path / "curve.csv").resume_at(10)
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_a_crash_cut_short_is_not_taken_for_a_shorter_number(tmp_path):
    curve = Curve(tmp_path / "curve.csv")
    log(curve, 10, loss=2.5, images_per_second=100)
    log(curve, 20, loss=2.25, images_per_second=123)
    whole = curve.path.read_text()
    curve.path.write_text(whole.rstrip()[:-1])  # of 123 the last digit and what ends the row
    curve.resume_at(20)
    assert [row["step"] for row in rows(curve.path)] == ["10"]
