"""Course of a training under the project's keys, from a run or from epoch files.

Plots and reports draw a `History`. A run of steps already has the project's keys, such
as `train/loss` or `mem/peak_bytes`. The files of an `EpochTracker` have columns of
their own (`loss_mean`, `gpu_peak_mb`), which are read into the same keys and units.
`COLUMNS` maps one to the other, also for the report, whose tables show the columns of
the epoch files.
"""

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
from jaxmetrics.runs.reading._copy import LocalCopy, at_home, local_copy
from jaxmetrics.runs.reading._find import place_of
from jaxmetrics.runs.reading._load import telemetry_file
from jaxmetrics.runs.reading._merging import at_common_x
from jaxmetrics.runs.reading._quantities import (
    Evaluation,
    Series,
    evaluation,
    evaluation_loss,
    quantity,
)
from jaxmetrics.runs.reading._record_rows import COLUMNS
from jaxmetrics.runs.reading._run import Run

_STATISTICS: Mapping[str, tuple[str, ...]] = {
    "train/loss_std": ("train/loss_stat_std",),
    "train/loss_min": ("train/loss_stat_min",),
    "train/loss_max": ("train/loss_stat_max",),
    "train/loss_median": ("train/loss_p50", "train/loss_stat_p50"),
}
"""Keys of statistics of a run, as aggregators and quantiles name them."""


@dataclass(frozen=True)
class History:
    """Course of a training, by epoch or by step.

    Attributes:
      name: Name of the run.
      unit: Unit of x, `"epoch"` or `"step"`.
      folder: Folder with the files.
      header: Description of the run.
      config: The user's configuration.
      series: x (ascending) and y (float64) by the project's key, in the key's unit.
        Keys without a value are absent.
      run: The run, if there is one.
      extra: x and y of further values of epochs, by the name under which they were
        logged.
      evaluation: Series by which models are chosen, the loss of an evaluation if there
        is one.
      copy: Temporary copy that `folder` is, if the run is in a mirror or a bucket.
    """

    name: str
    unit: str
    folder: Path
    header: Mapping[str, Any]
    config: Mapping[str, Any]
    series: Mapping[str, Series]
    run: Run | None = None
    extra: Mapping[str, Series] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    copy: LocalCopy | None = None

    @property
    def output(self) -> Path:
        """Folder for files made of the run: `folder`.

        It is the current directory if the run was read from a mirror or a bucket, to
        which nothing is written.
        """
        return self.folder if self.copy is None else Path.cwd()

    @property
    def evaluation_loss(self) -> Evaluation | None:
        """The loss of an evaluation at the x of this history; None without one."""
        columns = self.extra if self.unit == "epoch" else self.run
        return evaluation_loss(columns, self.unit) if columns is not None else None

    def get(self, key: str) -> Series:
        """Return x and y of a key, empty if there are no values."""
        return self.series.get(key, (np.zeros(0), np.zeros(0)))

    def columns(self) -> dict[str, Series]:
        """Return x and y of the columns of the report, in the column's unit.

        Columns without a value are absent.
        """
        return {
            name: (self.series[key][0], self.series[key][1] / scale)
            for name, (key, scale) in COLUMNS.items()
            if key in self.series
        }


def writes_files(source: object) -> bool:
    """Return whether this process writes the files of a source: True unless it says so.

    An `EpochTracker` of a process other than the first one has no files to read.
    """
    return bool(getattr(source, "writes_files", True))


def load_history(source: object, errors: Literal["raise", "skip"] = "raise") -> History:
    """Read the history of a training.

    Args:
      source: Object with an `output_dir`, such as an `EpochTracker`, whose files are
        read; path of such a folder or of a run directory; `Run`; or `History`, which
        is returned as it is. Of a folder with both the epochs are used, and the run
        is attached.
      errors: What to do at a damaged line, as for `Run.load`.

    Raises:
      FileNotFoundError: There is neither a run nor an epoch file.
      ValueError: A file is damaged.
      TypeError: The source is of another type.
    """
    if isinstance(source, History):
        return source
    if isinstance(source, Run):
        is_tracker = source.unit == "epoch"
        epochs = read_epochs(source.path, follow_links=True) if is_tracker else None
        if epochs is not None:
            return history_of_epochs(epochs, source.path, copy=source.local_copy)
        return history_of_run(source)
    folder = getattr(source, "output_dir", source)
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(
            f"Expected a run, a path or an EpochTracker; got a "
            f"{type(source).__name__}. Give the run directory."
        )
    folder = at_home(place_of(folder))
    copy = local_copy(folder)
    path = Path(folder if copy is None else copy.folder)
    epochs = read_epochs(path, follow_links=True) if path.is_dir() else None
    if epochs is None:
        if hasattr(source, "output_dir"):
            raise FileNotFoundError(
                f"{path / EPOCHS_JSON} does not exist: no epoch has ended, or another "
                f"process writes the files. End an epoch first, on process 0."
            )
        return history_of_run(Run.load(copy or path, errors))
    has_metrics = (path / METRICS_JSONL).is_file() or telemetry_file(path) is not None
    run = Run.load(copy or path, errors) if has_metrics else None
    return history_of_epochs(epochs, path, run, copy)


