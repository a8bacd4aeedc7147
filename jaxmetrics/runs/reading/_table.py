"""Records of a run as compact columns.

`TableBuilder` is fed with blocks of rows, in the order of the file. Groups of rows with
the same keys are appended one after the other (`_columns`), so the lines of a key that
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.runs.reading._columns import (
    Group,
    as_float,
    numbers_of,
    records_of,
)

FIELDS = ("time", "tokens", "samples")
"""Columns that describe a record and are not metrics."""

_FIRST_COUNTS = "time"


class Column(NamedTuple):
    """Values of one key.

    Attributes:
      records: Indices of the records that have a value, ascending.
      values: Values of these records: float64, or a list of arrays.
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
        """Return the steps (int64, ascending) and arrays of one key."""
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
        self._splits = array("i")
        self._columns: dict[str, tuple[array[int], array[float]]] = {}
        self._arrays: dict[str, tuple[array[int], list[np.ndarray]]] = {}
        self._left_out: dict[str, int] = {}
        self._seconds = math.nan

    def add(self, rows: Sequence[dict[str, object]]) -> list[tuple[int, str]]:
        """Add the records of a block of rows, in which media are ignored.

        Returns:
          What is wrong with the other rows, by index in the block.
        """
        records = records_of(rows)
        self._seconds = float(np.fmax(self._seconds, records.seconds))
        for group in records.groups:
            self._add_values(group)
        indices = [self._names.setdefault(n, len(self._names)) for n in records.names]
        if len(indices) == 1:
            self._splits.extend(array("i", indices) * len(records.steps))
        else:
            self._splits.extend(map(self._names.__getitem__, records.splits))
        self._steps.frombytes(records.steps.tobytes())
        return records.problems

    def _add_values(self, group: Group) -> None:
        """Add the values of records, of which the steps are added later."""
        lines = (group.places + len(self._steps)).astype(np.uint32)
        all_lines = lines.tobytes()
        for key, values in group.columns.items():
            indices, numbers, others = numbers_of(values)
            if len(numbers):
                column = self._columns.get(key)
                if column is None:
                    column = self._columns[key] = array("I"), array("d")
                column[0].frombytes(
                    all_lines if indices is None else lines[indices].tobytes()
                )
                column[1].frombytes(numbers.tobytes())
            for index, value in others:
                values_ = None if key in FIELDS else as_array(value)
                if values_ is None:
                    self._left_out[key] = self._left_out.get(key, 0) + 1
                    continue
                arrays = self._arrays.setdefault(key, (array("I"), []))
                arrays[0].append(int(lines[index]))
                arrays[1].append(values_)

    def table(self) -> Table:
        """Return the table, with the lines of each (step, split) joined.

        It shares memory with the builder, to which nothing can be added any more.
        """
        lines = _Lines(
            np.frombuffer(self._steps, np.int64), np.frombuffer(self._splits, np.int32)
        )
        columns: dict[str, Column] = {}
        arrays: dict[str, Column] = {}
        conflicts: dict[str, Conflict] = {}
        for key, (numbers, reals) in self._columns.items():
            columns[key] = _joined(
                *(lines, key, np.frombuffer(numbers, np.uint32)),
                *(np.frombuffer(reals, np.float64), conflicts),
            )
        for key, (numbers, several) in self._arrays.items():
            indices = np.frombuffer(numbers, np.uint32)
            arrays[key] = _joined_arrays(lines, key, indices, several, conflicts)
        return self._as_table(lines, columns, arrays, conflicts)

    def snapshot(self) -> Table:
        """Return the table so far; more can be added, which the table does not get.

        A column is joined, from a copy, when it is first read. That has to happen under
        the lock of those who add. `conflicts` is empty.
        """
        lines = _Lines(np.array(self._steps), np.array(self._splits))
        counts = {key: len(numbers) for key, (numbers, _) in self._columns.items()}
        of_arrays = {key: len(numbers) for key, (numbers, _) in self._arrays.items()}

        def column(key: str) -> Column:
            numbers, reals = self._columns[key]
            indices = np.frombuffer(numbers, np.uint32, counts[key]).copy()
            values = np.frombuffer(reals, np.float64, counts[key]).copy()
            return _joined(lines, key, indices, values, {})

        def array_column(key: str) -> Column:
            numbers, several = self._arrays[key]
            indices = np.frombuffer(numbers, np.uint32, of_arrays[key]).copy()
            return _joined_arrays(lines, key, indices, several[: len(indices)], {})

        columns = _Lazily(tuple(counts), column)
        return self._as_table(
            lines, columns, _Lazily(tuple(of_arrays), array_column), {}
        )

    @property
    def nbytes(self) -> int:
        """Size of the values in bytes, about."""
        count = sum(len(numbers) for numbers, _ in self._columns.values())
        of_arrays = sum(
            array.nbytes for _, several in self._arrays.values() for array in several
        )
        return 12 * (len(self._steps) + count) + of_arrays

    def _as_table(
        self,
        lines: _Lines,
        columns: Mapping[str, Column],
        arrays: Mapping[str, Column],
        conflicts: Mapping[str, Conflict],
    ) -> Table:
        names, seconds = tuple(self._names), self._seconds
        if _FIRST_COUNTS in columns:
            times = np.asarray(self._columns[_FIRST_COUNTS][1])
            seconds = float(np.fmax.reduce(times, initial=seconds))
        return Table(
            *(lines.record_steps, lines.record_splits, names, columns, arrays),
            *(dict(self._left_out), conflicts, seconds),
        )


