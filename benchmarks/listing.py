"""Listing 2,000 runs, over reading the bytes of their `run.json` and `summary.json`.

python -m benchmarks listing --rounds 5
JAXMETRICS_RUNS=200 python -m benchmarks listing
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from pathlib import Path

from benchmarks.measure import Bench
from jaxmetrics.record import AppendFile, RunSummary, dumps, write_run_json

RUNS = int(os.environ.get("JAXMETRICS_RUNS", 2000))
LAYERS, ROWS = 30, 20


def measure(bench: Bench) -> None:
    from jaxmetrics import runs

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for n in range(RUNS):
            write(root / f"sweep{n % 4}" / f"run{n:04d}", n)
        case = f"{RUNS:,} runs of {LAYERS + 5} keys"
        where = "lr < 2e-3 and width == 512"
        listed = runs.list(root)

        def read_bytes() -> None:
            for entry in listed:
                for name in ("run.json", "summary.json"):
                    json_bytes = Path(entry.path, name).read_bytes()
                    assert json_bytes

        bench.compare(
            case,
            {
                "read run.json and summary.json": read_bytes,
                "runs.list": lambda: runs.list(root),
                "runs.list, where and sort": lambda: runs.list(root, where, "val/loss"),
                "to_json": listed.to_json,
            },
        )


def write(folder: Path, n: int) -> None:
    """Write a small closed run, as its logger leaves it."""
    draw = random.Random(n).random
    folder.mkdir(parents=True)
    hparams = {
        "opt": {"lr": 10 ** -(1 + 3 * draw()), "name": "adamw", "decay": 0.1},
        "width": (256, 512, 1024)[n % 3],
        "seed": n % 5,
        "total_steps": ROWS * 100,
    }
    attempt = {"attempt": 1, "started": 1.79e9 + n, "hparams": hparams}
    run = {"schema": 2, "run_id": f"{n:016x}", "project": folder.parent.name}
    run |= {"run_name": folder.name, "created": "2026-09-21T14:13:20+00:00"}
    write_run_json(folder, run | {"attempts": [attempt]})
    event = {"time": "2026-09-21T14:13:20+00:00", "attempt": 1, "event": "close"}
    (folder / "events.jsonl").write_text(f"{json.dumps(event)}\n")
    summary = RunSummary(folder)
    with AppendFile(folder / "metrics.jsonl") as file:
        for step in range(100, ROWS * 100 + 1, 100):
            row = {"step": step, "split": "train", "time": step / 10}
            row |= {"train/loss": draw(), "lr/lr": draw(), "perf/mfu": draw()}
            row |= {f"grad/norm/layer_{i:02d}": draw() for i in range(LAYERS)}
            val = {"step": step, "split": "val", "time": step / 10}
            val |= {"val/loss": draw(), "val/accuracy": draw()}
            for line in (row, val):
                file.write_line(dumps(line))
                summary.add(line, file.position)
    summary.write({}, "closed")