def history_of_epochs(
    epochs: Epochs, folder: Path, run: Run | None = None, copy: LocalCopy | None = None
) -> History:
    """Return the history of epochs, under the project's keys.

    Args:
      epochs: Content of the epoch file.
      folder: Folder of the file.
      run: Run in the same folder, if there is one.
      copy: Temporary copy that the folder is, if it is one.
    """
    series: dict[str, Series] = {}
    for name in EPOCH_FIELDS[1:]:
        key, scale = COLUMNS[name]
        column = _known([(e.epoch, getattr(e, name)) for e in epochs.epochs])
        if column is not None:
            series[key] = column[0], column[1] * scale
    extra: dict[str, Series] = {}
    for name in dict.fromkeys(name for epoch in epochs.epochs for name in epoch.extra):
        column = _known([(e.epoch, e.extra.get(name)) for e in epochs.epochs])
        if column is not None:
            extra[name] = column
    run_name = run.name if run is not None else folder.resolve().name
    config = epochs.config or (run.config if run is not None else {})
    chosen_by = evaluation(extra, "epoch")
    if chosen_by is None and run is not None:
        chosen_by = evaluation(run, "step", run.better)
    return History(
        *(run_name, "epoch", folder, epochs.run, config, series),
        run=run,
        extra=extra,
        evaluation=chosen_by,
        copy=copy,
    )


def history_of_run(run: Run) -> History:
    """Return the history of the steps of a run.

    The time per step and rates that were not logged are computed from the totals of
    the records.
    """
    series: dict[str, Series] = {}
    for key, _ in COLUMNS.values():
        logged = quantity(run, key) or _first(run, _STATISTICS.get(key, ()))
        if logged is not None:
            series[key] = logged
    if "lr/lr" not in series:
        # A scale is a factor of a rate that is not known.
        rates = (k for k in run if k.startswith("lr/") and not k.endswith("/scale"))
        logged = _first(run, rates)
        if logged is not None:
            series["lr/lr"] = logged
    times = _training_times(run)
    if "perf/step_seconds" not in series:
        series["perf/step_seconds"] = _step_seconds(*times)
    for total in ("samples", "tokens"):
        key = f"perf/{total}_per_second"
        if key not in series and total in run:
            series[key] = _rate(run[total], times)
    folder = run.path if run.path.is_dir() else run.path.parent
    series = {key: logged for key, logged in series.items() if len(logged[0])}
    return History(
        *(run.name, "step", folder, run.header, run.config, series, run),
        evaluation=evaluation(run, "step", run.better),
        copy=run.local_copy,
    )


def _known(pairs: Iterable[tuple[int, float | None]]) -> Series | None:
    """Return the pairs that have a value as arrays; None if there are none."""
    known = [(x, y) for x, y in pairs if y is not None]
    if not known:
        return None
    x, y = zip(*known)
    return np.array(x, np.int64), np.array(y, np.float64)


def _first(run: Run, keys: Iterable[str]) -> Series | None:
    return next((run[key] for key in keys if key in run), None)


def _training_times(run: Run) -> Series:
    """Return the times of the training records, or of all if there are none.

    Those of an evaluation are left out: it may finish long after its step.
    """
    if "time" not in run:
        return np.zeros(0, np.int64), np.zeros(0)
    table = run._table
    if "train" not in table.names:
        return run["time"]
    records, times, _ = table.columns["time"]
    is_train = table.splits[records] == table.names.index("train")
    return table.steps[records[is_train]], times[is_train]


def _step_seconds(steps: np.ndarray, seconds: np.ndarray) -> Series:
    spent, steps_between = np.diff(seconds), np.diff(steps)
    known = spent >= 0
    return steps[1:][known], spent[known] / steps_between[known]


def _rate(total: Series, time: Series) -> Series:
    """Return the increase of a total per second, between records."""
    steps, totals, seconds = at_common_x(total, time)
    increase, spent = np.diff(totals), np.diff(seconds)
    known = spent > 0
    return steps[1:][known], increase[known] / spent[known]