class _Lazily(Mapping[str, Column]):
    """Columns that are joined when they are first read."""

    def __init__(self, keys: tuple[str, ...], join: Callable[[str], Column]) -> None:
        self._keys = dict.fromkeys(keys)
        self._join = join
        self._joined: dict[str, Column] = {}

    def __getitem__(self, key: str) -> Column:
        if key not in self._keys:
            raise KeyError(key)
        if key not in self._joined:
            self._joined[key] = self._join(key)
        return self._joined[key]

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _joined(
    lines: _Lines,
    key: str,
    numbers: np.ndarray,
    values: np.ndarray,
    conflicts: dict[str, Conflict],
) -> Column:
    """Return the column of a key, and note its conflicts.

    Args:
      lines: All lines.
      key: The key.
      numbers: Line of each value, uint32.
      values: The values, in the same order.
      conflicts: Conflicts by key, to which those of this key are added.
    """
    indices, order = lines.sort(numbers)
    if order is not None:
        values = values[order]
    join = lines.join(indices, first_counts=key == _FIRST_COUNTS)
    if key != _FIRST_COUNTS and len(join.again):
        before, after = values[join.before], values[join.again]
        equal = (before == after) | (np.isnan(before) & np.isnan(after))
        _note_conflicts(conflicts, key, lines.steps[indices[join.again]], equal)
    return Column(join.records, values[join.kept], join.shown)


def _joined_arrays(
    lines: _Lines,
    key: str,
    numbers: np.ndarray,
    several: list[np.ndarray],
    conflicts: dict[str, Conflict],
) -> Column:
    """Return the column of a key of arrays, as `_joined`."""
    indices, order = lines.sort(numbers)
    if order is not None:
        several = [several[i] for i in order]
    join = lines.join(indices)
    kept = [several[i] for i in np.arange(len(several))[join.kept]]
    if len(join.again):
        pairs = zip(join.before, join.again)
        equal = [np.array_equal(several[i], several[j], True) for i, j in pairs]
        steps = lines.steps[indices[join.again]]
        _note_conflicts(conflicts, key, steps, np.array(equal))
    return Column(join.records, kept, join.shown)


class _Join(NamedTuple):
    """Result of joining the values of one key, which are in the order of the lines.

    Attributes:
      records: Indices of the records that have a value, ascending.
      kept: Indices of the values of these records.
      shown: Which of them count in the column; None for all.
      again: Indices of the values whose step an earlier line had too.
      before: Indices of the values of these earlier lines.
    """

    records: np.ndarray
    kept: np.ndarray | slice
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
        self._all = np.arange(len(steps))
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

    def sort(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return different lines in ascending order, and the order of the indices.

        The order is None if they are ascending, which they are unless several groups of
        `TableBuilder.add` share a key. All lines are one shared array.
        """
        order = None
        if np.any(indices[1:] < indices[:-1]):
            order = np.argsort(indices, kind="stable")
        if len(indices) == len(self._all):
            return self._all, order
        return (indices if order is None else indices[order]).astype(np.int64), order

    def join(self, lines: np.ndarray, first_counts: bool = False) -> _Join:
        """Join the values of a key.

        Args:
          lines: Lines that have a value, ascending, at least one.
          first_counts: Of several values for a step the first one counts, not the last.
        """
        records = lines
        steps = self.steps if lines is self._all else self.steps[lines]
        if self._record_of_line is not None:
            records = self._record_of_line[lines]
        none = np.zeros(0, np.int64)
        if np.all(steps[1:] > steps[:-1]):
            return _Join(records, slice(None), None, none, none)
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
    """Return nested lists of numbers as an array, None for anything else.

    Integers of 64 bits are int64, all other numbers float64. Numbers that JSON holds as
    texts, such as `"NaN"`, are numbers here too.

    >>> as_array([[1, "NaN"], [2, 3]])
    array([[ 1., nan],
           [ 2.,  3.]])
    >>> as_array([[1, 0], [2, 3]])
    array([[1, 0],
           [2, 3]])
    >>> as_array([[1], [2, 3]]) is as_array(["text"]) is as_array(0.5) is None
    True
    """
    if not isinstance(value, list):
        return None
    try:
        values = np.array(value)
        if values.dtype.kind not in "bif":  # with texts or large integers
            values = np.array(_as_floats(value))
        is_whole = values.dtype.kind in "bi"
        values = values.astype(np.int64 if is_whole else np.float64)
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
