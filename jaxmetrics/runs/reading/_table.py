"""The rows of a run as compact columns."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmetrics.record import number

FIELDS = ("time", "tokens", "samples")
_FEWEST = 8  # rows that are worth columns
_OTHER_ROWS = frozenset({"kind", "wall_time_ms"})
_NOT_VALUES = frozenset({"kind", "step", "split"})


@dataclass(frozen=True)
class Table:
    """One record for each (step, split), ascending, with the values of each key.

    Attributes:
      steps: The step of each record, int64 `[records]`.
      splits: The split of each record, as an index into `names`, `[records]`.
      names: The names of the splits, in the order first seen.
      columns: By key, in the order first seen: the records that have a value
        (ascending) and the values, float64.
      left_out: How many values that are no numbers, such as texts, a key had.
    """

    steps: np.ndarray
    splits: np.ndarray
    names: tuple[str, ...]
    columns: Mapping[str, tuple[np.ndarray, np.ndarray]]
    left_out: Mapping[str, int]

    def column(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps (int64) and values (float64) of one key."""
        records, values = self.columns[key]
        return self.steps[records], values.copy()

    def dense(self, key: str) -> np.ndarray:
        """The value of each record, nan where it has none: float64 `[records]`."""
        records, values = self.columns[key]
        out = np.full(len(self.steps), np.nan)
        out[records] = values
        return out


class TableBuilder:
    """Takes rows in the order of the file, at 12 bytes a value."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._names: dict[str, int] = {}
        self._steps = array("q")
        self._splits = array("I")
        self._columns: dict[str, tuple[array[int], array[float]]] = {}
        self._left_out: dict[str, int] = {}

    def add(self, row: Mapping[str, object]) -> str | None:
        """Take one row, or say what is wrong with it."""
        step, split = row.get("step"), row.get("split", "train")
        if type(step) is not int or not -(2**63) <= step < 2**63:
            return "a row without a step of 64 bits"
        if not isinstance(split, str):
            return "a row whose split is not a string"
        at = len(self._steps)
        self._steps.append(step)
        self._splits.append(self._names.setdefault(split, len(self._names)))
        for key, value in row.items():
            if key in _NOT_VALUES or value is None:
                continue
            if (real := _real(value)) is None:
                self._left_out[key] = self._left_out.get(key, 0) + 1
                continue
            column = self._columns.get(key)
            if column is None:
                column = self._columns[key] = array("I"), array("d")
            column[0].append(at)
            column[1].append(real)
        return None

    def add_all(self, rows: list[dict[str, object]]) -> bool:
        """Take many rows at once; or none, when some are not plain rows of numbers."""
        if len(rows) < _FEWEST:
            return False
        alike: dict[tuple[str, ...], list[int]] = {}
        for at, row in enumerate(rows):
            alike.setdefault(tuple(row), []).append(at)
        parts = [_Part.of(np.array(at), [rows[i] for i in at]) for at in alike.values()]
        first, number = len(self._steps), len(rows)
        steps, splits = np.empty(number, np.int64), np.empty(number, np.uint32)
        for part in parts:
            if part is None:
                return False
        for split in dict.fromkeys(str(row.get("split", "train")) for row in rows):
            self._names.setdefault(split, len(self._names))
        for part in filter(None, parts):
            steps[part.at] = part.steps
            splits[part.at] = [self._names[split] for split in part.splits]
            for key, values in part.columns.items():
                column = self._columns.setdefault(key, (array("I"), array("d")))
                column[0].frombytes((first + part.at).astype(np.uint32).tobytes())
                column[1].frombytes(values.tobytes())
        self._steps.frombytes(steps.tobytes())
        self._splits.frombytes(splits.tobytes())
        return True

    def table(self) -> Table:
        """The rows taken. A value given twice for a (step, split) is the later one."""
        steps = np.array(self._steps, np.int64)
        splits = np.array(self._splits, np.int32)
        rows, values = {}, {}
        for key, (at, value) in self._columns.items():
            rows[key], values[key] = np.array(at, np.int64), np.array(value, np.float64)
            if np.any(np.diff(rows[key]) < 0):  # rows of several kinds taken at once
                order = np.argsort(rows[key], kind="stable")
                rows[key], values[key] = rows[key][order], values[key][order]
        later, same = steps[1:] > steps[:-1], steps[1:] == steps[:-1]
        if not np.all(later | (same & (splits[1:] > splits[:-1]))):
            order = np.lexsort((splits, steps))  # stable: the later row comes last
            steps, splits = steps[order], splits[order]
            first = np.ones(len(steps), bool)
            first[1:] = (steps[1:] != steps[:-1]) | (splits[1:] != splits[:-1])
            record = np.empty(len(order), np.int64)
            record[order] = np.cumsum(first) - 1
            steps, splits = steps[first], splits[first]
            for key in rows:
                rows[key], values[key] = _last_of_each(record[rows[key]], values[key])
        columns = {key: (rows[key], values[key]) for key in rows}
        return Table(steps, splits, tuple(self._names), columns, self._left_out)


@dataclass(frozen=True)
class _Part:
    """The rows of a block that have the same keys, as columns."""

    at: np.ndarray
    steps: np.ndarray
    splits: list[str]
    columns: dict[str, np.ndarray]

    @classmethod
    def of(cls, at: np.ndarray, rows: list[dict[str, object]]) -> _Part | None:
        """The columns of plain rows of numbers; None of any others."""
        columns: dict[str, Any] = dict(zip(rows[0], zip(*map(dict.values, rows))))
        splits: Any = columns.pop("split", ()) or ("train",) * len(rows)
        steps: Any = columns.pop("step", ())
        if set(map(type, steps)) != {int} or set(map(type, splits)) != {str}:
            return None
        if columns.keys() & _OTHER_ROWS or not all(map(_are_numbers, columns.values())):
            return None
        try:
            arrays = {key: np.array(c, np.float64) for key, c in columns.items()}
            return cls(at, np.array(steps, np.int64), list(splits), arrays)
        except OverflowError:
            return None


def _are_numbers(values: tuple[object, ...]) -> bool:
    return set(map(type, values)) <= {float, int}


def _last_of_each(
    records: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(records, kind="stable")
    records, values = records[order], values[order]
    last = np.ones(len(records), bool)
    last[:-1] = records[1:] != records[:-1]
    return records[last], values[last]


def _real(value: object) -> float | None:
    if isinstance(value, str):
        value = number(value)
    if not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
