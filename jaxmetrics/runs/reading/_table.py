"""Records of a run as compact columns.

`TableBuilder` is fed with the rows of the file, one by one (`add`) or in blocks
(`add_all`). One by one is general and slow: a Python loop over the values of each row.
Most blocks hold nothing but numbers, and their rows have only a few different sets of
keys, such as those of training and evaluation records. `add_all` groups the rows of a
block by their keys and converts each key of a group to an array at once:

    {"step": 1, "split": "train", "train/loss": 2.0}     group 1: indices 0, 2
    {"step": 1, "split": "val", "val/loss": 3.0}         group 2: index 1
    {"step": 2, "split": "train", "train/loss": 1.5}

    columns["train/loss"] += lines [0, 2], values [2.0, 1.5]
    columns["val/loss"]   += lines [1], values [3.0]

It takes a block as a whole or not at all, since the caller passes the rows of a refused
block to `add`. Groups are appended one after the other, so the lines of a key that
several groups share may be out of order; `table` sorts them.

**Joining.** `table` joins all lines of one (step, split) to one record, whatever the
order of the lines. Two lines may have a value for the same step and key: of the same
record, or of the records of two splits, as with a learning rate that both report. In a
record the later line counts. A column has one value for each step, that of the later
line; the values of other splits at that step stay in their records, and are hidden in
the column:

    line 0  {"step": 2, "split": "val", "lr/lr": 0.1}       record 1, hidden
    line 1  {"step": 1, "split": "train", "lr/lr": 0.3}     record 0
    line 2  {"step": 2, "split": "train", "lr/lr": 0.2}     record 2, which counts

`time` is the exception: the first line counts, since the later one of a step may come
long after it, when an evaluation has finished.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.record import number

FIELDS = ("time", "tokens", "samples")
"""Columns that describe a record and are not metrics."""

_FIRST_COUNTS = "time"
_MIN_BLOCK = 8  # fewer rows are faster one by one
_SPECIAL_KEYS = frozenset({"kind", "wall_time_ms"})  # rows that need `as_record_row`
_NOT_VALUES = frozenset({"kind", "step", "split"})


class Column(NamedTuple):
    """Values of one key.

    Attributes:
      records: Indices of the records that have a value, ascending.
      values: Values of these records: float64, or a list of float64 arrays.
      shown: Which of them count where several records of a step have a value, bool;
        None if each step has one.
    """

    records: np.ndarray
    values: Any
    shown: np.ndarray | None = None


class Conflict(NamedTuple):
    """Steps at which several lines have different values of one key.

    Attributes:
      steps: Number of these steps.
      first: First of these steps.
    """

    steps: int
    first: int


@dataclass(frozen=True)
class Table:
    """One record for each (step, split), in ascending order, and the values by key.

    Attributes:
      steps: Step of each record, int64 `[records]`.
      splits: Split of each record, as an index into `names`, `[records]`.
      names: Names of the splits, in the order first seen.
      columns: Numbers by key, in the order first seen.
      arrays: Arrays by key, likewise.
      left_out: Number of values by key that are neither numbers nor arrays of numbers,
        such as texts.
      conflicts: Keys with different values for one step.
      seconds: Largest time of all lines, nan if there is none.
    """

    steps: np.ndarray
    splits: np.ndarray
    names: tuple[str, ...]
    columns: Mapping[str, Column]
    arrays: Mapping[str, Column]
    left_out: Mapping[str, int]
    conflicts: Mapping[str, Conflict]
    seconds: float

    def values(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the records and values of one key, one for each step."""
        records, values, shown = self.columns[key]
        return (records, values) if shown is None else (records[shown], values[shown])

    def column(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps (int64, ascending) and values (float64) of one key."""
        records, values = self.values(key)
        return self.steps[records], values.copy()

    def array_column(self, key: str) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the steps (int64, ascending) and arrays (float64) of one key."""
        records, arrays, shown = self.arrays[key]
        counting = np.arange(len(records)) if shown is None else np.flatnonzero(shown)
        return self.steps[records[counting]], [arrays[i] for i in counting]

    def dense(self, key: str) -> np.ndarray:
        """Return one value per record, nan if it has none: float64 `[records]`."""
        records, values, _ = self.columns[key]
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
        self._arrays: dict[str, tuple[array[int], list[np.ndarray]]] = {}
        self._left_out: dict[str, int] = {}

    def add(self, row: Mapping[str, object]) -> str | None:
        """Add one row; return a description of the problem if it is not a record."""
        step, split = row.get("step"), row.get("split", "train")
        if type(step) is not int or not -(2**63) <= step < 2**63:
            return "a row without a step of 64 bits"
        if not isinstance(split, str):
            return "a row whose split is not a string"
        line = len(self._steps)
        self._steps.append(step)
        self._splits.append(self._names.setdefault(split, len(self._names)))
        for key, value in row.items():
            if key in _NOT_VALUES or value is None:
                continue
            if (real := as_float(value)) is not None:
                column = self._columns.get(key)
                if column is None:
                    column = self._columns[key] = array("I"), array("d")
                column[0].append(line)
                column[1].append(real)
            elif key not in FIELDS and (values := as_array(value)) is not None:
                arrays = self._arrays.setdefault(key, (array("I"), []))
                arrays[0].append(line)
                arrays[1].append(values)
            else:
                self._left_out[key] = self._left_out.get(key, 0) + 1
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
                lines = (first + part.indices).astype(np.uint32)
                column[0].frombytes(lines.tobytes())
                column[1].frombytes(values.tobytes())
        self._steps.frombytes(steps.tobytes())
        self._splits.frombytes(splits.tobytes())
        return True

    def table(self) -> Table:
        """Return the table, with the lines of each (step, split) joined."""
        lines = _Lines(
            np.array(self._steps, np.int64), np.array(self._splits, np.int32)
        )
        columns: dict[str, Column] = {}
        arrays: dict[str, Column] = {}
        conflicts: dict[str, Conflict] = {}
        seconds = math.nan
        for key, (numbers, reals) in self._columns.items():
            indices, values = np.array(numbers, np.int64), np.array(reals, np.float64)
            if np.any(np.diff(indices) < 0):  # groups of `add_all` share the key
                order = np.argsort(indices, kind="stable")
                indices, values = indices[order], values[order]
            join = lines.join(indices, first_counts=key == _FIRST_COUNTS)
            columns[key] = Column(join.records, values[join.kept], join.shown)
            if key == _FIRST_COUNTS:
                seconds = float(np.max(values))
            elif len(join.again):
                before, after = values[join.before], values[join.again]
                equal = (before == after) | (np.isnan(before) & np.isnan(after))
                _note_conflicts(conflicts, key, lines.steps[indices[join.again]], equal)
        for key, (numbers, several) in self._arrays.items():
            indices = np.array(numbers, np.int64)
            join = lines.join(indices)
            kept = [several[i] for i in join.kept]
            arrays[key] = Column(join.records, kept, join.shown)
            if len(join.again):
                pairs = zip(join.before, join.again)
                equal = [np.array_equal(several[i], several[j], True) for i, j in pairs]
                steps = lines.steps[indices[join.again]]
                _note_conflicts(conflicts, key, steps, np.array(equal))
        return Table(
            *(lines.record_steps, lines.record_splits, tuple(self._names)),
            *(columns, arrays, self._left_out, conflicts, seconds),
        )


class _Join(NamedTuple):
    """Result of joining the values of one key, which are in the order of the lines.

    Attributes:
      records: Indices of the records that have a value, ascending.
      kept: Index of the value of each of them.
      shown: Which of them count in the column; None for all.
      again: Indices of the values whose step an earlier line had too.
      before: Indices of the values of these earlier lines.
    """

    records: np.ndarray
    kept: np.ndarray
    shown: np.ndarray | None
    again: np.ndarray
    before: np.ndarray


class _Lines:
    """Steps and splits of all lines, and the records that they are joined to.

    Attributes:
      steps: Step of each line, int64 `[lines]`.
      record_steps: Step of each record, ascending, `[records]`.
      record_splits: Split of each record, ascending within a step, `[records]`.
    """

    def __init__(self, steps: np.ndarray, splits: np.ndarray) -> None:
        self.steps = self.record_steps = steps
        self.record_splits = splits
        self._record_of_line: np.ndarray | None = None  # None: a record for each line
        later, same = steps[1:] > steps[:-1], steps[1:] == steps[:-1]
        if np.all(later | (same & (splits[1:] > splits[:-1]))):
            return
        order = np.lexsort((splits, steps))
        sorted_steps, sorted_splits = steps[order], splits[order]
        first = np.ones(len(steps), bool)
        first[1:] = sorted_steps[1:] != sorted_steps[:-1]
        first[1:] |= sorted_splits[1:] != sorted_splits[:-1]
        self._record_of_line = np.empty(len(order), np.int64)
        self._record_of_line[order] = np.cumsum(first) - 1
        self.record_steps, self.record_splits = (
            sorted_steps[first],
            sorted_splits[first],
        )

    def join(self, lines: np.ndarray, first_counts: bool = False) -> _Join:
        """Join the values of a key.

        Args:
          lines: Lines that have a value, ascending, at least one.
          first_counts: Of several values for a step the first one counts, not the last.
        """
        records, steps = lines, self.steps[lines]
        if self._record_of_line is not None:
            records = self._record_of_line[lines]
        none = np.zeros(0, np.int64)
        if np.all(steps[1:] > steps[:-1]):
            return _Join(records, np.arange(len(lines)), None, none, none)
        order = np.argsort(records, kind="stable")
        by_record = records[order]
        edges = by_record[1:] != by_record[:-1]
        ends = np.append(True, edges) if first_counts else np.append(edges, True)
        kept = order[ends]
        kept_steps, kept_lines, shown = steps[kept], lines[kept], None
        if np.any(kept_steps[1:] == kept_steps[:-1]):
            starts = np.flatnonzero(np.append(True, kept_steps[1:] != kept_steps[:-1]))
            pick = np.minimum if first_counts else np.maximum
            counting = pick.reduceat(kept_lines, starts)
            lengths = np.diff(np.append(starts, len(kept)))
            shown = kept_lines == np.repeat(counting, lengths)
        order = np.argsort(steps, kind="stable")
        repeated = np.flatnonzero(steps[order][1:] == steps[order][:-1])
        again, before = order[repeated + 1], order[repeated]
        return _Join(records[kept], kept, shown, again, before)


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


def _note_conflicts(
    conflicts: dict[str, Conflict], key: str, steps: np.ndarray, equal: np.ndarray
) -> None:
    """Add the conflicts of a key, if there are any.

    Args:
      conflicts: Conflicts by key.
      key: The key.
      steps: Step of each pair of values for the same step.
      equal: Whether the values of the pair are equal.
    """
    if not equal.all():
        differing = np.unique(steps[~equal])
        conflicts[key] = Conflict(len(differing), int(differing[0]))


def as_array(value: object) -> np.ndarray | None:
    """Return nested lists of numbers as a float64 array, None for anything else.

    Numbers that JSON holds as texts, such as `"NaN"`, are numbers here too.

    >>> as_array([[1, "NaN"], [2, 3]])
    array([[ 1., nan],
           [ 2.,  3.]])
    >>> as_array([[1], [2, 3]]) is as_array(["text"]) is as_array(0.5) is None
    True
    """
    if not isinstance(value, list):
        return None
    try:
        values = np.array(value)
        if values.dtype.kind not in "biuf":  # with texts or large integers
            values = np.array(_as_floats(value))
        values = values.astype(np.float64)
    except (ValueError, TypeError):  # lists of different lengths, other values
        return None
    values.setflags(write=False)
    return values


def _as_floats(value: object) -> Any:
    """Return nested lists of floats; refuse everything else with a TypeError."""
    if isinstance(value, list):
        return [_as_floats(item) for item in value]
    if (real := as_float(value)) is None:
        raise TypeError
    return real


def as_float(value: object) -> float | None:
    """Return a number, or a text that stands for one, as a float; None for others.

    >>> as_float(3), as_float("-Infinity"), as_float("3")
    (3.0, -inf, None)
    """
    if isinstance(value, str):
        value = number(value)
    if not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
