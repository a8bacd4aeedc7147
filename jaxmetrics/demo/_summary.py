"""Read the record of a demo run back, without jax, and print it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxmetrics.demo._settings import Settings
from jaxmetrics.demo._text import DATASETS
from jaxmetrics.demo._writers import viewing_commands
from jaxmetrics.runs import Run, goodput

LOSSES = {
    "training": "train/loss",
    **{f"training, {name}": f"train_{name}/loss" for name in DATASETS},
    "validation": "val/loss",
    **{f"validation, {name}": f"val_{name}/loss" for name in DATASETS},
}
OTHER_KEYS = ("train/perplexity", "grad/norm", "grad/norm_max", "lr/lr")


def missing(settings: Settings) -> list[str]:
    """Return all that a complete run directory has and this one does not."""
    return list(_missing(settings))


def show(settings: Settings, seconds: float) -> None:
    """Print a summary of the record, and the files.

    Args:
      settings: Settings of the run.
      seconds: Duration of the whole demo.
    """
    from rich.console import Console
    from rich.table import Table

    run = Run.load(settings.run_dir, errors="skip")
    summary = run.summary()
    losses = Table("loss in nats per byte", "first", "last", "best", "at step")
    for label, key in LOSSES.items():
        if key in run:
            losses.add_row(label, *_row(run, key, summary[key]))
    facts = Table.grid(padding=(0, 2))
    for name, fact in _facts(run, summary, seconds):
        facts.add_row(name, fact)
    files = Table.grid(padding=(0, 2))
    for name, size in _files(settings.run_dir):
        files.add_row(f"  {name}", f"{size:,} bytes")
    console = Console(highlight=False)
    console.print("", losses, "", facts, "", style=None)
    console.print(f"files in {settings.run_dir}", markup=False, soft_wrap=True)
    console.print(files)
    for name, command in viewing_commands(settings):
        console.print(f"{name}: {command}", markup=False, soft_wrap=True)


def restored_steps(run: Run) -> list[int]:
    """Return the steps of the checkpoints from which the run was resumed."""
    attempts: Any = run.header.get("attempts", [])
    steps = [attempt["restored_step"] for attempt in attempts]
    return [step for step in steps if step is not None]


def _missing(settings: Settings) -> Iterator[str]:
    try:
        run = Run.load(settings.run_dir)
    except (OSError, ValueError) as error:
        yield f"a readable record ({error})"
        return
    last, starts = settings.steps, 1 if settings.kill_at is None else 2
    logged = {step for step in range(1, last + 1) if settings.logs_at(step)}
    validated = {step for step in range(last + 1) if settings.saves_at(step)}
    expected = {key: logged for key in (*LOSSES.values(), *OTHER_KEYS)}
    expected |= {key: validated for key in expected if key.startswith("val")}
    for key, steps in expected.items():
        recorded = set(run[key][0].tolist()) if key in run else set()
        if recorded != steps:
            yield f"{key} at steps {sorted(steps - recorded)}"
            continue
        values = run[key][1]
        if not np.isfinite(values).all():
            yield f"finite values of {key}"
        if key in LOSSES.values() and not values[-1] < values[0]:
            yield f"a decrease of {key}: from {values[0]:.3f} to {values[-1]:.3f}"
    tokens = last * settings.tokens_per_step
    if "tokens" not in run or run["tokens"][1][-1] != tokens:
        yield f"a total of {tokens} tokens"
    if run.summary()["attempts"] != starts:
        yield f"{starts} attempts in run.json"
    if len(restored_steps(run)) != starts - 1:
        yield "the restored step in run.json"
    if not (settings.run_dir / "checkpoints" / str(last)).is_dir():
        yield f"the checkpoint of step {last}"


def _row(run: Run, key: str, summary: Any) -> list[str]:
    first = run[key][1][0]
    numbers = [first, summary["last"], summary["min"]]
    return [*(f"{number:.3f}" for number in numbers), f"{summary['min_step']}"]


def _facts(run: Run, summary: Any, seconds: float) -> Iterator[tuple[str, str]]:
    device = run.header.get("devices")
    if isinstance(device, dict):
        yield "devices", f"{device.get('count')} x {device.get('kind')}"
    yield "steps", f"{summary['steps']}"
    if "tokens" in run:
        yield "tokens", f"{run['tokens'][1][-1]:,.0f}"
    resumed = "".join(f", resumed from step {step}" for step in restored_steps(run))
    yield "attempts", f"{summary['attempts']}{resumed}"
    yield "records", f"{len(run)}"
    yield "keys", f"{len(run.keys())}: {', '.join(run.keys())}"
    durations = goodput(run.path)
    ratio = durations.pop("goodput")
    largest = ", ".join(f"{name} {x:.1f} s" for name, x in [*durations.items()][:5])
    yield "goodput", f"{ratio:.0%} of the time: {largest}"
    yield "time", f"{summary['seconds']:.0f} s of training, {seconds:.0f} s in total"


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            files = (file for file in path.rglob("*") if file.is_file())
            yield f"{path.name}/", sum(file.stat().st_size for file in files)
        else:
            yield path.name, path.stat().st_size
