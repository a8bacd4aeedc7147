"""State of a run while it goes on, in bounded memory."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jaxmetrics.record import RECORD_FIELDS, Ending, RunEvents, alarm_count, spellings
from jaxmetrics.runs.live._sparkline import RunningMeans
from jaxmetrics.runs.reading import (
    Records,
    as_array,
    importance,
    numbers_of,
    records_of,
)

_MAX_KEYS = 1000
_MAX_DAMAGED_LINES = 3
_MAX_TEXT = 80
_WAITING = 2048  # values of a key that are added up together, for speed
_OPEN_STEPS = 64  # last steps of a key whose values may still be replaced
_OPEN_RECORDS = 256  # last records that further lines may belong to


class Series:
    """Values of one key so far, one for each step, in bounded memory.

    Steps may come in any order, and a step may come again, whose later value counts.
    The values of the last 64 steps are therefore kept, and only those of older steps
    are added up. A value for one of these older steps is one more value.
    """

    def __init__(self) -> None:
        """Begin without values."""
        self._steps = np.zeros(0, np.int64)  # the last steps, ascending
        self._values = np.zeros(0)
        self._older = Statistics()
        self._older_means = RunningMeans()
        self._text: tuple[int, str] | None = None  # unless a number came later
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []  # after all others
        self._count_waiting = 0

    def add(
        self, steps: np.ndarray | Sequence[int], values: np.ndarray | Sequence[float]
    ) -> None:
        """Add the next numbers, at least one.

        Args:
          steps: Step of each number.
          values: The numbers, in the order in which they were logged.
        """
        if self._text is not None and np.max(steps) >= self._text[0]:
            self._text = None
        numbers = np.asarray(steps, np.int64), np.asarray(values, np.float64)
        self._waiting.append(numbers)
        self._count_waiting += len(steps)
        if self._count_waiting >= _WAITING:
            self._add_waiting()

    def add_text(self, step: int, text: str) -> None:
        """Take a text as the last value, unless a later step has a number."""
        if self.step is None or step >= self.step:
            self._text = step, text

    @property
    def last(self) -> float | str:
        """Value of the last step, a number or a text; nan without any."""
        if self._text is not None:
            return self._text[1]
        self._add_waiting()
        return float(self._values[-1]) if len(self._values) else math.nan

    @property
    def step(self) -> int | None:
        """Last step; None without a value."""
        if self._text is not None:
            return self._text[0]
        self._add_waiting()
        return int(self._steps[-1]) if len(self._steps) else None

    @property
    def statistics(self) -> Statistics:
        """Number of the numbers, and their extremes."""
        self._add_waiting()
        return self._older.with_values(self._steps, self._values)

    def means(self) -> RunningMeans:
        """Return the means of the numbers over windows of steps."""
        self._add_waiting()
        means = self._older_means.copy()
        means.add(self._steps, self._values)
        return means

    def to_dict(self) -> dict[str, object]:
        """Return the last value and the statistics; None for unknown extremes."""
        statistics = self.statistics
        finite = statistics.count > statistics.nonfinite
        return {
            "last": self.last,
            "last_step": self.step,
            "min": statistics.min if finite else None,
            "min_step": statistics.min_step,
            "max": statistics.max if finite else None,
            "max_step": statistics.max_step,
            "count": statistics.count,
            "nonfinite": statistics.nonfinite,
        }

    def _add_waiting(self) -> None:
        """Sort in the waiting numbers, and add up those of older steps."""
        if not self._waiting:
            return
        steps, values = zip(*self._waiting)
        self._waiting, self._count_waiting = [], 0
        all_steps = np.concatenate([self._steps, *steps])
        all_values = np.concatenate([self._values, *values])
        if not np.all(all_steps[1:] > all_steps[:-1]):
            order = np.argsort(all_steps, kind="stable")
            all_steps, all_values = all_steps[order], all_values[order]
            last = np.append(all_steps[1:] != all_steps[:-1], True)
            all_steps, all_values = all_steps[last], all_values[last]
        older = max(len(all_steps) - _OPEN_STEPS, 0)
        if older:
            self._older = self._older.with_values(all_steps[:older], all_values[:older])
            self._older_means.add(all_steps[:older], all_values[:older])
        self._steps, self._values = all_steps[older:], all_values[older:]


@dataclass(frozen=True)
class Statistics:
    """Number of values, and their extremes.

    Attributes:
      count: Number of values.
      nonfinite: Number of values that are not finite.
      min: Minimum of the finite values, nan if there are none.
      min_step: Step of the minimum.
      max: Maximum of the finite values, nan if there are none.
      max_step: Step of the maximum.
    """

    count: int = 0
    nonfinite: int = 0
    min: float = math.nan
    min_step: int | None = None
    max: float = math.nan
    max_step: int | None = None

    def with_values(self, steps: np.ndarray, values: np.ndarray) -> Statistics:
        """Return the statistics with further values.

        Args:
          steps: Step of each value, int64 `[n]`.
          values: The values, float64 `[n]`.
        """
        finite = np.isfinite(values)
        count = self.count + len(values)
        nonfinite = self.nonfinite + len(values) - int(finite.sum())
        result = replace(self, count=count, nonfinite=nonfinite)
        if not finite.any():
            return result
        low = int(np.argmin(np.where(finite, values, np.inf)))
        high = int(np.argmax(np.where(finite, values, -np.inf)))
        if not self.min <= values[low]:  # also True if `min` is nan
            result = replace(result, min=float(values[low]), min_step=int(steps[low]))
        if not self.max >= values[high]:
            result = replace(result, max=float(values[high]), max_step=int(steps[high]))
        return result


@dataclass
class Metrics:
    """Records of a run so far.

    Attributes:
      keys: Globs of the keys to keep.
      step: Last step; None without a record.
      seconds: Training time, nan if unknown.
      tokens: Tokens of the training, None if unknown.
      records: Number of records, one for each (step, split).
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
    _recent: dict[tuple[int, str], None] = field(default_factory=dict, repr=False)
    _last: tuple[np.ndarray, Sequence[str]] | None = field(default=None, repr=False)

    def add(self, rows: Sequence[dict[str, object]], number: int = 1) -> None:
        """Add the next rows, those of consecutive lines from line `number` on."""
        records = records_of(rows)
        for index, reason in records.problems:
            self.skip(number + index, reason)
        self._count(records)
        self.seconds = float(np.fmax(self.seconds, records.seconds))
        numbers: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
        for places, columns in records.groups:
            steps = records.steps[places]
            self._add_fields(columns)
            for key, values in columns.items():
                if key in RECORD_FIELDS:
                    continue
                indices, reals, others = numbers_of(values)
                if not (len(reals) or others) or not self._keeps(key):
                    continue
                for index, value in others:
                    self.series[key].add_text(int(steps[index]), _text(value))
                if len(reals):
                    part = (places, steps, reals)
                    if indices is not None:
                        part = (places[indices], steps[indices], reals)
                    numbers.setdefault(key, []).append(part)
        for key, parts in numbers.items():
            places, steps, values = parts[0]
            if len(parts) > 1:
                places, steps, values = map(np.concatenate, zip(*parts))
                order = np.argsort(places)
                steps, values = steps[order], values[order]
            self.series[key].add(steps, values)

    def is_diverged(self) -> bool | None:
        """Return whether the last training loss is not finite; None without one."""
        for name in spellings("train/loss"):
            if name in self.series:
                last = self.series[name].last
                return isinstance(last, float) and not math.isfinite(last)
        return None

    def skip(self, line: int, reason: str) -> None:
        """Count a line that is not a row."""
        self.damaged += 1
        self.damage = sorted([*self.damage, (line, reason)])[-_MAX_DAMAGED_LINES:]

    def _count(self, records: Records) -> None:
        """Count the next records; further lines of recent records are no new ones."""
        steps, splits = records.steps, records.splits
        if not len(steps):
            return
        newest, self.step = self.step, int(steps.max())
        if newest is not None:
            self.step = max(self.step, newest)
        ascending = len(records.names) == 1 and np.all(steps[1:] > steps[:-1])
        if ascending and (newest is None or steps[0] > newest):
            self.records += len(steps)
            if len(steps) >= _OPEN_RECORDS:  # the usual block of a long file
                self._recent, self._last = {}, (steps, splits)
                return
            self._recent_records().update(dict.fromkeys(zip(steps.tolist(), splits)))
        else:
            recent = self._recent_records()
            for record in zip(steps.tolist(), splits):
                if record in recent:
                    del recent[record]  # it is the most recent one again
                else:
                    self.records += 1
                recent[record] = None
                if len(recent) > _OPEN_RECORDS:
                    del recent[next(iter(recent))]
        for record in list(self._recent)[:-_OPEN_RECORDS]:
            del self._recent[record]

    def _recent_records(self) -> dict[tuple[int, str], None]:
        """Return the records that further lines may belong to, the last one last."""
        if self._last is not None:
            steps, splits = self._last
            recent = zip(steps[-_OPEN_RECORDS:].tolist(), splits[-_OPEN_RECORDS:])
            self._recent = dict.fromkeys(recent)
            self._last = None
        return self._recent

    def _add_fields(self, columns: Mapping[str, Sequence[Any]]) -> None:
        times = numbers_of(columns.get("time", ())).numbers
        self.seconds = float(np.fmax.reduce(times, initial=self.seconds))
        tokens = columns.get("tokens", ())
        if set(map(type, tokens)) != {int}:
            tokens = [count for count in tokens if isinstance(count, int)]
        if tokens:
            self.tokens = max(max(tokens), self.tokens or 0)

    def _keeps(self, key: str) -> bool:
        """Return whether a key is kept, with a series from now on."""
        if key in self.series:
            return True
        if not any(fnmatch.fnmatchcase(key, glob) for glob in self.keys):
            return False
        # Losses, which may be logged after very many layers, have room of their own.
        if len(self.series) >= (_MAX_KEYS if importance(key) else 2 * _MAX_KEYS):
            if len(self.more_keys) < _MAX_KEYS:
                self.more_keys.add(key)
            return False
        self.series[key] = Series()
        return True


def _text(value: object) -> str:
    """Return a value that is not a number as a short text."""
    if (array := as_array(value)) is not None:
        value = f"array {'×'.join(map(str, array.shape))}"
    return (value if isinstance(value, str) else type(value).__name__)[:_MAX_TEXT]


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
    _all: RunEvents = field(default_factory=RunEvents, repr=False)

    @property
    def ending(self) -> Ending | None:
        """End of the run; None while it goes on, or if it was killed."""
        return self._all.ending

    def add(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Add the next events."""
        for row in rows:
            self._all.add(row)
            name, attempt = str(row.get("event")), row.get("attempt")
            if isinstance(attempt, int):
                self.attempt = attempt
            if name in ("start", "close"):
                self.closed = name == "close"
            if count := alarm_count(row):
                self.alarms += count
                self.alarm = row
