"""Benchmark reading a run of a million rows, against pandas on the same file.

Each task runs in a new process. Memory is the peak of that process, imports included.
All figures are medians over several processes, interleaved.

    python benchmarks/runs.py [--rows 1000000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TASKS = ("load", "load and summary", "page", "plots and report", "pandas.read_json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        print(json.dumps(timed(options.task, Path(options.folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder) / "metrics.jsonl", options.rows)
        print(f"{options.rows:,} rows of 7 values, {size / 1e6:.0f} MB")
        figures: dict[str, list[tuple[float, float]]] = {task: [] for task in TASKS}
        for _ in range(options.rounds):
            for task in TASKS:
                figures[task].append(run_task(task, folder))
    print(f"{'':20s} {'s':>7s} {'MiB':>7s}")
    for task, runs in figures.items():
        seconds, memory = (statistics.median(x) for x in zip(*runs))
        print(f"{task:20s} {seconds:7.2f} {memory:7.0f}")


def write(path: Path, rows: int) -> int:
    """Write a file of training rows, and return its size in bytes."""
    draw = random.Random(0).random
    with open(path, "w") as file:
        file.write('{"kind":"header","schema":1,"run_id":"benchmark"}\n')
        for step in range(1, rows + 1):
            values = {"train/loss": draw(), "lr/lr": draw(), "perf/mfu": draw()}
            fields = {"tokens": step * 1024, "samples": step * 8}
            row = {"step": step, "split": "train", "time": step / 10, **fields}
            file.write(json.dumps(row | values, separators=(",", ":")) + "\n")
    return path.stat().st_size


def run_task(task: str, folder: str) -> tuple[float, float]:
    """Return seconds and MiB of a task in a new process."""
    command = [sys.executable, __file__, "--task", task, "--folder", folder]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, memory = json.loads(process.stdout.splitlines()[-1])
    return seconds, memory


def timed(task: str, folder: Path) -> tuple[float, float]:
    """Return seconds of a task without its imports, and peak memory in MiB."""
    if task == "pandas.read_json":
        import pandas

        start = time.perf_counter()
        pandas.read_json(folder / "metrics.jsonl", lines=True)
    else:
        from jaxmetrics import runs

        if task == "plots and report":
            import matplotlib.figure  # noqa: F401
        start = time.perf_counter()
        run = runs.Run.load(folder)
        with tempfile.TemporaryDirectory() as output:
            if task == "load and summary":
                run.summary()
            elif task == "page":
                runs.generate_page(run, Path(output) / "report.html")
            elif task == "plots and report":
                paths = runs.generate_all_plots(run, output)
                runs.generate_report(run, save_dir=output, plot_paths=paths)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
