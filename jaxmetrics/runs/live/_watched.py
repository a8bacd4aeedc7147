"""What is known of a run while it goes on, in bounded memory."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxmetrics.record import RECORD_FIELDS, number
from jaxmetrics.runs.live._sparkline import Course
from jaxmetrics.runs.reading import flat_row

_MOST_KEYS, _MOST_DAMAGED, _LONGEST_TEXT = 1000, 3, 80


@dataclass
class Series:
    """One key so far.

    Attributes:
      last: The last value, a number or a text.
      step: Its step.
      least: The least finite value, nan without one; at the step `least_step`.
      greatest: The greatest finite value, nan without one; at `greatest_step`.
      count: How many values there were; a text is none.
      nonfinite: How many of them were not finite.
      course: The numbers so far.
    """

    last: float | str = math.nan
    step: int = 0
    least: float = math.nan
    least_step: int | None = None
    greatest: float = math.nan
    greatest_step: int | None = None
    count: int = 0
    nonfinite: int = 0
    course: Course = field(default_factory=Course)

    def add(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Take the next values, which are numbers."""
        array = np.array(values, np.float64)
        self.course.add(array)
        if steps[-1] >= self.step or not self.count:  # no text came later
            self.last, self.step = float(array[-1]), steps[-1]
        finite = np.isfinite(array)
        self.count += len(array)
        self.nonfinite += len(array) - int(finite.sum())
        if finite.any():
            low = int(np.argmin(np.where(finite, array, np.inf)))
            high = int(np.argmax(np.where(finite, array, -np.inf)))
            if not self.least <= array[low]:
                self.least, self.least_step = float(array[low]), steps[low]
            if not self.greatest >= array[high]:
                self.greatest, self.greatest_step = float(array[high]), steps[high]


@dataclass
class Metrics:
    """The rows of the metrics so far.

    Attributes:
      keys: Globs of the keys to keep.
      step: The last step; None without a record.
      seconds: Training time, nan when unknown.
      tokens: How many, None when unknown.
      records: How many rows there were.
      series: By key, in the order first seen.
      more_keys: Keys that are not kept since there are too many.
      damaged: How many lines were no rows.
      damage: The last of these lines, as (number, reason).
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

    def add(self, first: int, rows: Iterable[dict[str, object]]) -> None:
        """Take the next rows, of lines from number `first` on."""
        found: dict[str, tuple[list[int], list[float]]] = {}
        for line, row in enumerate(rows, first):
            if "kind" in row:
                continue
            try:
                row = flat_row(row)
            except (TypeError, ValueError) as error:
                self.pass_over(line, str(error))
                continue
            step = row.get("step")
            if type(step) is not int or not -(2**63) <= step < 2**63:
                self.pass_over(line, "a row without a step of 64 bits")
                continue
            self._fields(step, row)
            for key, value in row.items():
                if key not in RECORD_FIELDS and value is not None:
                    self._value(found, key, step, number(value))
        for key, (steps, values) in found.items():
            self.series[key].add(steps, values)

    def pass_over(self, line: int, reason: str) -> None:
        """Take note of a line that is no row."""
        self.damaged += 1
        self.damage = [*self.damage, (line, reason)][-_MOST_DAMAGED:]

    def _fields(self, step: int, row: Mapping[str, object]) -> None:
        self.records += 1
        self.step = step if self.step is None else max(self.step, step)
        seconds, tokens = number(row.get("time")), row.get("tokens")
        if isinstance(seconds, int | float):
            self.seconds = float(seconds)
        if isinstance(tokens, int):
            self.tokens = tokens

    def _value(
        self,
        found: dict[str, tuple[list[int], list[float]]],
        key: str,
        step: int,
        value: object,
    ) -> None:
        if key not in self.series:
            if not any(fnmatch.fnmatchcase(key, glob) for glob in self.keys):
                return
            if len(self.series) == _MOST_KEYS:
                if len(self.more_keys) < _MOST_KEYS:
                    self.more_keys.add(key)
                return
            self.series[key] = Series()
        try:
            real = float(value) if isinstance(value, int | float) else None
        except OverflowError:
            real = math.inf
        if real is not None:
            steps, values = found.setdefault(key, ([], []))
            steps.append(step)
            values.append(real)
        else:
            text = value if isinstance(value, str) else type(value).__name__
            self.series[key].last = text[:_LONGEST_TEXT]
            self.series[key].step = step


@dataclass
class Events:
    """The events of a run so far.

    Attributes:
      attempt: The last one, None when unknown.
      closed: Whether the last attempt was closed.
      alarms: How many were raised.
      alarm: The last one.
    """

    attempt: int | None = None
    closed: bool = False
    alarms: int = 0
    alarm: Mapping[str, Any] = field(default_factory=dict)

    def add(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Take the next events."""
        for row in rows:
            name, attempt = str(row.get("event")), row.get("attempt")
            if isinstance(attempt, int):
                self.attempt = attempt
            if name in ("start", "close"):
                self.closed = name == "close"
            if name.startswith(("alarm", "health")):
                self.alarms += 1
                self.alarm = row
