"""Record statistics of each epoch of a training in a CSV and a JSON file."""

from __future__ import annotations

import functools
import operator
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxmetrics._other_names import explains_arguments
from jaxmetrics.loop.epochs._files import (
    keep_copies,
    read_or_create,
    remove_files,
    update_header,
    write_files,
)
from jaxmetrics.loop.epochs._values import EpochValues
from jaxmetrics.processes import process_index
from jaxmetrics.record import (
    EPOCH_FIELDS,
    DiskErrors,
    Elapsed,
    EpochMetrics,
    absolute_path,
    dumps,
    duration_clock,
    loads,
    read_epochs,
    redact,
    states,
)

_NAMED_VALUES = ("loss", "lr", "grad_norm", "samples")


class EpochTracker:
    """Record loss, learning rate, speed, memory and time of each epoch.

    Every process of a run makes the same calls; process 0 writes. The files are
    `training_metrics.csv` and `training_metrics.json` in `output_dir`, replaced at the
    end of each epoch. Existing files are continued: epochs before the one that is
    started are kept, with their time, and later ones are replaced.

    `state` and `load_state`, or `checkpoint.args` and `restore`, continue within an
    epoch: `start_epoch` of the epoch that was open keeps its batches. An epoch whose
    last batch was the last before the checkpoint ends when the next one starts.

    Args:
      output_dir: Directory of the files; created if missing.
      config: Configuration of the training, for records and reports; secrets are
        redacted. Default: the configuration in the existing files.
      clock: Function that returns seconds since 1970, for timestamps.
      monotonic: Function that returns seconds of any origin, for durations. If only
        `clock` is passed, it serves both.

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

    @explains_arguments
    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | object | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read existing files."""
        self.output_dir: Path = absolute_path(output_dir)
        self._clock = clock
        self._monotonic = duration_clock(clock, monotonic)
        recorded = read_or_create(self.output_dir)
        self._run, self._config = recorded.run, recorded.config
        self._epochs = recorded.epochs
        if config is not None:
            self._config = _as_dict(redact(config))
        self._elapsed: Elapsed | None = None
        self._epoch: int | None = None
        self._is_restored = False  # the open epoch
        self._values = EpochValues()
        self._epoch_start = 0.0
        self._is_written = True
        self._copies: str | None = None  # label of copies to keep before writing
        self._errors = DiskErrors(
            f"The epochs in {self.output_dir}", "they are written with the next epoch"
        )

    @property
    def epochs(self) -> Sequence[EpochMetrics]:
        """Completed epochs, in order."""
        return tuple(self._epochs)

    @property
    def writes_files(self) -> bool:
        """True on process 0, which writes the files."""
        return process_index() == 0

    def start_epoch(self, epoch: int) -> None:
        """Start an epoch; drop recorded epochs from this one on, and an unfinished one.

        The first call after `load_state` continues the epoch that was open then, or
        ends it if it is an earlier one.

        Raises:
          RuntimeError: An earlier epoch has not ended.
          TypeError: The epoch is not an integer.
          ValueError: The epoch is negative.
        """
        epoch = operator.index(epoch)
        if epoch < 0:
            raise ValueError(
                f"start_epoch() got epoch {epoch}; expected 0 or more. Count epochs "
                f"from 0 or 1."
            )
        was_restored, self._is_restored = self._is_restored, False
        if was_restored and self._epoch == epoch:
            return
        if was_restored and self._epoch is not None and self._epoch < epoch:
            self.end_epoch()
        if self._epoch is not None and self._epoch < epoch:
            raise RuntimeError(
                f"start_epoch({epoch}) while epoch {self._epoch} has not ended. Call "
                f"end_epoch() first."
            )
        earlier = [e for e in self._epochs if e.epoch < epoch]
        if self._elapsed is None or len(earlier) < len(self._epochs):
            seconds = earlier[-1].cumulative_time_sec if earlier else None
            self._elapsed = Elapsed(self._monotonic, seconds or 0.0)
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
        self._values.add(values)

    def end_epoch(self, params: Any = None, ema_params: Any = None) -> EpochMetrics:
        """Wait for the values of the epoch, and write the files.

        If the file system refuses them, they are unchanged, there is one warning, and
        the epoch is written with the next one, or at a checkpoint.

        Args:
          params: Parameters, any tree of arrays.
          ema_params: Moving average of the parameters; with both, their distance is
            recorded.

        Returns:
          Metrics of the epoch.

        Raises:
          RuntimeError: No epoch was started, or a value was donated.
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
        self._epoch, self._is_restored = None, False
        self._write()
        return metrics

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint: epochs, and the batches of an open one.

        Waits for values on devices.

        Raises:
          RuntimeError: A value was donated.
        """
        if not self._is_written:
            self._write()
        state: dict[str, Any] = {"epochs": _lines(self._epochs)}
        if self._elapsed is not None:
            state["seconds"] = self._elapsed.exact()
        if self._epoch is not None:
            values = self._values.state()
            state["open"] = {"epoch": self._epoch, "start": self._epoch_start} | values
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`, also after a round trip through JSON or orbax.

        The files are taken back to it; if they hold other epochs, copies of them are
        kept as `<file>.after-restore`.

        Raises:
          ValueError: It is not a state of a tracker; nothing is changed.
        """
        owner = type(self).__name__
        saved = states.read(owner, state, epochs=states.list_of(_read_epoch))
        seconds = values = number = start = None
        if state.get("seconds") is not None:
            seconds = states.read(owner, state, seconds=states.real)["seconds"]
        if state.get("open") is not None:
            opened = states.fields_of(epoch=states.integer, start=states.real)
            read = states.read(owner, state, open=opened)["open"]
            number, start = read["epoch"], read["start"]
            values = states.read(owner, state, open=EpochValues.from_state)["open"]
        self._epochs = saved["epochs"]
        self._elapsed = None if seconds is None else Elapsed(self._monotonic, seconds)
        self._values = values or EpochValues()
        self._epoch, self._epoch_start = number, start or 0.0
        self._is_restored = number is not None
        if process_index() == 0:
            recorded = read_epochs(self.output_dir)
            if _lines(recorded.epochs if recorded else []) != _lines(self._epochs):
                self._copies = "restore"
                self._write()

    def reset(self) -> None:
        """Begin without epochs; existing files are moved to `<file>.after-restart`."""
        self._epochs, self._epoch, self._elapsed = [], None, None
        self._values, self._is_restored = EpochValues(), False
        if process_index() == 0:
            self._copies = "restart"
            remove = functools.partial(remove_files, self.output_dir)
            self._is_written = self._errors.attempt(self._keep_copies, remove)

    def _write(self) -> None:
        if process_index() == 0:
            self._is_written = self._errors.attempt(self._keep_copies, self._replace)

    def _keep_copies(self) -> None:
        if self._copies is not None:
            keep_copies(self.output_dir, self._copies)
            self._copies = None

    def _replace(self) -> None:
        run = update_header(self._run, self._clock())
        write_files(self.output_dir, run, self._config, self._epochs)


def _lines(epochs: Sequence[EpochMetrics]) -> Any:
    """Return epochs as strict JSON that keeps the order of extra values.

    Orbax sorts the names of a mapping.
    """
    lines = (epoch.line() | {"extra": [*epoch.extra.items()]} for epoch in epochs)
    return loads(dumps(list(lines)))


def _read_epoch(line: Any) -> EpochMetrics:
    """Return an epoch of `_lines`."""
    read = states.fields_of(extra=states.list_of(_read_pair))
    extra = dict(read(line)["extra"])
    return EpochMetrics.from_row({**line, "extra": extra})


def _read_pair(pair: Any) -> tuple[str, object]:
    name, value = pair
    return states.text(name), value


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
