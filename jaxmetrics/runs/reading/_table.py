"""Records of a run as compact columns.

`TableBuilder` is fed with the rows of the file, one by one (`add`) or in blocks
(`add_all`). One by one is general and slow: a Python loop over the values of each row.
Most blocks hold nothing but numbers, and their rows have only a few different sets of
keys, such as those of training and evaluation records. `add_all` groups the rows of a
block by their keys and converts each key of a group to an array at once:

    {"step": 1, "split": "train", "train/loss": 2.0}     group 1: indices 0, 2
    {"step": 1, "split": "val", "val/loss": 3.0}         group 2: index 1
    {"step": 2, "split": "train", "train/loss": 1.5}

    columns["train/loss"] += records [0, 2], values [2.0, 1.5]
    columns["val/loss"]   += records [1], values [3.0]

It takes a block as a whole or not at all, since the caller passes the rows of a refused
block to `add`. Groups are appended one after the other, so the record indices of a key
that several groups share may be out of order; `table` sorts them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmetrics.record import number

FIELDS = ("time", "tokens", "samples")
"""Columns that describe a record and are not metrics."""

_MIN_BLOCK = 8  # fewer rows are faster one by one
_SPECIAL_KEYS = frozenset({"kind", "wall_time_ms"})  # rows that need `as_record_row`
_NOT_VALUES = frozenset({"kind", "step", "split"})


@dataclass(frozen=True)
class Table:
    """One record for each (step, split), in ascending order, and the values by key.

    Attributes:
      steps: Step of each record, int64 `[records]`.
      splits: Split of each record, as an index into `names`, `[records]`.
      names: Names of the splits, in the order first seen.
      columns: By key, in the order first seen: indices of the records that have a
        value (ascending), and the values, float64.
      left_out: Number of values by key that are not numbers, such as texts.
    """

    steps: np.ndarray
    splits: np.ndarray
    names: tuple[str, ...]
    columns: Mapping[str, tuple[np.ndarray, np.ndarray]]
    left_out: Mapping[str, int]

    def column(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps (int64) and values (float64) of one key."""
        records, values = self.columns[key]
        return self.steps[records], values.copy()

    def dense(self, key: str) -> np.ndarray:
        """Return one value per record, nan if it has none: float64 `[records]`."""
        records, values = self.columns[key]
        out = np.full(len(self.steps), np.nan)
        out[records] = values
        return out


