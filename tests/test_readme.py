"""The README's examples run as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = [
    block
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    if "not run here" not in block
]


@pytest.mark.parametrize("code", BLOCKS)
def test_an_example_runs_as_printed(code, tmp_path):
    path = tmp_path / "example.py"
    path.write_text(code)
    run = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    if "print(" in code:
        assert "array" in run.stdout


def test_the_first_example_is_short():
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 15
