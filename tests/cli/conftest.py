import os

import pytest
from support.command_line import EVENTS, ROWS, add

from jaxmetrics.cli import main
from jaxmetrics.record import atomic_write, dumps


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Write runs below `runs` in the working directory."""
    monkeypatch.chdir(tmp_path)

    def make(name="demo/one", rows=ROWS, events=EVENTS, hparams=None, mtime=None):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        add(folder / "metrics.jsonl", *rows)
        add(folder / "events.jsonl", *events)
        description = {"run_name": folder.name, "hparams": hparams or {}}
        atomic_write(folder / "run.json", dumps(description).encode())
        if mtime is not None:
            for path in folder.iterdir():
                os.utime(path, (mtime, mtime))
        return folder

    return make


@pytest.fixture
def call(capsys):
    """Run a command and return its exit status, output and error output."""

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return call
