"""The environment that has libtpu: which release, and what a failed download says."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from tpu import install

SCRIPT = Path(install.__file__)


def test_libtpu_is_the_release_that_jax_names():
    assert version("libtpu") in Requirement(install.requirement()).specifier


def test_a_failed_download_is_tried_once_more_and_then_said(tmp_path):
    nowhere = dict(PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull)
    run = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "environment"],
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.count("No matching distribution") == 2
    assert f"Could not install {install.requirement()}" in run.stderr
    assert "make test-tpu again" in run.stderr
