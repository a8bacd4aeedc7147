"""Run groups of benchmarks, each in a process of its own.

    python -m benchmarks                     # all groups
    python -m benchmarks update --only "accuracy*" --rounds 30 --save

`--save` writes the rows and the environment to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

GROUPS = (
    "step",
    "step_on_devices",
    "update",
    "catalogue",
    "eager",
    "logging",
    "compute",
    "compiling",
    "importing",
    "memory",
    "tpu",
    "checkpoints",
    "reading",
    "reopen",
    "listing",
    "viewer",
    "aggregator",
    "telemetry",
    "losses",
    "sketches",
    "accuracy",
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run groups of benchmarks.")
    parser.add_argument("groups", nargs="*", help=f"default: {' '.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--only", default="*", help="pattern of the cases")
    parser.add_argument("--save", action="store_true", help="keep the rows as JSON")
    options = parser.parse_args()
    for name in options.groups or GROUPS:
        if name not in GROUPS:
            parser.error(f"unknown group {name!r}; choose from {', '.join(GROUPS)}")
    if len(options.groups) == 1:
        return run(options.groups[0], options)
    for name in options.groups or GROUPS:
        print(f"\n## {name}\n", flush=True)
        command = [sys.executable, "-m", "benchmarks", name]
        command += ["--rounds", str(options.rounds), "--only", options.only]
        command += ["--save"] if options.save else []
        if subprocess.run(command).returncode:
            return 1
    return 0


def run(name: str, options: argparse.Namespace) -> int:
    """Run one group in this process."""
    group = importlib.import_module(f"benchmarks.{name}")
    if cores := getattr(group, "CORES", None):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    for variable, value in getattr(group, "ENVIRONMENT", {}).items():
        os.environ.setdefault(variable, value)

    from benchmarks.measure import HEADING, Bench, save

    bench = Bench(options.rounds, options.only)
    print(HEADING)
    group.measure(bench)
    if options.save and bench.rows:
        import jax

        folder = Path(__file__).parent / "results" / jax.default_backend()
        save(bench.rows, folder / f"{name}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