class TableBuilder:
    """Builder of a table from rows in the order of the file, at 12 bytes a value."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._names: dict[str, int] = {}
        self._steps = array("q")
        self._splits = array("I")
        self._columns: dict[str, tuple[array[int], array[float]]] = {}
        self._left_out: dict[str, int] = {}

    def add(self, row: Mapping[str, object]) -> str | None:
        """Add one row; return a description of the problem if it is not a record."""
        step, split = row.get("step"), row.get("split", "train")
        if type(step) is not int or not -(2**63) <= step < 2**63:
            return "a row without a step of 64 bits"
        if not isinstance(split, str):
            return "a row whose split is not a string"
        record = len(self._steps)
        self._steps.append(step)
        self._splits.append(self._names.setdefault(split, len(self._names)))
        for key, value in row.items():
            if key in _NOT_VALUES or value is None:
                continue
            if (real := _as_float(value)) is None:
                self._left_out[key] = self._left_out.get(key, 0) + 1
                continue
            column = self._columns.get(key)
            if column is None:
                column = self._columns[key] = array("I"), array("d")
            column[0].append(record)
            column[1].append(real)
        return None

    def add_all(self, rows: list[dict[str, object]]) -> bool:
        """Add all rows of a block, or none of them; return whether they were added.

        None are added if a row has anything but numbers, or if there are too few rows
        for arrays to be worthwhile.
        """
        if len(rows) < _MIN_BLOCK:
            return False
        indices_by_keys: dict[tuple[str, ...], list[int]] = {}
        for index, row in enumerate(rows):
            indices_by_keys.setdefault(tuple(row), []).append(index)
        parts: list[_Part] = []
        for indices in indices_by_keys.values():
            part = _Part.of(np.array(indices), [rows[i] for i in indices])
            if part is None:
                return False
            parts.append(part)
        first, count = len(self._steps), len(rows)
        steps, splits = np.empty(count, np.int64), np.empty(count, np.uint32)
        for split in dict.fromkeys(str(row.get("split", "train")) for row in rows):
            self._names.setdefault(split, len(self._names))
        for part in parts:
            steps[part.indices] = part.steps
            splits[part.indices] = [self._names[split] for split in part.splits]
            for key, values in part.columns.items():
                column = self._columns.setdefault(key, (array("I"), array("d")))
                records = (first + part.indices).astype(np.uint32)
                column[0].frombytes(records.tobytes())
                column[1].frombytes(values.tobytes())
        self._steps.frombytes(steps.tobytes())
        self._splits.frombytes(splits.tobytes())
        return True

    def table(self) -> Table:
        """Return the table; of two values for a key of a (step, split) the later one.

        Rows may be in any order of steps, and a (step, split) may have several rows.
        """
        steps = np.array(self._steps, np.int64)
        splits = np.array(self._splits, np.int32)
        records, values = {}, {}
        for key, (rows, value) in self._columns.items():
            records[key] = np.array(rows, np.int64)
            values[key] = np.array(value, np.float64)
            if np.any(np.diff(records[key]) < 0):  # groups of `add_all` share the key
                order = np.argsort(records[key], kind="stable")
                records[key], values[key] = records[key][order], values[key][order]
        later, same = steps[1:] > steps[:-1], steps[1:] == steps[:-1]
        if not np.all(later | (same & (splits[1:] > splits[:-1]))):
            order = np.lexsort((splits, steps))  # stable: the later row comes last
            steps, splits = steps[order], splits[order]
            first = np.ones(len(steps), bool)
            first[1:] = (steps[1:] != steps[:-1]) | (splits[1:] != splits[:-1])
            record_of_row = np.empty(len(order), np.int64)
            record_of_row[order] = np.cumsum(first) - 1
            steps, splits = steps[first], splits[first]
            for key in records:
                records[key], values[key] = _last_per_record(
                    record_of_row[records[key]], values[key]
                )
        columns = {key: (records[key], values[key]) for key in records}
        return Table(steps, splits, tuple(self._names), columns, self._left_out)


@dataclass(frozen=True)
class _Part:
    """Rows of a block that have the same keys, as columns.

    Attributes:
      indices: Indices of the rows in the block.
      steps: Step of each row.
      splits: Split of each row.
      columns: Values of each row by key.
    """

    indices: np.ndarray
    steps: np.ndarray
    splits: list[str]
    columns: dict[str, np.ndarray]

    @classmethod
    def of(cls, indices: np.ndarray, rows: list[dict[str, object]]) -> _Part | None:
        """Return the columns of rows with equal keys, None if not all are numbers."""
        columns: dict[str, Any] = dict(zip(rows[0], zip(*map(dict.values, rows))))
        splits: Any = columns.pop("split", ()) or ("train",) * len(rows)
        steps: Any = columns.pop("step", ())
        if set(map(type, steps)) != {int} or set(map(type, splits)) != {str}:
            return None
        if columns.keys() & _SPECIAL_KEYS or not all(
            map(_are_numbers, columns.values())
        ):
            return None
        try:
            arrays = {key: np.array(c, np.float64) for key, c in columns.items()}
            return cls(indices, np.array(steps, np.int64), list(splits), arrays)
        except OverflowError:
            return None


def _are_numbers(values: tuple[object, ...]) -> bool:
    return set(map(type, values)) <= {float, int}


def _last_per_record(
    records: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(records, kind="stable")
    records, values = records[order], values[order]
    last = np.ones(len(records), bool)
    last[:-1] = records[1:] != records[:-1]
    return records[last], values[last]


def _as_float(value: object) -> float | None:
    if isinstance(value, str):
        value = number(value)
    if not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
