"""The README's examples run as printed."""

import pytest
from readme import examples, run


@pytest.mark.parametrize("code", examples())
def test_an_example_runs_as_printed(code, tmp_path):
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    if "print(" in code:
        assert "array" in done.stdout


def test_the_first_example_is_short():
    lines = [line for line in examples()[0].splitlines() if line.strip()]
    assert len(lines) <= 15
