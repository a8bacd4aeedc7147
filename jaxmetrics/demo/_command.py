"""Command line of the demo: train, kill, resume, and show the record."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from jaxmetrics.demo._settings import MIN_STEPS, Settings
from jaxmetrics.demo._summary import missing, show
from jaxmetrics.record import check_name

STEPS, SHORT_STEPS = 400, 36
_PACKAGES = ("flax", "optax", "orbax")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo.

    The training runs in a child process, which kills itself in the middle and is
    started again; this process then reads the record back, without jax.

    Args:
      argv: Arguments. Default: those of the command line.

    Returns:
      Exit status: 0, or 1 if a package is missing, the run exists, the training failed
      or the record is incomplete.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        settings = _settings(arguments)
    except ValueError as error:
        parser.error(str(error))
    if arguments.child:
        from jaxmetrics.demo._training import train

        train(settings)
        return 0
    for name in _PACKAGES:
        if importlib.util.find_spec(name) is None:
            return _fail(
                f"the demo needs {name}, which is not installed. Run "
                f"`pip install jaxmetrics[demo]`."
            )
    if settings.run_dir.exists():
        return _fail(f"{settings.run_dir} exists. Choose another --run-name.")
    start = time.perf_counter()
    if settings.kill_at is not None:
        status = _train(settings, kill_at=settings.kill_at)
        if status != -signal.SIGKILL:
            print(f"expected the training to be killed; it ended with {status}")
            return 1
        print("killed (SIGKILL); restarting")
    status = _train(settings, kill_at=None)
    if status != 0:
        print(f"the training ended with {status}")
        return 1
    problems = missing(settings)
    show(settings, seconds=time.perf_counter() - start)
    for line in problems:
        print(f"missing: {line}")
    return 1 if problems else 0


def _fail(problem: str) -> int:
    print(f"jaxmetrics demo: {problem}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxmetrics demo",
        description="Train a small language model on text that comes with Python; "
        "kill it in the middle, resume it, and show the record.",
    )
    parser.add_argument("--root", default="runs", help="folder of all projects")
    parser.add_argument("--run-name", help="folder of the run; default: the time")
    parser.add_argument("--steps", type=int, help=f"optimizer steps; default: {STEPS}")
    parser.add_argument("--short", action="store_true", help=f"{SHORT_STEPS} steps")
    parser.add_argument("--kill-at", type=int, help="step; default: in the middle")
    parser.add_argument("--no-kill", action="store_true", help="run without a kill")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings of the run.

    Raises:
      ValueError: An argument is out of range.
    """
    steps = arguments.steps
    if steps is None:
        steps = SHORT_STEPS if arguments.short else STEPS
    if steps < MIN_STEPS:
        raise ValueError(f"--steps must be at least {MIN_STEPS}, got {steps}")
    name = arguments.run_name or datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    root = os.path.expanduser(arguments.root)
    settings = Settings(root, check_name(name, "--run-name"), steps)
    if arguments.no_kill:
        return settings
    kill_at = settings.middle if arguments.kill_at is None else arguments.kill_at
    if not 0 < kill_at < steps:
        raise ValueError(f"--kill-at must be between 0 and {steps}, got {kill_at}")
    return settings.killed(kill_at)


def _train(settings: Settings, kill_at: int | None) -> int:
    """Train in a child process; return its exit status, negative for a signal."""
    command = [sys.executable, "-m", "jaxmetrics.demo", "--child"]
    command += ["--root", settings.root, "--run-name", settings.run_name]
    command += ["--steps", str(settings.steps)]
    command += ["--no-kill"] if kill_at is None else ["--kill-at", str(kill_at)]
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    sys.stdout.flush()
    return subprocess.run(command, env=unbuffered, check=False).returncode
