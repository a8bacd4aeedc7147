"""What plots and reports draw: an `EpochTracker`'s epochs, or the steps of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxmetrics.record import (
    EPOCH_FIELDS,
    EPOCHS_JSON,
    METRICS_JSONL,
    Epochs,
    read_epochs,
)
from jaxmetrics.runs.reading._run import Run

Series = tuple[np.ndarray, np.ndarray]

_MB = 2**20
_KEYS: Mapping[str, tuple[str, ...]] = {
    "loss_mean": ("train/loss", "loss"),
    "loss_std": ("train/loss_std", "train/loss_stat_std"),
    "loss_min": ("train/loss_min", "train/loss_stat_min"),
    "loss_max": ("train/loss_max", "train/loss_stat_max"),
    "loss_median": ("train/loss_median", "train/loss_p50", "train/loss_stat_p50"),
    "lr": ("lr/lr", "lr"),
    "grad_norm": ("grad/norm", "grad_norm"),
    "samples_per_sec": (
        "perf/samples_per_second",
        "train/samples_per_second",
        "throughput_samples_per_sec",
    ),
    "tokens_per_sec": ("perf/tokens_per_second",),
    "gpu_allocated_mb": ("mem/in_use_bytes",),
    "gpu_reserved_mb": ("mem/reserved_bytes",),
    "gpu_peak_mb": ("mem/peak_bytes",),
    "ema_delta_norm": ("ema/delta_norm",),
    "epoch_time_sec": ("perf/step_seconds",),
    "cumulative_time_sec": ("time",),
}


@dataclass(frozen=True)
class History:
    """The course of a training, by the names of `EpochMetrics`.

    Attributes:
      name: What it is called.
      unit: What its x counts, `"epoch"` or `"step"`.
      folder: Where its files are.
      header: How it was run.
      config: The user's configuration.
      series: x (ascending) and y (float64) by field, `tokens_per_sec` beside them; a
        field of which nothing is known is not there. Times are seconds for one unit.
      run: The run itself, when there is one.
      more: What else was logged of epochs, by its own names.
    """

    name: str
    unit: str
    folder: Path
    header: Mapping[str, Any]
    config: Mapping[str, Any]
    series: Mapping[str, Series]
    run: Run | None = None
    more: Mapping[str, Series] = field(default_factory=dict)

    def get(self, field: str) -> Series:
        """x and y of a field; empty when nothing is known of it."""
        return self.series.get(field, (np.zeros(0), np.zeros(0)))


def history(source: object, errors: Literal["raise", "skip"] = "raise") -> History:
    """What a tracker has written, or a run.

    Args:
      source: Anything with an `output_dir`, such as an `EpochTracker`, whose files are
        read; the path of such a folder or of a run directory; or a `Run`. A folder with
        both gives epochs, and the run beside them. Or a history, as it is.
      errors: What to do at a damaged line, as for `Run.load`.

    Raises:
      FileNotFoundError: Neither is there.
      ValueError: A file is damaged.
      TypeError: It is none of these.
    """
    if isinstance(source, History):
        return source
    if isinstance(source, Run):
        return of_run(source)
    folder = getattr(source, "output_dir", source)
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(
            f"Expected a run, a path or an EpochTracker; got a "
            f"{type(source).__name__}. Give the run directory."
        )
    path = Path(folder)
    epochs = read_epochs(path) if path.is_dir() else None
    if epochs is None:
        if folder is not source:
            raise FileNotFoundError(
                f"{path / EPOCHS_JSON} is not there: no epoch has ended, or another "
                f"process writes the files. End an epoch first, on process 0."
            )
        return of_run(Run.load(path, errors))
    run = Run.load(path, errors) if (path / METRICS_JSONL).is_file() else None
    return of_epochs(epochs, path, run)


def of_epochs(epochs: Epochs, folder: Path, run: Run | None = None) -> History:
    """The history that epochs make."""
    fields = {
        name: [(e.epoch, getattr(e, name)) for e in epochs.epochs]
        for name in EPOCH_FIELDS[1:]
    }
    names = dict.fromkeys(name for epoch in epochs.epochs for name in epoch.extra)
    extra = {n: [(e.epoch, e.extra.get(n)) for e in epochs.epochs] for n in names}
    name = run.name if run is not None else folder.resolve().name
    config = epochs.config or (run.config if run is not None else {})
    series, more = _known(fields), _known(extra)
    return History(name, "epoch", folder, epochs.run, config, series, run, more)


def of_run(run: Run) -> History:
    """The history that the steps of a run make."""
    series: dict[str, Series] = {}
    for name, keys in _KEYS.items():
        found = _first(run, keys)
        if found is not None:
            series[name] = found
    for name in ("gpu_allocated_mb", "gpu_reserved_mb", "gpu_peak_mb"):
        if name in series:
            series[name] = series[name][0], series[name][1] / _MB
    if "lr" not in series:
        found = _first(run, (key for key in run if key.startswith("lr/")))
        if found is not None:
            series["lr"] = found
    if "epoch_time_sec" not in series and "time" in run:
        series["epoch_time_sec"] = _seconds_a_step(*run["time"])
    for name, total in (("samples_per_sec", "samples"), ("tokens_per_sec", "tokens")):
        if name not in series and total in run and "time" in run:
            series[name] = _rate(run[total], run["time"])
    folder = run.path if run.path.is_dir() else run.path.parent
    series = {name: found for name, found in series.items() if len(found[0])}
    return History(run.name, "step", folder, run.header, run.config, series, run)


def _known(
    rows: Mapping[str, Iterable[tuple[int, float | None]]],
) -> dict[str, Series]:
    """Columns of what is known; a name of which nothing is has none."""
    out = {}
    for name, pairs in rows.items():
        known = [(x, y) for x, y in pairs if y is not None]
        if known:
            xs, ys = zip(*known)
            out[name] = np.array(xs, np.int64), np.array(ys, np.float64)
    return out


def _first(run: Run, keys: Iterable[str]) -> Series | None:
    return next((run[key] for key in keys if key in run), None)


def _each_step_once(steps: np.ndarray, values: np.ndarray) -> Series:
    """The last value of each step: a step may have a record for each split."""
    last = np.append(steps[1:] != steps[:-1], True) if len(steps) else steps > 0
    return steps[last], values[last]


def _seconds_a_step(steps: np.ndarray, seconds: np.ndarray) -> Series:
    steps, seconds = _each_step_once(steps, seconds)
    spent, steps_between = np.diff(seconds), np.diff(steps)
    known = spent >= 0
    return steps[1:][known], spent[known] / steps_between[known]


def _rate(total: Series, time: Series) -> Series:
    """What was added to a total by the second, between records."""
    (x, total_at), (there, seconds) = _each_step_once(*total), _each_step_once(*time)
    steps, mine, its = np.intersect1d(x, there, return_indices=True)
    added, spent = np.diff(total_at[mine]), np.diff(seconds[its])
    known = spent > 0
    return steps[1:][known], added[known] / spent[known]
