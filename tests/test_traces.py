"""Every paper's training, as it was when its trace was renewed: the 20 losses, to 1e-8.

A change of a recipe, a crop, a layer or an order of images shows here. Where it was meant:
python tests/renew_traces.py NAME, in the same commit.
"""

from pathlib import Path

import pytest
from traces import FOLDER, STEPS, TRACES, kept, overrides, real_images, traced

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    real_images(real_data.resolve(), folder)
    return folder


@pytest.mark.parametrize("name", TRACES)
def test_twenty_steps_of_the_papers_recipe_move_every_parameter_and_have_the_losses_on_file(
    name: str, images: Path, tmp_path: Path
) -> None:
    found, on_file = traced(name, images, tmp_path), kept(name)
    assert found["still"] == []
    assert len(found["losses"]) == STEPS
    assert on_file["overrides"] == overrides(name), f"run {on_file['command']}"
    # As many digits as hold on another machine and on any number of threads; not nan, which is not itself.
    assert found["losses"] == pytest.approx(on_file["losses"], rel=1e-8, abs=0), on_file["versions"]


def test_every_file_is_the_trace_of_a_network() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(TRACES)
