"""The notebooks run, and their stored outputs are complete, small and impersonal."""

import itertools
import re
from pathlib import Path

import nbformat
import pytest
from support.kernels import NOTEBOOKS, execute

MAX_BYTES = 200_000
PRIVATE = re.compile(
    r"/(home|root|tmp|work|Users|usr|var)/|\x1b|\d{4}-\d\d-\d\d|0x[0-9a-f]{6}"
)


def output_kinds(notebook):
    """Return the streams and kinds of data of each cell's outputs, by cell id.

    A kernel may send the text of one stream in several pieces, which count as one.
    """
    kinds = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = [
                (out.output_type, out.get("name"), sorted(out.get("data", {})))
                for out in cell.outputs
            ]
            kinds[cell.id] = [kind for kind, _ in itertools.groupby(outputs)]
    return kinds


def output_texts(notebook):
    """Yield all text in the outputs of a notebook."""
    for cell in notebook.cells:
        for out in cell.get("outputs", []):
            yield out.get("text", "")
            data = out.get("data", {})
            yield from (data[kind] for kind in data if kind.startswith("text/"))


def test_there_are_three_notebooks():
    names = ["1-metrics", "2-your-own-metric", "3-reading-a-run"]
    assert [path.stem for path in NOTEBOOKS] == names


@pytest.mark.filterwarnings("default")  # the notebook server warns
@pytest.mark.sampled(3)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_those_of_cells_that_are_run_again(path):
    stored = nbformat.read(path, as_version=4)
    fresh = execute(path, times=2)
    assert output_kinds(fresh) == output_kinds(stored), (
        "run `python tests/support/kernels.py`"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_small_and_name_no_machine(path: Path):
    assert path.stat().st_size < MAX_BYTES
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell.outputs for cell in cells)
    for text in output_texts(notebook):
        assert not PRIVATE.search(text), text
    names = {out.get("name") for cell in cells for out in cell.outputs}
    assert "stderr" not in names
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert all(not cell.metadata for cell in notebook.cells)
