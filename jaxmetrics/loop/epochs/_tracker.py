"""What each epoch of a training came to, in a table and a JSON file."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxmetrics.loop.epochs._epoch_values import EpochValues
from jaxmetrics.loop.epochs._epochs_files import described, read, write
from jaxmetrics.processes import process_index
from jaxmetrics.record import EPOCH_FIELDS, Elapsed, EpochMetrics, redact

_ROLES = ("loss", "lr", "grad_norm", "samples")


class EpochTracker:
    """Writes a row for each epoch: loss, learning rate, speed, memory, time.

    Every process of a run uses it alike; the first one writes. The files are
    `training_metrics.csv` and `training_metrics.json` in `output_dir`, replaced at
    the end of each epoch. A folder that has them is continued: epochs before the one
    that is started are kept, with their time, and those from it on are replaced.

    Args:
      output_dir: The folder of the files; made when missing.
      config: The configuration of the training, for the record and the reports;
        secrets are left out. None keeps what the folder has.
      clock: Seconds since 1970.

    Raises:
      ValueError: The folder has a file of that name from somebody else.
      FileExistsError: It has the table without the JSON file.

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
        """Read what the folder has."""
        self.output_dir = Path(output_dir)
        self._clock = clock
        kept = read(self.output_dir)
        self._run, self._config, self._epochs = kept.run, kept.config, kept.epochs
        if config is not None:
            self._config = _mapping(redact(config))
        self._elapsed: Elapsed | None = None
        self._epoch: int | None = None
        self._values = EpochValues()
        self._started = 0.0

    @property
    def epochs(self) -> Sequence[EpochMetrics]:
        """The epochs that have ended, in order."""
        return tuple(self._epochs)

    def start_epoch(self, epoch: int) -> None:
        """Begin an epoch; those from it on are dropped, and so is an unfinished one.

        Raises:
          RuntimeError: An earlier epoch has not ended.
        """
        epoch = operator.index(epoch)
        if self._epoch is not None and self._epoch < epoch:
            raise RuntimeError(
                f"start_epoch({epoch}) while epoch {self._epoch} has not ended. Call "
                f"end_epoch() first."
            )
        kept = [e for e in self._epochs if e.epoch < epoch]
        if self._elapsed is None or len(kept) < len(self._epochs):
            earlier = kept[-1].cumulative_time_sec if kept else None
            self._elapsed = Elapsed(self._clock, earlier or 0.0)
        self._epochs, self._epoch, self._values = kept, epoch, EpochValues()
        self._started = self._elapsed()

    def log_batch(
        self,
        loss: Any = None,
        lr: Any = None,
        grad_norm: Any = None,
        samples: Any = None,
        **more: Any,
    ) -> None:
        """Note what one batch gave; never waits for the device.

        Args:
          loss: A number, or a scalar of a device, as are all others.
          lr: The learning rate; that of the last batch is kept.
          grad_norm: The norm of the gradient.
          samples: How many samples the batch has, over all processes.
          more: Others by name, of which the mean is kept.

        Raises:
          RuntimeError: No epoch was started.
          TypeError: A value is no scalar.
          ValueError: A name is that of a field.
        """
        if self._epoch is None:
            raise RuntimeError("log_batch() before start_epoch(). Start an epoch.")
        if not more.keys().isdisjoint(EPOCH_FIELDS):
            names = sorted(more.keys() & set(EPOCH_FIELDS))
            raise ValueError(
                f"log_batch() got {names}, which end_epoch() fills in itself. Choose "
                f"other names."
            )
        given = dict(zip(_ROLES, (loss, lr, grad_norm, samples))) | more
        self._values.add({n: v for n, v in given.items() if v is not None})

    def end_epoch(self, params: Any = None, ema_params: Any = None) -> EpochMetrics:
        """Wait for the epoch's values, and write the files.

        Args:
          params: The parameters, any tree of arrays.
          ema_params: Their moving average; with both, their distance is recorded.

        Returns:
          The epoch.

        Raises:
          RuntimeError: No epoch was started, or a value was donated since.
          OSError: The files could not be written; they are as before, and the epoch
            comes with the next one.
        """
        if self._epoch is None or self._elapsed is None:
            raise RuntimeError("end_epoch() before start_epoch(). Start an epoch.")
        from jaxmetrics.telemetry import memory_mb

        values = self._values.take()
        now = self._elapsed()  # only now has the device finished
        seconds = now - self._started
        with np.errstate(all="ignore"):  # nan and infinite losses are what they are
            known = _summary(values, self._values.batches, seconds)
        known |= memory_mb()
        ended = EpochMetrics(
            self._epoch,
            **known,
            ema_delta_norm=_delta(params, ema_params),
            epoch_time_sec=round(seconds, 6),
            cumulative_time_sec=now,
        )
        self._epochs.append(ended)
        self._epoch = None
        if process_index() == 0:
            run = described(self._run, self._clock())
            write(self.output_dir, run, self._config, self._epochs)
        return ended


def _summary(
    values: dict[str, np.ndarray], batches: int, seconds: float
) -> dict[str, Any]:
    """The fields that the values of the batches give."""
    loss, lr, norms, samples = (values.pop(name, None) for name in _ROLES)
    known: dict[str, Any] = {"batches_per_sec": _rate(batches, seconds)}
    if loss is not None:
        known["loss_mean"], known["loss_std"] = float(loss.mean()), float(loss.std())
        known["loss_min"], known["loss_max"] = float(loss.min()), float(loss.max())
        known["loss_median"] = float(np.median(loss))
    if lr is not None:
        known["lr"] = float(lr[-1])
    if norms is not None:
        known["grad_norm"] = float(norms.mean())
    if samples is not None and len(samples) == batches:
        known["samples_per_sec"] = _rate(samples.sum(), seconds)
    return known | {"extra": {name: float(x.mean()) for name, x in values.items()}}


def _rate(count: float, seconds: float) -> float | None:
    """Nothing in no time is no rate that anybody knows."""
    return float(count / seconds) if count > 0 and seconds > 0 else None


def _delta(params: Any, ema_params: Any) -> float | None:
    if params is None or ema_params is None:
        return None
    from jaxmetrics.telemetry import distance

    return float(distance(params, ema_params))


def _mapping(config: Any) -> dict[str, Any]:
    return config if isinstance(config, dict) else {"config": config}
