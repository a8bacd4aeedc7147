"""The page on frameworks runs as printed, and nothing is imported unless used."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "frameworks.md"
BLOCKS = re.findall(r"^## (.*?)$|```python\n(.*?)```", PAGE.read_text(), re.M | re.S)


def examples():
    title = ""
    for heading, code in BLOCKS:
        title = heading or title
        if code:
            yield pytest.param(code, id=title.split(",")[0].split(":")[0])


@pytest.mark.parametrize("code", list(examples()))
def test_an_example_runs_as_printed(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "example.py"
    path.write_text(code)
    runpy.run_path(str(path), run_name="example")
    printed = capsys.readouterr().out
    assert printed.startswith("{") and "nan" not in printed


def test_interop_loads_no_framework_before_it_is_used():
    script = (
        "from jaxmetrics import interop; dir(interop); import sys; print(sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    for name in ("jax", "flax", "clu", "equinox", "metrax"):
        assert f"'{name}'" not in run.stdout
