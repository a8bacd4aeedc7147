"""State of a run while it goes on, in bounded memory."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxmetrics.record import RECORD_FIELDS, number
from jaxmetrics.runs.live._sparkline import RunningMeans
from jaxmetrics.runs.reading import as_record_row

_MAX_KEYS = 1000
_MAX_DAMAGED_LINES = 3
_MAX_TEXT = 80


@dataclass
class Series:
    """Values of one key so far.

    Attributes:
      last: Last value, a number or a text.
      step: Step of the last value; None without a value.
      min: Minimum of the finite values, nan if there are none.
      min_step: Step of the minimum.
      max: Maximum of the finite values, nan if there are none.
      max_step: Step of the maximum.
      count: Number of numbers; texts are not counted.
      nonfinite: Number of numbers that are not finite.
      means: Means of the numbers over windows.
    """

    last: float | str = math.nan
    step: int | None = None
    min: float = math.nan
    min_step: int | None = None
    max: float = math.nan
    max_step: int | None = None
    count: int = 0
    nonfinite: int = 0
    means: RunningMeans = field(default_factory=RunningMeans)

    def add(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Add the next numbers, at least one.

        Args:
          steps: Step of each number.
          values: The numbers.
        """
        array = np.array(values, np.float64)
        self.means.add(array)
        if self.step is None or steps[-1] >= self.step:  # unless a text came later
            self.last, self.step = float(array[-1]), steps[-1]
        finite = np.isfinite(array)
        self.count += len(array)
        self.nonfinite += len(array) - int(finite.sum())
        if finite.any():
            low = int(np.argmin(np.where(finite, array, np.inf)))
            high = int(np.argmax(np.where(finite, array, -np.inf)))
            if not self.min <= array[low]:  # also True if `min` is nan
                self.min, self.min_step = float(array[low]), steps[low]
            if not self.max >= array[high]:
                self.max, self.max_step = float(array[high]), steps[high]

    def to_dict(self) -> dict[str, object]:
        """Return the last value and the statistics; None for unknown extremes."""
        finite = self.count > self.nonfinite
        return {
            "last": self.last,
            "last_step": self.step,
            "min": self.min if finite else None,
            "min_step": self.min_step,
            "max": self.max if finite else None,
            "max_step": self.max_step,
            "count": self.count,
            "nonfinite": self.nonfinite,
        }


@dataclass
class Metrics:
    """Records of a run so far.

    Attributes:
      keys: Globs of the keys to keep.
      step: Last step; None without a record.
      seconds: Training time, nan if unknown.
      tokens: Tokens of the training, None if unknown.
      records: Number of rows.
      series: Series by key, in the order first seen.
      more_keys: Keys that are not kept because there are too many.
      damaged: Number of lines that are not rows.
      damage: Last of these lines, as (number, reason).
    """

    keys: Sequence[str] = ("*",)
    step: int | None = None
    seconds: float = math.nan
    tokens: int | None = None
    records: int = 0
    series: dict[str, Series] = field(default_factory=dict)
    more_keys: set[str] = field(default_factory=set)
    damaged: int = 0
    damage: list[tuple[int, str]] = field(default_factory=list)

    def add(self, first_line: int, rows: Iterable[dict[str, object]]) -> None:
        """Add the next rows.

        Args:
          first_line: Line number of the first row.
          rows: Rows of consecutive lines.
        """
        numbers: dict[str, tuple[list[int], list[float]]] = {}
        for line, row in enumerate(rows, first_line):
            if "kind" in row:
                continue
            try:
                row = as_record_row(row)
            except (TypeError, ValueError) as error:
                self.skip(line, str(error))
                continue
            step = row.get("step")
            if type(step) is not int or not -(2**63) <= step < 2**63:
                self.skip(line, "a row without a step of 64 bits")
                continue
            self._add_fields(step, row)
            for key, value in row.items():
                if key not in RECORD_FIELDS and value is not None:
                    self._add_value(numbers, key, step, number(value))
        for key, (steps, values) in numbers.items():
            self.series[key].add(steps, values)

    def skip(self, line: int, reason: str) -> None:
        """Count a line that is not a row."""
        self.damaged += 1
        self.damage = [*self.damage, (line, reason)][-_MAX_DAMAGED_LINES:]

    def _add_fields(self, step: int, row: Mapping[str, object]) -> None:
        self.records += 1
        self.step = step if self.step is None else max(self.step, step)
        seconds, tokens = number(row.get("time")), row.get("tokens")
        if isinstance(seconds, int | float):
            self.seconds = float(seconds)
        if isinstance(tokens, int):
            self.tokens = tokens

    def _add_value(
        self,
        numbers: dict[str, tuple[list[int], list[float]]],
        key: str,
        step: int,
        value: object,
    ) -> None:
        """Collect a number in `numbers`, or store a text as the last value."""
        if key not in self.series:
            if not any(fnmatch.fnmatchcase(key, glob) for glob in self.keys):
                return
            if len(self.series) == _MAX_KEYS:
                if len(self.more_keys) < _MAX_KEYS:
                    self.more_keys.add(key)
                return
            self.series[key] = Series()
        try:
            real = float(value) if isinstance(value, int | float) else None
        except OverflowError:
            real = math.inf
        if real is not None:
            steps, values = numbers.setdefault(key, ([], []))
            steps.append(step)
            values.append(real)
        else:
            text = value if isinstance(value, str) else type(value).__name__
            self.series[key].last = text[:_MAX_TEXT]
            self.series[key].step = step


@dataclass
class Events:
    """Events of a run so far.

    Attributes:
      attempt: Number of the last attempt, None if unknown.
      closed: Whether the last attempt was closed.
      alarms: Number of alarms.
      alarm: Last alarm.
    """

    attempt: int | None = None
    closed: bool = False
    alarms: int = 0
    alarm: Mapping[str, Any] = field(default_factory=dict)

    def add(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Add the next events."""
        for row in rows:
            name, attempt = str(row.get("event")), row.get("attempt")
            if isinstance(attempt, int):
                self.attempt = attempt
            if name in ("start", "close"):
                self.closed = name == "close"
            if name.startswith(("alarm", "health")):
                self.alarms += 1
                self.alarm = row
