"""Run the notebooks. `python tests/support/kernels.py` stores their outputs."""

import copy
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def execute(path: Path, times: int = 1) -> nbformat.NotebookNode:
    """Run a notebook and return it with fresh outputs; raise an error of a cell.

    Args:
      path: The notebook.
      times: Number of times that each cell is run before the next one.
    """
    notebook = nbformat.read(path, as_version=4)
    cells = notebook.cells
    notebook.cells = [copy.copy(cell) for cell in cells for _ in range(times)]
    with tempfile.TemporaryDirectory() as folder:
        env = {name: os.environ[name] for name in os.environ if name != "XLA_FLAGS"}
        env |= {"JAX_PLATFORMS": "cpu", "IPYTHONDIR": folder, "NO_COLOR": "1"}
        client = NotebookClient(
            notebook,
            timeout=120,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=env)
    notebook.cells = notebook.cells[times - 1 :: times]
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    return notebook


if __name__ == "__main__":
    for path in NOTEBOOKS:
        nbformat.write(execute(path), path)
