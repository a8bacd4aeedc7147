"""The file of epochs: what each one came to, in a fixed form."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from jaxmetrics.record._json import loads, number
from jaxmetrics.record._run_files import EPOCHS_JSON


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch came to. What is not known is None; a loss may be nan.

    Attributes:
      epoch: Its number.
      loss_mean: Of the losses of its batches, as are the next four.
      loss_std: Over the batches, not corrected: 0 for one batch.
      loss_min: The least one.
      loss_max: The greatest one.
      loss_median: The middle one.
      lr: The last learning rate.
      grad_norm: The mean norm of the gradient.
      samples_per_sec: Known when every batch said its samples.
      batches_per_sec: Batches a second.
      gpu_allocated_mb: Memory in use at the end, of the first device; in units of
        2**20 bytes, as are the next two.
      gpu_reserved_mb: What the allocator holds of the device.
      gpu_peak_mb: The most that was in use since the process began.
      ema_delta_norm: The distance of the parameters from their moving average.
      epoch_time_sec: Seconds from start to end.
      cumulative_time_sec: Seconds of training so far, over all restarts.
      extra: The means of what else was logged, by name.
    """

    epoch: int
    loss_mean: float | None = None
    loss_std: float | None = None
    loss_min: float | None = None
    loss_max: float | None = None
    loss_median: float | None = None
    lr: float | None = None
    grad_norm: float | None = None
    samples_per_sec: float | None = None
    batches_per_sec: float | None = None
    gpu_allocated_mb: float | None = None
    gpu_reserved_mb: float | None = None
    gpu_peak_mb: float | None = None
    ema_delta_norm: float | None = None
    epoch_time_sec: float | None = None
    cumulative_time_sec: float | None = None
    extra: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> EpochMetrics:
        """The epoch of a row as it was read; fields of other names are passed over.

        Raises:
          TypeError: It has no number, or a field is no number.
        """
        if type(row.get("epoch")) is not int:
            raise TypeError("an epoch without its number")
        extra = row.get("extra", {})
        if not isinstance(extra, dict):
            raise TypeError("an epoch whose extra values have no names")
        values = {name: _value(row.get(name)) for name in EPOCH_FIELDS[1:]}
        known = ((name, _value(value)) for name, value in extra.items())
        more = {name: value for name, value in known if value is not None}
        return cls(row["epoch"], extra=more, **values)

    def line(self) -> dict[str, object]:
        """The row as it is written, fields in their order."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


EPOCH_FIELDS = tuple(f.name for f in fields(EpochMetrics) if f.name != "extra")
"""The fields of an epoch, in their order."""


@dataclass(frozen=True)
class Epochs:
    """What a file of epochs holds.

    Attributes:
      run: When it was made, how often it was continued, on what.
      config: The user's configuration.
      epochs: Ascending by number.
    """

    run: dict[str, Any]
    config: dict[str, Any]
    epochs: list[EpochMetrics]


def read_epochs(folder: str | os.PathLike[str]) -> Epochs | None:
    """The epochs in a folder, or None when it has no file of them.

    Raises:
      ValueError: The file is another one, or damaged.
    """
    path = Path(folder) / EPOCHS_JSON
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        read: Any = loads(text)
        if not isinstance(read, dict) or read.get("kind") != "epochs":
            raise ValueError("it does not say that it holds epochs")
        run, config = (read[name] for name in ("run", "config"))
        if not isinstance(run, dict) or not isinstance(config, dict):
            raise TypeError("its description is no mapping")
        epochs = {row["epoch"]: EpochMetrics.of(row) for row in read["epochs"]}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{path} is not what an EpochTracker writes ({error}). Move it away, or "
            f"choose another folder."
        ) from None
    return Epochs(run, config, [epochs[number] for number in sorted(epochs)])


def _value(value: object) -> float | None:
    value = number(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"an epoch with the value {value!r}")
    return float(value)
