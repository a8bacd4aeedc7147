"""Which total an aggregation type stands for, and totals brought together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jaxmetrics.aggregator._categories import Categories
from jaxmetrics.aggregator._distribution import Distribution
from jaxmetrics.aggregator._names import Name, shown
from jaxmetrics.aggregator._observation import AggregationType
from jaxmetrics.aggregator._registered import Handler, Registered
from jaxmetrics.aggregator._totals import Max, Mean, Min, Sum, Total

_ARITHMETIC: Mapping[Any, type[Total]] = {
    AggregationType.SUM: Sum,
    AggregationType.MEAN: Mean,
    AggregationType.MAX: Max,
    AggregationType.MIN: Min,
    AggregationType.DISTRIBUTION: Distribution,
}


class Kinds:
    """The aggregation types that one aggregator knows.

    Args:
      max_categories: How many categories of one metric are told apart.
    """

    def __init__(self, max_categories: int) -> None:
        self._max_categories = max_categories
        self._handlers: dict[str, Handler] = {}

    def register(self, handler: Handler) -> None:
        """Let a metric do the arithmetic of a type."""
        self._handlers[handler.name] = handler

    def empty(self, agg_type: Any) -> Total:
        """The empty total of a type.

        Raises:
          ValueError: There is no such type.
        """
        if agg_type in self._handlers:
            total = Registered(self._handlers[agg_type])
        elif agg_type == AggregationType.CATEGORICAL_COUNT:
            total = Categories(self._max_categories)
        elif agg_type in _ARITHMETIC:
            total = _ARITHMETIC[agg_type]()
        else:
            known = sorted({*map(str, AggregationType), *self._handlers})
            raise ValueError(
                f"MetricsAggregator got the type {agg_type!r}; it knows {known}. Name "
                "one of these, or register_handler() yours on every process."
            )
        total.agg_type = str(agg_type)
        return total

    def loaded(self, saved: Mapping[str, Any]) -> Total:
        """The total that `saved` describes."""
        total = self.empty(saved["type"])
        total.load(saved["state"])
        return total

    def joined(
        self, processes: Iterable[Mapping[Name, Mapping[str, Any]]]
    ) -> dict[Name, Total]:
        """The totals of several processes, each of which has its own metrics.

        Raises:
          ValueError: A metric has another type on another process.
        """
        found: dict[Name, Total] = {}
        for process, totals in enumerate(processes):
            for name, described in totals.items():
                total = self.loaded(described)
                first = found.setdefault(name, total)
                _require_one_type(name, first, total, f"process {process}")
                if first is not total:
                    first.join(total)
        return found

    def in_turn(
        self, base: Mapping[Name, Total], since: Mapping[Name, Total]
    ) -> dict[Name, Total]:
        """What was there before and what came since, as one, by name in order."""
        found = {}
        for name in sorted({*base, *since}):
            parts = [table[name] for table in (base, since) if name in table]
            _require_one_type(name, parts[0], parts[-1], "another process")
            found[name] = self.empty(parts[0].agg_type)
            for part in parts:
                found[name].merge(part)
        return found


def saved(total: Total) -> dict[str, Any]:
    """A total as plain Python values and NumPy arrays."""
    return {"type": total.agg_type, "state": total.state()}


def _require_one_type(name: Name, first: Total, other: Total, where: str) -> None:
    if first.agg_type != other.agg_type:
        raise ValueError(
            f"MetricsAggregator: {shown(name)} is {other.agg_type} on {where}, and "
            f"{first.agg_type} elsewhere. Give one of them another name."
        )
