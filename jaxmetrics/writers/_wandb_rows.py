"""Build the rows sent to Weights & Biases, within limits."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxmetrics.record import Media, Record
from jaxmetrics.writers._arrays import ArraysShown
from jaxmetrics.writers._upload_limits import (
    SUMMARY_BYTES,
    ByteBudget,
    Keys,
    TokenBucket,
)
from jaxmetrics.writers._wandb_media import Upload, image_upload, uploads

STEP = "trainer/step"
"""Key of the step, the x axis of all values."""

_LOG = logging.getLogger("jaxmetrics")
_ADDED_BYTES = 73  # _step, _timestamp and _runtime, which wandb adds to a row
_MAX_ROWS_PER_MINUTE = 1000
_MAX_KEYS = 10_000
_INT64 = range(-(2**63), 2**63)


class WandbRows:
    """Converts records to rows, charges their bytes, and counts what is left out.

    Args:
      attempt: Number of this attempt of the run, from 1. Default 1.
      megabytes: Budget of the whole run in units of 10**6 bytes; None for no limit.
      used: Bytes charged before. Default 0.
      clock: Returns monotonic seconds. Default `time.monotonic`.

    Attributes:
      budget: Budget that the rows are charged to.
    """

    def __init__(
        self,
        attempt: int = 1,
        megabytes: float | None = None,
        used: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limit = None if megabytes is None else megabytes * 1e6
        self.budget = ByteBudget(limit, used)
        self._attempt = attempt
        self._bucket = TokenBucket(_MAX_ROWS_PER_MINUTE, 60.0, clock)
        self._keys = Keys(_MAX_KEYS)
        self._dropped: dict[str, int] = dict.fromkeys(("budget", "rate", "keys"), 0)
        self._warned: set[str] = set()
        self._unsent: dict[str, Any] = {}
        self._arrays = ArraysShown()

    @property
    def counters(self) -> dict[str, int]:
        """Rows left out because of budget or rate, refused keys, and bytes charged."""
        counts = {f"dropped_{name}": count for name, count in self._dropped.items()}
        return counts | {"estimated_upload_bytes": self.budget.used}

    def take(
        self, record: Record, folder: Path | None = None
    ) -> tuple[dict[str, Any], bool]:
        """Convert a record to a row and charge it.

        Args:
          record: The record.
          folder: Folder for files of media until they are logged.

        Returns:
          The row, empty if nothing must be sent, and whether it has all values of the
          record whose keys are accepted.
        """
        media: dict[str, Any] = {}
        if isinstance(record, Media):
            media = dict(uploads(record, folder or Path()))
        shown: dict[str, Any] = {**record.values, **self._arrays.scalars(record)}
        for key, image in self._arrays.heatmaps(record).items():
            shown[key] = image_upload(image)
        offered = media if isinstance(record, Media) else shown
        values = self._accepted(offered)
        if not values and not record.counts:
            return {}, not offered  # an empty histogram has nothing to send
        if not self._bucket.take():
            self._leave_out(
                "rate", f"{_MAX_ROWS_PER_MINUTE:,} rows a minute are the limit"
            )
            row: dict[str, Any] = {}
        else:
            row, complete = self._within_budget(record, values)
            if complete:
                for key in values:
                    self._unsent.pop(key, None)
                return row, True
        if not media:
            self._unsent |= {
                key: value
                for key, value in values.items()
                if key not in row and not isinstance(value, Upload)
            }
        return row, False

    def charge(self, hparams: Mapping[str, Any]) -> bool:
        """Charge an addition to the configuration; return False if it does not fit."""
        size = len(json.dumps(hparams))
        if self.budget.refusal(size, "hparams", alarm=True) is None:
            return True
        self._leave_out("budget", f"no room for the {size:,} bytes of hyperparameters")
        return False

    def summary(self) -> dict[str, Any]:
        """Return the counters and the last unsent value of each key, and charge them.

        Values beyond the bytes reserved for the summary are left out.
        """
        summary: dict[str, Any] = {}
        size = 2
        for key, value in {**self.counters, **self._unsent}.items():
            added = len(json.dumps({key: value}))
            if size + added <= SUMMARY_BYTES:
                summary[key] = value
                size += added
        self.budget.used += size
        return summary

    def _accepted(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """Return the values with accepted keys, converted to accepted numbers."""
        accepted = {}
        for key, value in values.items():
            if fault := self._keys.fault(key):
                self._leave_out("keys", f"{key!r} is the first of them, and {fault}")
            else:
                accepted[key] = _as_64bit(value)
        return accepted

    def _within_budget(
        self, record: Record, values: dict[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        """Return the row and whether it is complete; over budget it has alarms only."""
        axes: dict[str, Any] = record.counts
        axes |= {STEP: record.step, "trainer/attempt": self._attempt}
        refusal = self.budget.refusal(_size(values | axes), record.split)
        if refusal is None:
            return {key: _value_of(v) for key, v in values.items()} | axes, True
        omitted = "every second row" if refusal == "thin" else "all but alarms"
        used = f"{self.budget.used:,} of {self.budget.limit or 0:,.0f} bytes are used"
        self._leave_out("budget", f"{used}, from now on {omitted} is left out", refusal)
        alarms = {
            key: value
            for key, value in values.items()
            if key.startswith("health/") and value
        }
        size = _size(alarms | axes)
        if alarms and self.budget.refusal(size, record.split, alarm=True) is None:
            return alarms | axes, False
        return {}, False

    def _leave_out(self, reason: str, cause: str, stage: str = "") -> None:
        """Count something left out, and warn at the first time of each stage."""
        self._dropped[reason] += 1
        if reason + stage not in self._warned:
            self._warned.add(reason + stage)
            _LOG.warning("W&B is not sent everything, which is counted: %s.", cause)


def _size(row: Mapping[str, Any]) -> int:
    """Estimate the bytes of a row and its attached files."""
    uploads = {key: v.size for key, v in row.items() if isinstance(v, Upload)}
    text = json.dumps({**row, **dict.fromkeys(uploads)})
    return len(text) + _ADDED_BYTES + sum(uploads.values())


def _value_of(value: Any) -> Any:
    return value.value if isinstance(value, Upload) else value


def _as_64bit(value: Any) -> Any:
    """Convert an integer beyond 64 bits to a float; keep other values."""
    if isinstance(value, int) and value not in _INT64:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    return value
