"""Number of observations of each category of a metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from jaxmetrics.aggregator._inputs import as_array
from jaxmetrics.aggregator._string_table import (
    MAX_NAMES,
    StringTable,
    count_strings,
    table_width,
)
from jaxmetrics.aggregator._totals import Total
from jaxmetrics.record import key, states

DEFAULT_MAX_CATEGORIES = 1000
"""Maximum number of categories of one metric with a count of their own."""

_MAX_CATEGORY_LENGTH = 128
_MIN_TABLE_ARRAY = 128  # strings; fewer are counted one by one
_MISSES_PER_NAME = 8
_MAX_TABLES = 8
_MAX_BINCOUNT = 65_536  # smaller integers are counted without sorting


class CategoryTotal(Total):
    """Counts by category.

    A category is a string; integers and bools count under their text. Beyond
    `max_categories` observations are counted together as overflow, and no observation
    is lost. In one process the first categories get counts of their own; where the
    totals of processes or restarts have too many, the most frequent do.
    """

    continues: ClassVar[bool] = False  # the least frequent categories are left out

    def __init__(self, max_categories: int = DEFAULT_MAX_CATEGORIES) -> None:
        self._max_categories = max_categories
        self._counts: dict[str, int] = {}
        self.overflow = 0
        self._tables: dict[int, StringTable] = {}  # by width, of the first categories
        self._table_counts = np.zeros(0, np.int64)  # to be added to those of these
        self._missed: Counter[int] = Counter()  # strings that a table did not find

    @property
    def counts(self) -> dict[str, int]:
        """Count of each category, in the order in which they were first counted."""
        if self._table_counts.any():
            for category, count in zip(self._counts, self._table_counts.tolist()):
                self._counts[category] += count
            self._table_counts[:] = 0
        return self._counts

    def read(self, where: str, values: Any, weights: Any) -> tuple[Any, Any]:
        """Return the counts of a table, and the count of each other category.

        Raises:
          TypeError: A value is no string, integer or bool.
          ValueError: A category cannot be part of a key, or there are weights.
        """
        if weights is not None:
            super().read(where, (), weights)
        table_counts = None
        if not isinstance(values, str | list | tuple):
            values = as_array(where, values).ravel()
            if values.size >= _MIN_TABLE_ARRAY and (width := table_width(values)):
                table = self._table(width)
                if table is not None:
                    table_counts, values = table.count(values)
                    if not values.size:
                        return (table_counts, {}), None
                self._missed[width] += values.size
        counts = _count(where, values)
        if set(map(type, counts)) - {str}:
            texts: Counter[str] = Counter()
            for category, count in counts.items():
                texts[_text(where, category)] += count
            counts = texts
        for category in counts.keys() - self._counts.keys():
            _require_valid_category(where, category)
        return (table_counts, counts), None

    def add(
        self, values: tuple[np.ndarray | None, Mapping[str, int]], weights: Any
    ) -> None:
        """Add counts; new categories go to the overflow if there are too many."""
        table_counts, other_counts = values
        if table_counts is not None:
            missing = len(table_counts) - len(self._table_counts)
            if missing > 0:
                zeros = np.zeros(missing, np.int64)
                self._table_counts = np.concatenate([self._table_counts, zeros])
            self._table_counts[: len(table_counts)] += table_counts
        counts = self._counts
        for category, count in other_counts.items():
            if category in counts:
                counts[category] += count
            elif len(counts) < self._max_categories:
                counts[category] = count
            else:
                self.overflow += count

    def merge(self, later: CategoryTotal) -> None:
        """Add the counts of later values; the most frequent categories stay."""
        counts = Counter(self.counts) + Counter(later.counts)
        self.overflow += later.overflow
        if len(counts) > self._max_categories:
            ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            counts = dict(ranked[: self._max_categories])
            self.overflow += sum(count for _, count in ranked[self._max_categories :])
        self._replace(counts)

    def state(self) -> dict[str, Any]:
        """Return the counts by category."""
        return {"counts": dict(self.counts), "overflow": self.overflow}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace the counts by those that `state` returned."""
        saved = states.fields_of(
            counts=states.mapping_of(states.count), overflow=states.count
        )(state)
        self._replace(saved["counts"])
        self.overflow = saved["overflow"]

    def results(self, name: str) -> dict[str, Any]:
        """Return the counts sorted by category, and the overflow if there is one."""
        counts = {
            f"{name}_count_{category}": float(count)
            for category, count in sorted(self.counts.items())
        }
        overflow = {f"{name}_overflow": float(self.overflow)} if self.overflow else {}
        return counts | overflow

    def _replace(self, counts: Mapping[str, int]) -> None:
        """Replace the counts, and forget the tables of the former ones."""
        self._counts = dict(counts)
        self._table_counts[:] = 0
        self._tables.clear()

    def _table(self, width: int) -> StringTable | None:
        """Return the table that finds categories in arrays of a width.

        A table is made once the strings that were counted without it cost more.
        """
        table, names = self._tables.get(width), min(len(self._counts), MAX_NAMES)
        known = 0 if table is None else len(table)
        if known < names and self._missed[width] > _MISSES_PER_NAME * names:
            if len(self._tables) == _MAX_TABLES:
                self._tables.clear()
            table = self._tables[width] = StringTable(self._counts, width)
            self._missed[width] = 0
        return table


def _count(where: str, values: Any) -> Mapping[Any, int]:
    if isinstance(values, str):
        return {values: 1}
    if not isinstance(values, list | tuple):
        array = np.asarray(values)
        if array.dtype.kind in "iu":
            return _count_integers(array.ravel())
        if array.dtype.kind == "U":
            return count_strings(array.ravel())
        values = array.ravel().tolist()
    try:
        return Counter(values)
    except TypeError:  # a value is not hashable, so it is no category
        raise _type_error(where, values) from None


def _count_integers(array: np.ndarray) -> dict[int, int]:
    if array.size and array.min() >= 0 and array.max() < _MAX_BINCOUNT:
        counts = np.bincount(array.astype(np.int64, copy=False))
        categories = np.flatnonzero(counts)
        counts = counts[categories]
    else:
        categories, counts = np.unique(array, return_counts=True)
    return dict(zip(categories.tolist(), counts.tolist()))


def _text(where: str, category: Any) -> str:
    if not isinstance(category, str | int | np.integer | np.bool_):
        raise _type_error(where, [category])
    return str(category)


def _require_valid_category(where: str, category: str) -> None:
    try:
        if len(category) > _MAX_CATEGORY_LENGTH:
            raise ValueError(
                f"it has {len(category)} characters, more than {_MAX_CATEGORY_LENGTH}"
            )
        key(f"count_{category}")
    except ValueError as error:
        raise ValueError(
            f"{where} got the category {ascii(category[:80])}, which is not valid in a "
            f"key: {error}. Map it to a name first."
        ) from error


def _type_error(where: str, values: Any) -> TypeError:
    types = {type(value).__name__ for value in values} - {"str", "int", "bool"}
    return TypeError(
        f"{where} got categories of type {', '.join(sorted(types))}; expected strings, "
        "integers or bools. Convert them with str(), if that names them."
    )
