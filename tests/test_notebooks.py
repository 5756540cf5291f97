"""The notebooks run on a fresh clone, show figures and say nothing that they should not."""

import base64
import io
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from topfive.config import compose

nbformat = pytest.importorskip("nbformat", reason="reads the notebooks")
nbclient = pytest.importorskip("nbclient", reason="runs the notebooks")

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LEAST = {"01_the_table": 3, "02_inside_alexnet": 5, "03_depth": 2, "04_data": 2}  # figures
every_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """One of this interpreter for all, so that torch is imported once; its data are the checkout's."""
    pytest.importorskip("ipykernel", reason="needs the extra notebooks")
    pytest.importorskip("captum", reason="needs the extra notebooks")
    home = str(tmp_path_factory.mktemp("ipython"))
    environment = {k: v for k, v in os.environ.items() if k != "TOPFIVE_DATA"}
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(),
        kernel_name="python3",
        timeout=240,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    with client.setup_kernel(env={**environment, "IPYTHONDIR": home}):
        yield client


def executed(file: Path, kernel) -> list:
    """The outputs of all cells, begun without the names of another notebook."""
    kernel.nb = nbformat.read(file, 4)
    kernel.nb.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    kernel.reset_execution_trackers()
    for number, cell in enumerate(kernel.nb.cells):
        kernel.execute_cell(cell, number)
    return [out for cell in kernel.nb.cells for out in cell.get("outputs", [])]


def test_these_are_the_notebooks() -> None:
    assert {file.stem for file in NOTEBOOKS} == LEAST.keys()
    readme = (FOLDER / "README.md").read_text()
    assert all(file.name in readme for file in NOTEBOOKS)


@every_notebook
def test_a_notebook_runs_and_shows_figures_without_a_warning(file: Path, kernel: object) -> None:
    outputs = executed(file, kernel)
    said = [out.text for out in outputs if out.output_type == "stream" and out.name == "stderr"]
    assert said == []
    figures = [out.data["image/png"] for out in outputs if "image/png" in out.get("data", {})]
    assert len(figures) >= LEAST[file.stem]
    for figure in figures:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(figure))).convert("L"))
        assert pixels.std() > 5  # something is drawn
        assert pixels.shape[1] > 600


@every_notebook
def test_a_notebook_is_kept_without_output_and_says_nothing_of_a_machine(file: Path) -> None:
    notebook = nbformat.read(file, 4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert [cell.execution_count for cell in code] == [None] * len(code)
    assert not any(cell.metadata for cell in notebook.cells)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    text = file.read_text(encoding="utf-8")
    assert not re.findall(r"/(?:home|root|tmp|work|usr|opt|mnt|Users)\b|[A-Z]:\\\\", text)


def test_the_weights_beside_the_notebooks_name_the_command_that_made_them() -> None:
    from safetensors import safe_open

    with safe_open(FOLDER / "cuda_convnet.safetensors", "pt") as file:
        command = file.metadata()["command"]
        shapes = [file.get_slice(f"conv{k}.weight").get_shape() for k in (1, 2)]
    _, script, *overrides = shlex.split(command)
    assert script == "train.py"
    assert compose(overrides)["model"]["local3"] == 32
    assert command in (FOLDER / "README.md").read_text()
    # The paper's layer file: two convolutions of 64 maps, 5 x 5.
    assert shapes == [[64, 3, 5, 5], [64, 64, 5, 5]]
