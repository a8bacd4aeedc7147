"""A run for tests of the command line, as rows of its files."""

import math
import sys

from jaxmetrics.record import AppendFile, Record, dumps

COMMAND = [sys.executable, "-m", "jaxmetrics"]
HEADER = {"kind": "header", "schema": 1, "run_id": "r1"}


def row(step, split="train", **values):
    named = {name.replace("__", "/"): value for name, value in values.items()}
    tokens = step * 1024 if split == "train" else None
    return Record(step, split, named, step * 0.5, tokens).line()


ROWS = [
    HEADER,
    row(0, "val", val__loss=4.0),
    row(100, train__loss=2.5, lr__lr=1e-3),
    row(200, train__loss=math.nan, lr__lr=5e-4),
    row(300, train__loss=1.5),
    row(300, "val", val__loss=2.0),
]
EVENTS = [{"event": "start", "attempt": 1}, {"event": "start", "attempt": 2}]


def add(path, *lines):
    with AppendFile(path) as file:
        for line in lines:
            file.write_line(line if isinstance(line, str) else dumps(line))
