"""The files of epochs: one table and one JSON file, replaced at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxmetrics.processes import device_summary
from jaxmetrics.record import (
    EPOCH_FIELDS,
    EPOCHS_CSV,
    EPOCHS_JSON,
    EpochMetrics,
    Epochs,
    atomic_write,
    csv_cell,
    csv_line,
    dumps,
    iso,
    read_epochs,
    text_cell,
)

_PACKAGES = ("jaxmetrics", "jax", "jaxlib", "flax", "optax", "numpy")


def read(folder: Path) -> Epochs:
    """What a folder has, counted as one more attempt; of an empty one, a beginning.

    Raises:
      ValueError: A file of that name is another one.
      FileExistsError: There is a table whose JSON file is missing.
    """
    kept = read_epochs(folder)
    if kept is None and (folder / EPOCHS_CSV).exists():
        raise FileExistsError(
            f"{folder / EPOCHS_CSV} is there without {EPOCHS_JSON}, so that it cannot "
            f"be continued. Move it away, or choose another output_dir."
        )
    kept = kept or Epochs({"attempts": 0}, {}, [])
    attempts = kept.run.get("attempts")
    kept.run["attempts"] = attempts + 1 if isinstance(attempts, int) else 1
    return kept


def described(run: dict[str, Any], now: float) -> dict[str, Any]:
    """The header of a run, brought up to date; `now` is in seconds since 1970."""
    loaded = {name: sys.modules.get(name) for name in _PACKAGES}
    versions = {n: str(m.__version__) for n, m in loaded.items() if m is not None}
    run.setdefault("created", iso(now))
    run["updated"] = iso(now)
    run["devices"] = device_summary()
    run["versions"] = versions
    return run


def write(
    folder: Path,
    run: dict[str, Any],
    config: dict[str, Any],
    epochs: Sequence[EpochMetrics],
) -> None:
    """Replace both files, the JSON file first: it is what is read back."""
    whole = {
        "schema": 1,
        "kind": "epochs",
        "run": run,
        "config": config,
        "totals": totals(epochs),
        "epochs": [epoch.line() for epoch in epochs],
    }
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / EPOCHS_JSON, f"{dumps(whole)}\n".encode())
    atomic_write(folder / EPOCHS_CSV, table(epochs).encode())


def table(epochs: Sequence[EpochMetrics]) -> str:
    """A line an epoch: its fields, then the means of what else was logged."""
    more = list(dict.fromkeys(name for epoch in epochs for name in epoch.extra))
    lines = [csv_line([*EPOCH_FIELDS, *map(text_cell, more)])]
    for epoch in epochs:
        values = [getattr(epoch, name) for name in EPOCH_FIELDS]
        values += [epoch.extra.get(name) for name in more]
        lines.append(csv_line(map(csv_cell, values)))
    return "".join(f"{line}\n" for line in lines)


def totals(epochs: Sequence[EpochMetrics]) -> dict[str, Any]:
    """What all epochs came to; None where nothing is known."""
    losses = [(e.loss_mean, e.epoch) for e in epochs if e.loss_mean is not None]
    best = min((pair for pair in losses if pair[0] == pair[0]), default=(None, None))
    peaks = [epoch.gpu_peak_mb for epoch in epochs if epoch.gpu_peak_mb is not None]
    return {
        "epochs": len(epochs),
        "best_epoch": best[1],
        "best_loss": best[0],
        "cumulative_time_sec": epochs[-1].cumulative_time_sec if epochs else None,
        "gpu_peak_mb": max(peaks, default=None),
    }
