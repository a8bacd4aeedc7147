"""The rows of a run as compact columns."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jaxmetrics.record import number

FIELDS = ("time", "tokens", "samples")
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
    """

    steps: np.ndarray
    splits: np.ndarray
    names: tuple[str, ...]
    columns: Mapping[str, tuple[np.ndarray, np.ndarray]]

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
            if key in _NOT_VALUES or (real := _real(value)) is None:
                continue
            column = self._columns.get(key)
            if column is None:
                column = self._columns[key] = array("I"), array("d")
            column[0].append(at)
            column[1].append(real)
        return None

    def table(self) -> Table:
        """The rows taken. A value given twice for a (step, split) is the later one."""
        steps = np.array(self._steps, np.int64)
        splits = np.array(self._splits, np.int32)
        rows = {key: np.array(at, np.int64) for key, (at, _) in self._columns.items()}
        values = {key: np.array(v, np.float64) for key, (_, v) in self._columns.items()}
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
        return Table(steps, splits, tuple(self._names), columns)


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
