"""Loggers of one run, with a clock that the test sets, and what they wrote."""

import json

import pytest
from support.clock import Clock

from jaxmetrics import TrainingLogger
from jaxmetrics.record import read_lines


@pytest.fixture
def clock():
    return Clock(0.0)


@pytest.fixture
def make_logger(tmp_path, clock):
    """Create loggers of one run, without a console, closed at the end of the test."""
    loggers = []

    def make(run_name="run", **options):
        options = {"root": tmp_path, "clock": clock, "console": False} | options
        loggers.append(TrainingLogger("project", run_name, **options))
        return loggers[-1]

    yield make
    for logger in loggers:
        logger.close()


def rows(logger, file="metrics.jsonl"):
    """Return the rows of a run, without the header."""
    lines, _ = read_lines(logger.run_dir / file)
    return [line for line in lines if line.get("kind") != "header"]


def steps(logger, split="train"):
    return [row["step"] for row in rows(logger) if row["split"] == split]


def run_json(logger):
    return json.loads((logger.run_dir / "run.json").read_text())


def events(logger):
    return read_lines(logger.run_dir / "events.jsonl")[0]
