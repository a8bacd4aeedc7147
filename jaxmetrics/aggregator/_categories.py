"""Number of observations of each category of a metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from jaxmetrics.aggregator._totals import Total
from jaxmetrics.record import key, states

DEFAULT_MAX_CATEGORIES = 1000
"""Maximum number of categories of one metric with a count of their own."""

_MAX_CATEGORY_LENGTH = 128
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
        self.counts: Counter[str] = Counter()
        self.overflow = 0

    def read(self, where: str, values: Any, weights: Any) -> tuple[Any, Any]:
        """Return the count of each category in the values.

        Raises:
          TypeError: A value is no string, integer or bool.
          ValueError: A category cannot be part of a key, or there are weights.
        """
        if weights is not None:
            super().read(where, (), weights)
        counts: Counter[str] = Counter()
        for category, count in _count(where, values).items():
            counts[_text(where, category)] += count
        for category in counts.keys() - self.counts.keys():
            _require_valid_category(where, category)
        return counts, None

    def add(self, values: Counter[str], weights: Any) -> None:
        """Add counts; new categories go to the overflow if there are too many."""
        for category, count in values.items():
            if category in self.counts or len(self.counts) < self._max_categories:
                self.counts[category] += count
            else:
                self.overflow += count

    def merge(self, later: CategoryTotal) -> None:
        """Add the counts of later values; the most frequent categories stay."""
        self.counts += later.counts
        self.overflow += later.overflow
        if len(self.counts) > self._max_categories:
            ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
            self.counts = Counter(dict(ranked[: self._max_categories]))
            self.overflow += sum(count for _, count in ranked[self._max_categories :])

    def state(self) -> dict[str, Any]:
        """Return the counts by category."""
        return {"counts": dict(self.counts), "overflow": self.overflow}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace the counts by those that `state` returned."""
        saved = states.fields_of(
            counts=states.mapping_of(states.count), overflow=states.count
        )(state)
        self.counts, self.overflow = Counter(saved["counts"]), saved["overflow"]

    def results(self, name: str) -> dict[str, Any]:
        """Return the counts sorted by category, and the overflow if there is one."""
        counts = {
            f"{name}_count_{category}": float(count)
            for category, count in sorted(self.counts.items())
        }
        overflow = {f"{name}_overflow": float(self.overflow)} if self.overflow else {}
        return counts | overflow


def _count(where: str, values: Any) -> Mapping[Any, int]:
    if isinstance(values, str):
        return {values: 1}
    if not isinstance(values, list | tuple):
        array = np.asarray(values)
        if array.dtype.kind in "iu":
            return _count_integers(array.ravel())
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
