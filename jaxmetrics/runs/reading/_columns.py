"""Rows of a file as columns, a block of them at once.

Most rows hold nothing but numbers, and have only a few different sets of keys, such as
those of training and evaluation records. The rows of a block are grouped by their keys,
and each key of a group is converted to an array at once:

    {"step": 1, "split": "train", "train/loss": 2.0}     group 1: rows 0, 2
    {"step": 1, "split": "val", "val/loss": 3.0}         group 2: row 1
    {"step": 2, "split": "train", "train/loss": "NaN"}

    steps [1, 1, 2], splits ["train", "val", "train"]
    group 1: places [0, 2], columns {"train/loss": [2.0, "NaN"]}
    group 2: places [1], columns {"val/loss": [3.0]}

A value that is no number, or a row that is no record, costs no other row its speed.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.record import number
from jaxmetrics.runs.reading._record_rows import as_record_row, is_record_row

_NOT_VALUES = ("kind", "step", "split")


class Group(NamedTuple):
    """Records of a block that have the same keys.

    Attributes:
      places: Their places among all records of the block, ascending, int64.
      columns: Value of each record by key, without step and split.
    """

    places: np.ndarray
    columns: dict[str, Sequence[Any]]


class Records(NamedTuple):
    """Records of a block of rows.

    Attributes:
      steps: Step of each record, int64 `[records]`, in the order of the rows.
      splits: Split of each record.
      names: Different splits, in the order first seen.
      groups: The values.
      problems: Index of each row that should be a record and is none, ascending, and
        what is wrong with it.
      seconds: Largest time of the rows that are no records, such as media; nan if
        there is none.
    """

    steps: np.ndarray
    splits: Sequence[str]
    names: Sequence[str]
    groups: list[Group]
    problems: list[tuple[int, str]]
    seconds: float


class Numbers(NamedTuple):
    """Values of a column, sorted by what they are. None is left out.

    Attributes:
      indices: Indices of the numbers, ascending, int64; None for all values.
      numbers: The numbers, float64.
      others: Indices of the values that are no numbers, ascending, and these values.
    """

    indices: np.ndarray | None
    numbers: np.ndarray
    others: list[tuple[int, Any]]


def records_of(rows: Sequence[dict[str, object]]) -> Records:
    """Return the records of a block of rows.

    Rows that have a kind, such as media, are no records. Rows of other files get the
    form of records.
    """
    parts: list[_Part] = []
    problems: list[tuple[int, str]] = []
    seconds = np.nan
    for indices, columns in _groups(rows):
        if "kind" in columns:
            _, times, _ = numbers_of(columns.get("time", ()))
            seconds = float(np.fmax.reduce(times, initial=seconds))
            continue
        if is_record_row(columns):
            parts += _parts(indices, columns, problems)
            continue
        converted: list[dict[str, object]] = []
        kept: list[int] = []
        for index in indices.tolist():
            try:
                converted.append(as_record_row(rows[index]))
                kept.append(index)
            except (TypeError, ValueError) as error:
                problems.append((index, str(error)))
        for group, columns in _groups(converted):
            parts += _parts(np.array(kept)[group], columns, problems)
    if len(parts) == 1:
        _, steps, splits, names, columns = parts[0]
        groups = [Group(np.arange(len(steps)), columns)]
        return Records(steps, splits, names, groups, sorted(problems), seconds)
    ordered = np.sort(np.concatenate([np.zeros(0, np.int64), *(p[0] for p in parts)]))
    steps, splits = np.empty(len(ordered), np.int64), np.empty(len(ordered), object)
    groups = []
    for part in parts:
        places = np.searchsorted(ordered, part.indices)
        steps[places], splits[places] = part.steps, part.splits
        groups.append(Group(places, part.columns))
    names = list(dict.fromkeys(splits.tolist()))
    return Records(steps, splits.tolist(), names, groups, sorted(problems), seconds)


def numbers_of(values: Sequence[Any]) -> Numbers:
    """Sort the values of a column; texts that stand for numbers are numbers.

    >>> numbers_of([1, "NaN", None, "text"])
    Numbers(indices=array([0, 1]), numbers=array([ 1., nan]), others=[(3, 'text')])
    """
    try:
        return Numbers(None, np.frombuffer(array("d", values)), [])
    except (TypeError, OverflowError):
        pass
    reals = [v if type(v) is float else as_float(v) for v in values]
    indices = [index for index, real in enumerate(reals) if real is not None]
    others = [
        (index, values[index])
        for index, real in enumerate(reals)
        if real is None and values[index] is not None
    ]
    numbers = np.array([reals[index] for index in indices], np.float64)
    all_of_them = len(indices) == len(values)
    return Numbers(
        None if all_of_them else np.array(indices, np.int64), numbers, others
    )


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


def _groups(
    rows: Sequence[dict[str, Any]],
) -> Iterator[tuple[np.ndarray, dict[str, Sequence[Any]]]]:
    """Yield the indices and columns of the rows that have the same keys."""
    if len(set(map(len, rows))) == 1:
        try:
            columns = _columns(rows)
        except KeyError:  # as many other keys
            pass
        else:
            yield np.arange(len(rows)), columns
            return
    indices_by_keys: dict[tuple[str, ...], list[int]] = {}
    for index, row in enumerate(rows):
        indices_by_keys.setdefault(tuple(row), []).append(index)
    for indices in indices_by_keys.values():
        yield np.array(indices), _columns([rows[index] for index in indices])


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Return the values of rows by the keys of the first one.

    Raises:
      KeyError: A row has other keys.
    """
    keys = list(rows[0])
    if len(keys) < 2:  # for which `itemgetter` returns no tuples
        return {key: [row[key] for row in rows] for key in keys}
    return dict(zip(keys, zip(*map(itemgetter(*keys), rows))))


