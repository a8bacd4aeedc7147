"""Opening a run again, and taking it back to a step, by its length.

The run has metrics.jsonl and metrics.csv. The floor is a run of 10,000 rows.
"""

from __future__ import annotations

import functools
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxmetrics import TrainingLogger, writers
from jaxmetrics.record import RunSummary, csv_line

ROWS, MOST_ROUNDS = (10_000, 1_000_000), 7
RESTORE = "restore 100 steps before the end"
TASKS = (
    "open again",
    RESTORE,
    "resume_step= near the end",
    "resume_step= in the middle",
)


def measure(bench: Any) -> None:
    """Time each task on copies of a run of 10,000 rows and of a million."""
    chosen = [task for task in TASKS if bench.wants(task)]
    if not chosen:
        return
    with tempfile.TemporaryDirectory() as folder:
        runs = {rows: write_run(Path(folder), rows) for rows in ROWS}
        for task in chosen:
            readings = {
                f"{rows:,} rows": functools.partial(seconds, task, run, rows)
                for rows, run in runs.items()
            }
            bench.collect(task, readings, rounds=min(bench.rounds, MOST_ROUNDS))


def logger_of(run: Path, **options: Any) -> TrainingLogger:
    return TrainingLogger(
        run.parent.name,
        run.name,
        root=run.parent.parent,
        writers=[writers.CSV()],
        console=False,
        **options,
    )


def write_run(folder: Path, rows: int) -> Path:
    """Write a run of training rows, as closed by its logger."""
    run = folder / "project" / f"{rows}"
    with logger_of(run) as logger:
        logger.log_step(1, loss=1.0, lr=1e-3)
    draw = random.Random(0).random
    with (
        open(run / "metrics.jsonl", "a") as record,
        open(run / "metrics.csv", "a") as table,
    ):
        for step in range(2, rows + 1):
            row = {"step": step, "split": "train", "time": step / 10}
            row |= {"train/loss": draw(), "lr/lr": draw()}
            record.write(json.dumps(row, separators=(",", ":")) + "\n")
            table.write(csv_line(map(str, row.values())) + "\n")
    RunSummary(run).write({}, state="closed")
    return run


def seconds(task: str, run: Path, rows: int) -> float:
    """Return the seconds of a task on a new copy of a run."""
    copy = run.with_name(f"copy-{rows}")
    shutil.copytree(run, copy)
    opened = []

    def open_again(**options: Any) -> None:
        opened.append(logger_of(copy, **options))

    def restore() -> None:
        opened[0].load_state(state)

    state: dict[str, Any] = {}
    if task == RESTORE:
        open_again()
        (logger,) = opened
        state = logger.state()
        for step in range(rows + 1, rows + 101):
            logger.log_step(step, loss=1.0)
        logger.flush()
    tasks: dict[str, Callable[[], None]] = {
        "open again": open_again,
        RESTORE: restore,
        "resume_step= near the end": lambda: open_again(resume_step=rows - 100),
        "resume_step= in the middle": lambda: open_again(resume_step=rows // 2),
    }
    began = time.perf_counter()
    tasks[task]()
    found = time.perf_counter() - began
    for logger in opened:
        logger.close()
    shutil.rmtree(copy)
    return found
