"""Benchmark opening a run again, and taking it back to a step, by its length.

Medians over several rounds, interleaved. The run has metrics.jsonl and metrics.csv.

    python benchmarks/reopen.py [--rows 10000 1000000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jaxmetrics import TrainingLogger, writers
from jaxmetrics.record import RunSummary, csv_line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    figures: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = {rows: write_run(Path(folder), rows) for rows in options.rows}
        for _ in range(options.rounds):
            for rows, run in runs.items():
                for task, seconds in timed(run, rows).items():
                    figures.setdefault((task, rows), []).append(seconds)
    print(f"{'':28s}" + "".join(f"{rows:>12,}" for rows in options.rows))
    for task in dict.fromkeys(task for task, _ in figures):
        medians = [statistics.median(figures[task, rows]) for rows in options.rows]
        print(f"{task:28s}" + "".join(f"{1e3 * s:9.0f} ms" for s in medians))


def logger_of(run: Path, **options: object) -> TrainingLogger:
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


def timed(run: Path, rows: int) -> dict[str, float]:
    """Return the seconds of each task on a copy of a run."""
    copy = run.with_name(f"copy-{rows}")
    shutil.copytree(run, copy)
    seconds: dict[str, float] = {}

    def measure(task: str, function: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = function()
        seconds[task] = time.perf_counter() - start
        return result

    logger = measure("open again", lambda: logger_of(copy))
    state = logger.state()
    for step in range(rows + 1, rows + 101):
        logger.log_step(step, loss=1.0)
    logger.flush()
    measure("restore 100 steps before", lambda: logger.load_state(state))
    logger.close()
    for task, step in (
        ("resume near the end", rows - 100),
        ("in the middle", rows // 2),
    ):
        measure(task, lambda step=step: logger_of(copy, resume_step=step)).close()
    shutil.rmtree(copy)
    return seconds


if __name__ == "__main__":
    main()
