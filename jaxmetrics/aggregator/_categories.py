"""How often each category of a metric came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.aggregator._totals import Total
from jaxmetrics.record import key

LIMIT = 1000
"""How many categories of one metric are told apart."""

LONGEST = 128
"""Characters of a category."""

_FEW = 65_536  # integers below it are counted without sorting them


class Categories(Total):
    """Counts by category.

    A category is a string; integers and bools count under their text, anything else
    is an error. Beyond `limit` categories observations are counted together: which
    are told apart is decided by who comes first, and where processes or restarts
    bring more together, by who is more frequent. No observation is ever lost.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self.counts: Counter[str] = Counter()
        self.overflow = 0

    def read(self, where: str, values: Any, weights: Any) -> tuple[Any, Any]:
        """How often each category comes in some values."""
        if weights is not None:
            super().read(where, (), weights)
        found: Counter[str] = Counter()
        for category, count in _tally(where, values).items():
            found[_text(where, category)] += count
        for category in found.keys() - self.counts.keys():
            _check(where, category)
        return found, None

    def add(self, values: Counter[str], weights: Any) -> None:
        """Count them, the new ones while there is room."""
        for category, count in values.items():
            if category in self.counts or len(self.counts) < self._limit:
                self.counts[category] += count
            else:
                self.overflow += count

    def merge(self, later: Any) -> None:
        """Add the counts; the most frequent stay where there are too many."""
        self.counts += later.counts
        self.overflow += later.overflow
        if len(self.counts) > self._limit:
            ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
            self.counts = Counter(dict(ranked[: self._limit]))
            self.overflow += sum(count for _, count in ranked[self._limit :])

    def state(self) -> dict[str, Any]:
        """The counts by category."""
        return {"counts": dict(self.counts), "overflow": self.overflow}

    def load(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self.counts, self.overflow = Counter(state["counts"]), state["overflow"]

    def results(self, name: str) -> dict[str, Any]:
        """The counts, in the order of the categories, and that of all the others."""
        counts = {
            f"{name}_count_{category}": float(count)
            for category, count in sorted(self.counts.items())
        }
        more = {f"{name}_overflow": float(self.overflow)} if self.overflow else {}
        return counts | more


def _tally(where: str, values: Any) -> Mapping[Any, int]:
    if isinstance(values, str):
        return {values: 1}
    if not isinstance(values, list | tuple):
        array = np.asarray(values)
        if array.dtype.kind in "iu":
            return _tally_integers(array.ravel())
        values = array.ravel().tolist()
    try:
        return Counter(values)
    except TypeError:  # some cannot be keys of a mapping, let alone categories
        raise _stranger(where, values) from None


def _tally_integers(array: np.ndarray) -> dict[int, int]:
    if array.size and array.min() >= 0 and array.max() < _FEW:
        counts = np.bincount(array.astype(np.int64, copy=False))
        found = np.flatnonzero(counts)
        counts = counts[found]
    else:
        found, counts = np.unique(array, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist()))


def _text(where: str, category: Any) -> str:
    if not isinstance(category, str | int | np.integer | np.bool_):
        raise _stranger(where, [category])
    return str(category)


def _check(where: str, category: str) -> None:
    try:
        if len(category) > LONGEST:
            raise ValueError(f"it has {len(category)} characters, not up to {LONGEST}")
        key(f"count_{category}")
    except ValueError as error:
        raise ValueError(
            f"{where} got the category {ascii(category[:80])}, which cannot be part of "
            f"a key: {error}. Map it to a name before."
        ) from error


def _stranger(where: str, values: Any) -> TypeError:
    kinds = {type(value).__name__ for value in values} - {"str", "int", "bool"}
    return TypeError(
        f"{where} got categories of type {', '.join(sorted(kinds))}; expected strings, "
        "integers or bools. Convert them with str(), where that names them."
    )
