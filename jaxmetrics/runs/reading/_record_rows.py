"""Rows of other files in the form of a run's records.

`Run.load` and `Tail` also read the files of `EpochTracker`, `MetricsLog` and
`TrainingTelemetry`, so that everything that takes a run takes them. Their fields become
keys and units of the project here, and only here.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from jaxmetrics.record import EPOCH_FIELDS, EpochMetrics, Epochs, MetricsEntry, number
from jaxmetrics.runs.reading._quantities import own_key


class Column(NamedTuple):
    """Meaning of a column of the epoch files.

    Attributes:
      key: The project's key.
      scale: Factor from the unit of the column to that of the key.
    """

    key: str
    scale: float = 1.0


_MIB = 2.0**20

COLUMNS: Mapping[str, Column] = {
    "loss_mean": Column("train/loss"),
    "loss_std": Column("train/loss_std"),
    "loss_min": Column("train/loss_min"),
    "loss_max": Column("train/loss_max"),
    "loss_median": Column("train/loss_median"),
    "lr": Column("lr/lr"),
    "grad_norm": Column("grad/norm"),
    "samples_per_sec": Column("perf/samples_per_second"),
    "batches_per_sec": Column("perf/batches_per_second"),
    "gpu_allocated_mb": Column("mem/in_use_bytes", _MIB),
    "gpu_reserved_mb": Column("mem/reserved_bytes", _MIB),
    "gpu_peak_mb": Column("mem/peak_bytes", _MIB),
    "ema_delta_norm": Column("ema/delta_norm"),
    "epoch_time_sec": Column("perf/epoch_seconds"),
    "step_time_sec": Column("perf/step_seconds"),
    "cumulative_time_sec": Column("time"),
    "tokens_per_sec": Column("perf/tokens_per_second"),
    "steps_per_sec": Column("perf/steps_per_second"),
}
"""Columns of the report, in their order; among them all fields of an epoch."""

_TELEMETRY_FIELDS: Mapping[str, str] = {
    "gradient_norm": "grad/norm",
    "weight_delta": "delta/norm",
    "learning_rates": "lr",
    "batch_stats": "batch",
}
"""Keys of nested values of a line of telemetry; their `overall` has the key itself."""

_NOT_SCALARS = frozenset({"step", "timestamp", "holdout_logits"})


def is_record_row(keys: Container[str]) -> bool:
    """Return whether a row with these keys has the form of a run's records already."""
    if "split" in keys:
        return True
    is_telemetry = "timestamp" in keys and "batch_idx" in keys
    return "wall_time_ms" not in keys and not is_telemetry


def as_record_row(row: dict[str, object]) -> dict[str, object]:
    """Return a row in the form of a run's records.

    A line of a `MetricsLog` has milliseconds, no split and nested `extra` values; they
    become `time`, `"train"` and further keys. A line of `TrainingTelemetry` has nested
    values; they become keys such as `grad/norm/<group>`. Other rows are returned as
    they are.

    Raises:
      TypeError: A field of such a line has the wrong type.
      ValueError: A field of such a line has a wrong value.
    """
    if is_record_row(row):
        return row
    if "wall_time_ms" in row:
        entry = MetricsEntry.from_row(row)
        fields = entry.line() | {"time": entry.wall_time_ms / 1000, "split": "train"}
        fields.pop("extra")
        return fields | {k: v for k, v in entry.extra.items() if k not in fields}
    return _telemetry_row(row)


def rows_of_epochs(epochs: Epochs) -> Iterator[dict[str, object]]:
    """Yield a record of split train for each epoch, whose step is the epoch."""
    for epoch in epochs.epochs:
        yield _epoch_row(epoch)


def _epoch_row(epoch: EpochMetrics) -> dict[str, object]:
    row: dict[str, object] = {"step": epoch.epoch, "split": "train"}
    for name in EPOCH_FIELDS[1:]:
        value, (key, scale) = getattr(epoch, name), COLUMNS[name]
        if value is not None:
            row[key] = value * scale
    for name, value in epoch.extra.items():
        key, factor = own_key(name)
        if key == name and "/" not in name:
            key = f"train/{name}"
        row.setdefault(key, value * factor)
    return row


def _telemetry_row(line: Mapping[str, object]) -> dict[str, object]:
    if "step" not in line:
        raise ValueError("a line of telemetry of an earlier version, without a step")
    row: dict[str, object] = {"step": line["step"], "split": "train"}
    for name, value in line.items():
        key = _TELEMETRY_FIELDS.get(name, name)
        if isinstance(value, Mapping) and name not in _NOT_SCALARS:
            for part, scalar in value.items():
                row[key if part == "overall" else f"{key}/{part}"] = scalar
        elif name not in _NOT_SCALARS:
            row[name] = value
    holdout = line.get("holdout_logits")
    if isinstance(holdout, Mapping) and "accuracy" in holdout:
        row["holdout/accuracy"] = number(holdout["accuracy"])
    return row
