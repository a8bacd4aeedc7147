"""Record statistics of each epoch of a training in a CSV and a JSON file."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxmetrics.loop.epochs._files import read_or_create, update_header, write_files
from jaxmetrics.loop.epochs._values import EpochValues
from jaxmetrics.processes import process_index
from jaxmetrics.record import EPOCH_FIELDS, Elapsed, EpochMetrics, redact

_NAMED_VALUES = ("loss", "lr", "grad_norm", "samples")


class EpochTracker:
    """Record loss, learning rate, speed, memory and time of each epoch.

    Every process of a run makes the same calls; process 0 writes. The files are
    `training_metrics.csv` and `training_metrics.json` in `output_dir`, replaced at the
    end of each epoch. Existing files are continued: epochs before the one that is
    started are kept, with their time, and later ones are replaced.

    Args:
      output_dir: Directory of the files; created if missing.
      config: Configuration of the training, for records and reports; secrets are
        redacted. Default: the configuration in the existing files.
      clock: Function that returns seconds since 1970.

    Raises:
      ValueError: The directory has a file of that name with another format.
      FileExistsError: The directory has the CSV file without the JSON file.

    Example:
      >>> import tempfile
      >>> tracker = EpochTracker(tempfile.mkdtemp())
      >>> for epoch in range(2):
      ...     tracker.start_epoch(epoch)
      ...     for loss in (3.0 - epoch, 2.0 - epoch):
      ...         tracker.log_batch(loss=loss, lr=3e-4)
      ...     metrics = tracker.end_epoch()
      >>> metrics.epoch, metrics.loss_mean, metrics.loss_std, metrics.grad_norm
      (1, 1.5, 0.5, None)
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | object | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read existing files."""
        self.output_dir: Path = Path(output_dir)
        self._clock = clock
        recorded = read_or_create(self.output_dir)
        self._run, self._config = recorded.run, recorded.config
        self._epochs = recorded.epochs
        if config is not None:
            self._config = _as_dict(redact(config))
        self._elapsed: Elapsed | None = None
        self._epoch: int | None = None
        self._values = EpochValues()
        self._epoch_start = 0.0

    @property
    def epochs(self) -> Sequence[EpochMetrics]:
        """Completed epochs, in order."""
        return tuple(self._epochs)

    def start_epoch(self, epoch: int) -> None:
        """Start an epoch; drop recorded epochs from this one on, and an unfinished one.

        Raises:
          RuntimeError: An earlier epoch has not ended.
          TypeError: The epoch is not an integer.
        """
        epoch = operator.index(epoch)
        if self._epoch is not None and self._epoch < epoch:
            raise RuntimeError(
                f"start_epoch({epoch}) while epoch {self._epoch} has not ended. Call "
                f"end_epoch() first."
            )
        earlier = [e for e in self._epochs if e.epoch < epoch]
        if self._elapsed is None or len(earlier) < len(self._epochs):
            seconds = earlier[-1].cumulative_time_sec if earlier else None
            self._elapsed = Elapsed(self._clock, seconds or 0.0)
        self._epochs, self._epoch, self._values = earlier, epoch, EpochValues()
        self._epoch_start = self._elapsed()

    def log_batch(
        self,
        loss: Any = None,
        lr: Any = None,
        grad_norm: Any = None,
        samples: Any = None,
        **extra: Any,
    ) -> None:
        """Record the values of a batch; never waits for the device.

        Args:
          loss: Loss; a number or a scalar on a device, like all other values.
          lr: Learning rate; the epoch has that of the last batch.
          grad_norm: Norm of the gradient; the epoch has the mean.
          samples: Number of samples in the batch, over all processes.
          extra: Further values by name; the epoch has their means.

        Raises:
          RuntimeError: No epoch was started.
          TypeError: A value is not a scalar.
          ValueError: A name is that of a field of `EpochMetrics`.
        """
        if self._epoch is None:
            raise RuntimeError("log_batch() before start_epoch(). Start an epoch.")
        if not extra.keys().isdisjoint(EPOCH_FIELDS):
            names = sorted(extra.keys() & set(EPOCH_FIELDS))
            raise ValueError(
                f"log_batch() got {names}, which end_epoch() fills in itself. Choose "
                f"other names."
            )
        values = dict(zip(_NAMED_VALUES, (loss, lr, grad_norm, samples))) | extra
        self._values.add({n: v for n, v in values.items() if v is not None})

    def end_epoch(self, params: Any = None, ema_params: Any = None) -> EpochMetrics:
        """Wait for the values of the epoch, and write the files.

        Args:
          params: Parameters, any tree of arrays.
          ema_params: Moving average of the parameters; with both, their distance is
            recorded.

        Returns:
          Metrics of the epoch.

        Raises:
          RuntimeError: No epoch was started, or a value was donated.
          OSError: The files could not be written; they are unchanged, and the epoch is
            written with the next one.
        """
        if self._epoch is None or self._elapsed is None:
            raise RuntimeError("end_epoch() before start_epoch(). Start an epoch.")
        from jaxmetrics.telemetry import memory_mb

        values = self._values.columns()
        now = self._elapsed()  # after the values: the device has finished only now
        seconds = now - self._epoch_start
        with np.errstate(all="ignore"):  # losses may be NaN or infinite
            fields = _summarize(values, self._values.batches, seconds)
        fields |= memory_mb()
        metrics = EpochMetrics(
            self._epoch,
            **fields,
            ema_delta_norm=_ema_distance(params, ema_params),
            epoch_time_sec=round(seconds, 6),
            cumulative_time_sec=now,
        )
        self._epochs.append(metrics)
        self._epoch = None
        if process_index() == 0:
            run = update_header(self._run, self._clock())
            write_files(self.output_dir, run, self._config, self._epochs)
        return metrics


def _summarize(
    values: dict[str, np.ndarray], batches: int, seconds: float
) -> dict[str, Any]:
    """Compute the fields of an epoch from the values of its batches."""
    loss, lr, norms, samples = (values.pop(name, None) for name in _NAMED_VALUES)
    fields: dict[str, Any] = {"batches_per_sec": _rate(batches, seconds)}
    if loss is not None:
        fields["loss_mean"], fields["loss_std"] = float(loss.mean()), float(loss.std())
        fields["loss_min"], fields["loss_max"] = float(loss.min()), float(loss.max())
        fields["loss_median"] = float(np.median(loss))
    if lr is not None:
        fields["lr"] = float(lr[-1])
    if norms is not None:
        fields["grad_norm"] = float(norms.mean())
    if samples is not None and len(samples) == batches:
        fields["samples_per_sec"] = _rate(samples.sum(), seconds)
    return fields | {"extra": {name: float(x.mean()) for name, x in values.items()}}


def _rate(count: float, seconds: float) -> float | None:
    """Return a rate, or None without anything counted or without time."""
    return float(count / seconds) if count > 0 and seconds > 0 else None


def _ema_distance(params: Any, ema_params: Any) -> float | None:
    if params is None or ema_params is None:
        return None
    from jaxmetrics.telemetry import distance

    return float(distance(params, ema_params))


def _as_dict(config: Any) -> dict[str, Any]:
    return config if isinstance(config, dict) else {"config": config}
