"""The part of a logger that takes what is no scalar."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from jaxmetrics.logger._log_config import LogConfig
from jaxmetrics.logger._rundir import RunDirectory
from jaxmetrics.pipeline import Fetched, Kind, MediaRow, Rows, Sinks, media
from jaxmetrics.record import Elapsed, check_step, key, redact

_LOG = logging.getLogger("jaxmetrics")


class LogsMedia(ABC):
    """Texts, images, histograms, tables, hyperparameters, for writers that show them.

    They reach every such writer, whatever its `every`, and need no order of steps.
    Names are given as keywords, or as a mapping where Python cannot spell them.
    """

    config: LogConfig
    _pid: int
    _lock: Any
    _run: RunDirectory
    _rows: Rows
    _sinks: Sinks
    _fetched: Fetched
    _elapsed: Elapsed
    _told: frozenset[str] = frozenset()

    def log_text(
        self,
        step: int,
        texts: Mapping[str, str] | None = None,
        *,
        split: str = "train",
        **more: str,
    ) -> None:
        """Log texts, without what looks like a secret, and at most 64 KiB of each.

        Raises:
          TypeError: A value is no str; the others are logged.
        """
        self._log_media("text", "log_text", step, split, {**(texts or {}), **more})

    def log_images(
        self,
        step: int,
        images: Mapping[str, Any] | None = None,
        *,
        split: str = "train",
        **more: Any,
    ) -> None:
        """Log images, fetched from their devices on another thread.

        Args:
          step: Optimizer updates completed.
          images: By name, `[height, width]` or `[height, width, channels]` of 1, 3 or
            4 channels, uint8 or floats in [0, 1].
          split: As in `log_step`.
          more: More images by name.

        Raises:
          ValueError: An array is no image; the others are logged.
          RuntimeError: As in `log_step`.
        """
        self._log_media("image", "log_images", step, split, {**(images or {}), **more})

    def log_histograms(
        self,
        step: int,
        arrays: Mapping[str, Any] | None = None,
        *,
        split: str = "train",
        **more: Any,
    ) -> None:
        """Log histograms of arrays; nothing unless `enable_histograms` is set.

        An array on a device is counted there, as float32, in one launch, which the
        first array of a shape compiles: it may be donated right after. Of one that
        lies on several processes each calls it.

        Args:
          step: Optimizer updates completed.
          arrays: By name, of any shape, or pairs (counts, edges) counted before.
          split: As in `log_step`.
          more: More arrays by name.

        Raises:
          TypeError: Values are no real numbers; the others are logged.
          RuntimeError: As in `log_step`.
        """
        if not self.config.enable_histograms:
            self._tell("Histograms are left out, since enable_histograms is False.")
            return
        arrays = {**(arrays or {}), **more}
        self._log_media("histogram", "log_histograms", step, split, arrays)

    def log_table(
        self,
        step: int,
        tables: Mapping[str, Any] | None = None,
        *,
        split: str = "train",
        **more: Any,
    ) -> None:
        """Log tables, pairs (columns, rows) of at most 10,000 rows, without secrets.

        Raises:
          TypeError: A value is no such pair; the others are logged.
          ValueError: Rows have other lengths than the columns, or are too many.
        """
        self._log_media("table", "log_table", step, split, {**(tables or {}), **more})

    def log_hparams(self, hparams: object) -> None:
        """Add to the run's configuration what was not known when the logger was made.

        What has a name that it has already is replaced. It goes to `run.json`, and
        without waiting to the writers that show it, all without secrets. (TensorBoard
        keeps the first configuration of a run, and shows later ones as a table.)

        Args:
          hparams: A mapping, a dataclass or a namespace.

        Raises:
          TypeError: It has no names.
        """
        if self._pid != os.getpid():
            return
        plain = redact(hparams)
        if not isinstance(plain, dict):
            raise TypeError(
                f"log_hparams() got a {type(hparams).__name__}, expected a mapping, a "
                f"dataclass or a namespace. Give it a name: {{'value': ...}}."
            )
        with self._lock:
            self._require_open()
            self._check_place()
            try:
                self._run.add_hparams(plain)
            except OSError as error:
                _LOG.warning("run.json has no %s (%s).", sorted(plain), error)
            step = max(self._rows.last.values(), default=0)
            row = MediaRow(
                "hparams", step, "train", self._elapsed(), self._fetched.note
            )
            for name, value in plain.items():
                row.add(name, value)
            if not row.empty:
                self._sinks.offer([row])
        self._raise([])

    def _log_media(
        self, kind: Kind, call: str, step: int, split: str, values: Mapping[str, Any]
    ) -> None:
        if self._pid != os.getpid():
            return
        step = check_step(step, call)
        errors: list[Exception] = []
        with self._lock:
            self._require_open()
            self._check_place()
            wanted = self._sinks.show(kind)
            if self._sinks and not wanted:
                self._tell(
                    f"No writer of the run shows what {call}() is given, which is left "
                    f"out. Add writers.TensorBoard(), which shows all of it."
                )
            row = MediaRow(kind, step, split, self._elapsed(), self._fetched.note)
            for name, value in values.items():
                try:
                    row.add(key(name, split), media(kind, name, value, _count, wanted))
                except (TypeError, ValueError, RuntimeError) as error:
                    errors.append(error)
            if wanted and not row.empty:
                self._sinks.offer([row])
        self._raise(errors)

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told |= {what}
            _LOG.warning(what)

    @abstractmethod
    def _require_open(self) -> None:
        """Refuse to log once closed."""

    @abstractmethod
    def _check_place(self) -> None:
        """Refuse to log as another process than was known at first."""

    @abstractmethod
    def _raise(self, errors: list[Exception]) -> None:
        """Raise what is wrong with values, and faults of earlier ones."""


def _count(array: Any) -> object:
    from jaxmetrics.logger._device_bins import count

    return count(array)
