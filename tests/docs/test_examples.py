"""The programs in examples/ run, learn, and record their metrics."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jaxmetrics import Run

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["digits_jit", "digits_shard_map"])
def test_an_example_learns_and_records_its_metrics(tmp_path, name):
    process = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"},
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    [folder] = (tmp_path / "runs" / "digits").iterdir()
    run = Run.load(folder)
    accuracy = run["val/accuracy"][1][-1]
    assert accuracy > 0.9
    assert re.search(rf"^final accuracy {accuracy:.3f}\b", process.stdout, re.MULTILINE)
    steps, losses = run["train/loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert len(steps) == 15 and run["val/loss"][0].tolist() == [steps[-1]]


def test_examples_are_at_most_100_lines_long():
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 100, path
