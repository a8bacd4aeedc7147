"""The rows that Weights & Biases is sent, within limits that are kept."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from jaxmetrics.record import Media, Record
from jaxmetrics.writers._upload_limits import FOR_SUMMARY, ByteBudget, Keys, TokenBucket
from jaxmetrics.writers._wandb_media import Upload, uploads

STEP = "trainer/step"
"""The axis of all values."""

_LOG = logging.getLogger("jaxmetrics")
_OWN_FIELDS = 73  # bytes of _step, _timestamp and _runtime in a row
_ROWS_A_MINUTE = 1000
_DIFFERENT_KEYS = 10_000
_INT64 = range(-(2**63), 2**63)


class WandbRows:
    """Makes a row of each record, charges its bytes, and counts what is left out.

    Args:
      attempt: Which attempt of the run this is.
      megabytes: Millions of bytes for the whole run, or None.
      used: Bytes that were charged before.
      clock: Monotonic seconds.
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
        self._bucket = TokenBucket(_ROWS_A_MINUTE, 60.0, clock)
        self._keys = Keys(_DIFFERENT_KEYS)
        self._dropped: dict[str, int] = dict.fromkeys(("budget", "rate", "keys"), 0)
        self._warned: set[str] = set()
        self._unsent: dict[str, Any] = {}

    @property
    def counters(self) -> dict[str, int]:
        """Rows that the budget or the rate left out, values of bad keys, and bytes."""
        counts = {f"dropped_{reason}": n for reason, n in self._dropped.items()}
        return counts | {"estimated_upload_bytes": self.budget.used}

    def take(self, record: Record) -> tuple[dict[str, Any], bool]:
        """The row of a record, which is charged, and whether it is all of it.

        The row is empty when nothing may be sent.
        """
        beside = dict(uploads(record)) if isinstance(record, Media) else {}
        values = self._checked(beside or record.values)
        if not values:
            return {}, False
        if not self._bucket.take():
            self._leave_out("rate", f"{_ROWS_A_MINUTE:,} rows a minute are its limit")
            row: dict[str, Any] = {}
        else:
            row, whole = self._within_budget(record, values)
            if whole:
                for key in values:
                    self._unsent.pop(key, None)
                return row, True
        if not beside:
            self._unsent |= {k: v for k, v in values.items() if k not in row}
        return row, False

    def charge(self, hparams: Mapping[str, Any]) -> bool:
        """Whether there is room for what is added to the configuration."""
        size = len(json.dumps(hparams))
        if self.budget.refusal(size, "hparams", alarm=True) is None:
            return True
        self._leave_out("budget", f"no room for the {size:,} bytes of hyperparameters")
        return False

    def summary(self) -> dict[str, Any]:
        """The counters, and the last values of keys that were left out; charged.

        There are as many as there is room for in what was kept for them.
        """
        summary: dict[str, Any] = {}
        size = 2
        for key, value in {**self.counters, **self._unsent}.items():
            added = len(json.dumps({key: value}))
            if size + added <= FOR_SUMMARY:
                summary[key] = value
                size += added
        self.budget.used += size
        return summary

    def _checked(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """The values whose keys are taken, as numbers that are."""
        checked = {}
        for key, value in values.items():
            if fault := self._keys.fault(key):
                self._leave_out("keys", f"{key!r} is the first of them, and {fault}")
            else:
                checked[key] = _number(value)
        return checked

    def _within_budget(
        self, record: Record, values: dict[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        """All of a row, or without room for it only its alarms."""
        axes = {"tokens": record.tokens, "samples": record.samples}
        axes = {name: value for name, value in axes.items() if value is not None}
        axes |= {STEP: record.step, "trainer/attempt": self._attempt}
        refusal = self.budget.refusal(_size(values | axes), record.split)
        if refusal is None:
            return {key: _logged(v) for key, v in values.items()} | axes, True
        share = "every second row" if refusal == "thin" else "all but alarms"
        used = f"{self.budget.used:,} of {self.budget.limit or 0:,.0f} bytes are used"
        self._leave_out("budget", f"{used}, and from here on {share}", refusal)
        alarms = {k: v for k, v in values.items() if k.startswith("health/") and v}
        size = _size(alarms | axes)
        if alarms and self.budget.refusal(size, record.split, alarm=True) is None:
            return alarms | axes, False
        return {}, False

    def _leave_out(self, reason: str, why: str, stage: str = "") -> None:
        self._dropped[reason] += 1
        if reason + stage not in self._warned:
            self._warned.add(reason + stage)
            _LOG.warning("W&B is not sent everything, which is counted: %s.", why)


def _size(row: Mapping[str, Any]) -> int:
    """An estimate of the bytes of a row, and of the files beside it."""
    beside = {key: v.size for key, v in row.items() if isinstance(v, Upload)}
    text = json.dumps({**row, **dict.fromkeys(beside)})
    return len(text) + _OWN_FIELDS + sum(beside.values())


def _logged(value: Any) -> Any:
    return value.value if isinstance(value, Upload) else value


def _number(value: Any) -> Any:
    """A number that fits in 64 bits, exactly or as a float."""
    if isinstance(value, int) and value not in _INT64:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    return value