class _Part(NamedTuple):
    """Records that have the same keys.

    Attributes:
      indices: Indices of their rows, ascending, int64.
      steps: Step of each.
      splits: Split of each.
      names: Different splits, in the order first seen.
      columns: Value of each by key.
    """

    indices: np.ndarray
    steps: np.ndarray
    splits: Sequence[str]
    names: Sequence[str]
    columns: dict[str, Sequence[Any]]


def _parts(
    indices: np.ndarray,
    columns: dict[str, Sequence[Any]],
    problems: list[tuple[int, str]],
) -> list[_Part]:
    """Return the records among rows with the same keys, and add what is wrong.

    Args:
      indices: Indices of the rows.
      columns: Value of each row by key.
      problems: Index of each row that is no record, and what is wrong with it.
    """
    steps = columns.get("step", [None] * len(indices))
    splits = columns.get("split", ["train"] * len(indices))
    columns = {key: c for key, c in columns.items() if key not in _NOT_VALUES}
    try:
        names = list(dict.fromkeys(splits))
        if set(map(type, steps)) == {int} and set(map(type, names)) == {str}:
            integers = np.frombuffer(array("q", steps), np.int64)
            return [_Part(indices, integers, splits, names, columns)]
    except (OverflowError, TypeError):  # a step beyond 64 bits, a split that is a list
        pass
    reasons = [_problem(step, split) for step, split in zip(steps, splits)]
    problems += [(i, reason) for i, reason in zip(indices.tolist(), reasons) if reason]
    good = [place for place, reason in enumerate(reasons) if reason is None]
    if not good:
        return []
    integers = np.array([steps[place] for place in good], np.int64)
    splits = [splits[place] for place in good]
    columns = {key: [c[place] for place in good] for key, c in columns.items()}
    names = list(dict.fromkeys(splits))
    return [_Part(indices[good], integers, splits, names, columns)]


def _problem(step: object, split: object) -> str | None:
    """Return what keeps a row from being a record, None for a record."""
    if type(step) is not int or not -(2**63) <= step < 2**63:
        return "a row without a step of 64 bits"
    if not isinstance(split, str):
        return "a row whose split is not a string"
    return None
