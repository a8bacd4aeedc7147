"""Reading back a run of many rows, over a loop that parses each line with orjson.

Peak memory is that of a new process with one call, imports included.

    python -m benchmarks reading --rounds 5
    JAXMETRICS_ROWS=100000 python -m benchmarks reading
"""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson

from benchmarks.measure import Bench

FOR_ODD = ("orjson, each line", "Run.load", "Tail, first look")
ODD = {"one odd line in 200": 200, "one NaN in 10": 10}


def measure(bench: Bench) -> None:
    rows = int(os.environ.get("JAXMETRICS_ROWS", 1_000_000))
    for odd in ("", *ODD):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "metrics.jsonl"
            write(path, rows, odd)
            case = f"{rows:,} rows of 7 values, {path.stat().st_size / 1e6:.0f} MB"
            case += f", {odd}" if odd else ""
            if not bench.wants(case):
                continue
            functions = tasks(path)
            if odd:  # which pandas does not read
                functions = {name: functions[name] for name in FOR_ODD}
            figures = {name: {"MiB": peak(name, path)} for name in functions}
            bench.compare(case, functions, figures)


def tasks(path: Path) -> dict[str, Callable[[], object]]:
    """Return what is timed; the first one is the floor."""
    from jaxmetrics import Run
    from jaxmetrics.runs import Tail, compare, generate_page, generate_report

    run = path.parent

    def parse_lines() -> None:
        with open(path, "rb") as file:
            for line in file:
                try:
                    orjson.loads(line)
                except ValueError:  # a lone surrogate
                    pass

    def compare_with_itself() -> object:
        one = Run.load(run)
        other = copy.copy(one)
        other.address = f"{run}, again"  # a run that is given twice is one run
        return compare([one, other])

    def pandas_read_json() -> object:
        import pandas

        return pandas.read_json(path, lines=True)

    return {
        "orjson, each line": parse_lines,
        "Run.load": lambda: Run.load(run),
        "Run.load, summary": lambda: Run.load(run).summary(),
        "Run.load, compare": compare_with_itself,
        "Run.load, report": lambda: generate_report(Run.load(run), save_dir=run / "r"),
        "Run.load, page": lambda: generate_page(Run.load(run), run / "report.html"),
        "Tail, first look": lambda: Tail(run).read(),
        "pandas.read_json": pandas_read_json,
    }


def write(path: Path, rows: int, odd: str = "") -> None:
    """Write a file of training rows, of which some are odd."""
    draw, every = random.Random(0).random, ODD.get(odd, 0)
    with open(path, "w") as file:
        file.write('{"kind":"header","schema":2,"run_id":"benchmark"}\n')
        for step in range(1, rows + 1):
            row: dict[str, object] = {"step": step, "split": "train", "time": step / 10}
            row |= {"tokens": step * 1024, "samples": step * 8}
            row |= {"train/loss": draw(), "lr/lr": draw(), "perf/mfu": draw()}
            if every and step % every == 0:
                row["train/loss"] = "NaN"
                if every > 10:
                    row |= {"train/note": "\ud800 text", "train/seen": 2**70 + step}
            file.write(json.dumps(row, separators=(",", ":")) + "\n")


def peak(task: str, path: Path) -> float:
    """Return the peak memory of a task in a new process, in MiB."""
    command = [sys.executable, "-m", "benchmarks.reading", task, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    tasks(Path(sys.argv[2]))[sys.argv[1]]()
    # Not `ru_maxrss`, which includes the process that this one was started from.
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
