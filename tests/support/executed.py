"""A pytest plugin that saves which blocks of the package each test has run.

`support/mutation.py` starts pytest with it, and with the folder `support/blocks` on the
path, so that the tests and the processes that they start append the blocks to a file.
"""

import builtins
import json
import os
from pathlib import Path

import pytest


class ExecutedByTests:
    """One JSON line per test: its name, outcome, seconds and blocks."""

    def __init__(self, blocks: Path, results: Path):
        self._blocks, self._results = blocks.open("rb"), results.open("a")
        self._passed = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        builtins.__executed_block__.forget()
        self._blocks.seek(0, os.SEEK_END)
        self._passed, started = True, _seconds()
        try:
            return (yield)
        finally:
            seconds = _seconds() - started
            blocks = sorted(set(self._blocks.read().decode().splitlines()))
            line = dict(
                test=item.nodeid, passed=self._passed, seconds=seconds, blocks=blocks
            )
            print(json.dumps(line), file=self._results, flush=True)

    def pytest_runtest_logreport(self, report):
        self._passed &= not report.failed


def _seconds() -> float:
    """Return the processor time of this process and of its children."""
    return sum(os.times()[:4])


def pytest_configure(config):
    blocks, results = os.environ["EXECUTED_BLOCKS"], os.environ["EXECUTED_RESULTS"]
    config.pluginmanager.register(ExecutedByTests(Path(blocks), Path(results)))
