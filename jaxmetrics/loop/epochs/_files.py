"""Read and replace the files of epochs: a CSV table and a JSON file."""

from __future__ import annotations

import os
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
    copy_range,
    csv_cell,
    csv_line,
    dumps,
    iso_time,
    open_read,
    open_unused,
    read_epochs,
    sync_folder,
    text_cell,
)

_PACKAGES = ("jaxmetrics", "jax", "jaxlib", "flax", "optax", "numpy")


def read_or_create(folder: Path) -> Epochs:
    """Return the epochs of a directory, or none, with the attempts counted up.

    Raises:
      ValueError: A file of that name has another format.
      FileExistsError: There is a CSV file without a JSON file.
    """
    recorded = read_epochs(folder)
    if recorded is None and (folder / EPOCHS_CSV).exists():
        raise FileExistsError(
            f"{folder / EPOCHS_CSV} exists without {EPOCHS_JSON}, so that it cannot "
            f"be continued. Move it away, or choose another output_dir."
        )
    recorded = recorded or Epochs({"attempts": 0}, {}, [])
    attempts = recorded.run.get("attempts")
    recorded.run["attempts"] = attempts + 1 if isinstance(attempts, int) else 1
    return recorded


def update_header(run: dict[str, Any], now: float) -> dict[str, Any]:
    """Update the description of a run; `now` is in seconds since 1970."""
    loaded = {name: sys.modules.get(name) for name in _PACKAGES}
    versions = {n: str(m.__version__) for n, m in loaded.items() if m is not None}
    run.setdefault("created", iso_time(now))
    run["updated"] = iso_time(now)
    run["devices"] = device_summary()
    run["versions"] = versions
    return run


def write_files(
    folder: Path,
    run: dict[str, Any],
    config: dict[str, Any],
    epochs: Sequence[EpochMetrics],
) -> None:
    """Replace both files, first the JSON file, which is the one that is read back."""
    document = {
        "schema": 1,
        "kind": "epochs",
        "run": run,
        "config": config,
        "totals": totals(epochs),
        "epochs": [epoch.line() for epoch in epochs],
    }
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / EPOCHS_JSON, f"{dumps(document)}\n".encode())
    atomic_write(folder / EPOCHS_CSV, to_csv(epochs).encode())


def keep_copies(folder: Path, label: str) -> None:
    """Copy both files to `<file>.after-<label>`; a number is added if that exists."""
    for name in (EPOCHS_JSON, EPOCHS_CSV):
        try:
            source = open_read(folder / name)
        except FileNotFoundError:
            continue
        try:
            path, target = open_unused(folder / f"{name}.after-{label}")
            try:
                copy_range(source, 0, os.fstat(source).st_size, target)
            except BaseException:
                path.unlink()
                raise
            finally:
                os.close(target)
        finally:
            os.close(source)
        sync_folder(path)


def remove_files(folder: Path) -> None:
    """Remove both files, last the JSON file, without which the CSV file is refused."""
    for name in (EPOCHS_CSV, EPOCHS_JSON):
        (folder / name).unlink(missing_ok=True)


def to_csv(epochs: Sequence[EpochMetrics]) -> str:
    """Return a table of one row per epoch: the fields, then means of extra values."""
    extra = list(dict.fromkeys(name for epoch in epochs for name in epoch.extra))
    lines = [csv_line([*EPOCH_FIELDS, *map(text_cell, extra)])]
    for epoch in epochs:
        values = [getattr(epoch, name) for name in EPOCH_FIELDS]
        values += [epoch.extra.get(name) for name in extra]
        lines.append(csv_line(map(csv_cell, values)))
    return "".join(f"{line}\n" for line in lines)


def totals(epochs: Sequence[EpochMetrics]) -> dict[str, Any]:
    """Summarize all epochs; unknown values are None."""
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
