"""What a fault leaves behind is neither kept as a number nor lost from one."""

import pytest
import torch
from small_runs import RESUMED, fit

from topfive import whole_files
from topfive.conclude import refuse_unreadable
from topfive.problems import Problem
from topfive.results import Score


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished training, and its folder."""
    folder = tmp_path_factory.mktemp("trained")
    return fit(folder)[0], folder


@pytest.mark.filterwarnings(RESUMED)
def test_a_training_that_goes_on_at_its_end_keeps_the_errors_of_its_last_window(trained):
    module, folder = trained
    again, _ = fit(folder, resumed=True)
    assert again.last_window == module.last_window
    assert again.last_window.keys() == {"loss", "top1_error", "top5_error"}


def test_nothing_is_saved_that_was_learned_from_holes(trained):
    module, _ = trained
    # loss, errors of the best and the five best, images, unreadable ones
    module.window.sums += torch.tensor([0.0, 16, 16, 16, 1], dtype=torch.float64)
    try:
        with pytest.raises(Problem, match=r"1 of the \d+ training images .*data.max_unreadable"):
            module.on_save_checkpoint({})
    finally:
        module.window.sums.zero_()


def test_a_test_of_images_that_are_not_there_is_no_result():
    score = Score("one_view", "test", 1000, 1000, 1000, unreadable=2)
    with pytest.raises(Problem, match=r"2 of the 1000 images of the test.*resume=auto"):
        refuse_unreadable([score], 0.001)
    refuse_unreadable([score], 0.002)


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(tmp_path):
    (tmp_path / ".test-1").mkdir()
    for name in (".result.json.77.part", ".test-1/.5-77.part", "result.json", ".test-1/5-77"):
        (tmp_path / name).touch()
    whole_files.tidy(tmp_path)
    left = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file())
    assert left == [".test-1/5-77", "result.json"]
