"""Epochs of a training run, and the file that holds them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from jaxmetrics.record._io import read_whole
from jaxmetrics.record._json import loads, number
from jaxmetrics.record._run_files import EPOCHS_JSON

_MAX_BYTES = 2**28  # of some 500,000 epochs


@dataclass(frozen=True)
class EpochMetrics:
    """Measurements of one epoch. Unknown values are None; a loss may be NaN.

    Attributes:
      epoch: Number of the epoch.
      loss_mean: Mean batch loss.
      loss_std: Standard deviation of the batch losses, uncorrected (ddof 0).
      loss_min: Smallest batch loss.
      loss_max: Largest batch loss.
      loss_median: Median batch loss.
      lr: Learning rate of the last batch.
      grad_norm: Mean norm of the gradient.
      samples_per_sec: Samples per second; None unless every batch gave its size.
      batches_per_sec: Batches per second.
      gpu_allocated_mb: Memory in use on the first device at the end of the epoch, in
        units of 2**20 bytes, as are the next two.
      gpu_reserved_mb: Memory reserved by the allocator.
      gpu_peak_mb: Peak memory in use since the process began.
      ema_delta_norm: Distance of the parameters from their moving average.
      epoch_time_sec: Duration of the epoch in seconds.
      cumulative_time_sec: Training seconds so far, cumulative over restarts.
      extra: Means of the other logged values, by name.
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
    def from_row(cls, row: Mapping[str, Any]) -> EpochMetrics:
        """Return the epoch of a row read from a file; unknown fields are ignored.

        Raises:
          TypeError: The epoch number is missing, or a field is not a number.
        """
        if not isinstance(row, Mapping):
            raise TypeError("an epoch that is not an object")
        epoch = _plain(row.get("epoch"))
        if type(epoch) is not int or epoch.bit_length() > 63:
            raise TypeError("an epoch without a number")
        extra = row.get("extra", {})
        if not isinstance(extra, Mapping):
            raise TypeError("an epoch whose extra values have no names")
        values = {name: _value(row.get(name)) for name in EPOCH_FIELDS[1:]}
        pairs = ((name, _value(value)) for name, value in extra.items())
        more = {name: value for name, value in pairs if value is not None}
        return cls(epoch, extra=more, **values)

    def line(self) -> dict[str, object]:
        """Return the row to write, with the fields in their order."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


EPOCH_FIELDS = tuple(f.name for f in fields(EpochMetrics) if f.name != "extra")
"""Names of the fields of an epoch in their order, without `extra`."""


@dataclass(frozen=True)
class Epochs:
    """Contents of a file of epochs.

    Attributes:
      run: Creation time, number of attempts, versions and devices.
      config: Configuration given by the user.
      epochs: Epochs in ascending order of their numbers.
    """

    run: dict[str, Any]
    config: dict[str, Any]
    epochs: list[EpochMetrics]


def read_epochs(
    folder: str | os.PathLike[str], follow_links: bool = False
) -> Epochs | None:
    """Return the epochs in a folder, or None if it has no `training_metrics.json`.

    Args:
      folder: The folder.
      follow_links: Read the target of a symbolic link, for those who write nothing
        there. Default False.

    Raises:
      ValueError: The file is damaged, was not written by an `EpochTracker`, or is
        larger than 256 MiB.
      OSError: The file cannot be read, or is not a regular file.
    """
    path = Path(folder) / EPOCHS_JSON
    try:
        content: Any = loads(read_whole(path, _MAX_BYTES, follow_links))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _not_epochs(path, error) from None
    try:
        if not isinstance(content, dict) or content.get("kind") != "epochs":
            raise ValueError("its kind is not 'epochs'")
        run, config = (content[name] for name in ("run", "config"))
        if not isinstance(run, dict) or not isinstance(config, dict):
            raise TypeError("'run' or 'config' is not an object")
        rows = content["epochs"]
        epochs = {row["epoch"]: EpochMetrics.from_row(row) for row in rows}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise _not_epochs(path, error) from None
    return Epochs(run, config, [epochs[number] for number in sorted(epochs)])


def _not_epochs(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is not a file of epochs ({error}); expected one written by an "
        f"EpochTracker. Move it away, or choose another folder."
    )


def _plain(value: Any) -> Any:
    """Return the number of an array of rank 0, as orbax makes it."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _value(value: object) -> float | None:
    value = number(_plain(value))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"an epoch with the value {value!r}")
    return float(value)
