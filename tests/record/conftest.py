"""Fixtures for tests of files."""

import os

import pytest


@pytest.fixture
def path(tmp_path):
    """Path of a file of lines that does not exist yet."""
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def calls(monkeypatch):
    """List of (function, file name) of each fsync, ftruncate and replace, in order."""
    recorded = []

    def record(name, file_name):
        original = getattr(os, name)

        def call(*arguments):
            file = arguments[-1] if name == "replace" else arguments[0]
            recorded.append((name, file_name(file)))
            return original(*arguments)

        monkeypatch.setattr(os, name, call)

    def name_of_descriptor(fd):
        return os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))

    record("fsync", name_of_descriptor)
    record("ftruncate", name_of_descriptor)
    record("replace", lambda path: path.name)
    return recorded
