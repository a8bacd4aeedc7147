"""Totals by aggregation type, and totals of processes and restarts combined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jaxmetrics.aggregator._categories import CategoryTotal
from jaxmetrics.aggregator._distribution import DistributionTotal
from jaxmetrics.aggregator._inputs import Name, name_text, require_valid_name
from jaxmetrics.aggregator._metric_total import MetricHandler, MetricTotal
from jaxmetrics.aggregator._observation import AggregationType
from jaxmetrics.aggregator._totals import (
    MaxTotal,
    MeanTotal,
    MinTotal,
    SumTotal,
    Total,
)
from jaxmetrics.record import states

_TOTALS: Mapping[Any, type[Total]] = {
    AggregationType.SUM: SumTotal,
    AggregationType.MEAN: MeanTotal,
    AggregationType.MAX: MaxTotal,
    AggregationType.MIN: MinTotal,
    AggregationType.DISTRIBUTION: DistributionTotal,
}


class AggregationTypes:
    """Aggregation types of one aggregator, with the metrics registered for them.

    Args:
      max_categories: Maximum number of categories of one metric with a count of their
        own.
    """

    def __init__(self, max_categories: int) -> None:
        self._max_categories = max_categories
        self._handlers: dict[str, MetricHandler] = {}

    def register(self, handler: MetricHandler) -> None:
        """Compute the totals of a type with a metric."""
        self._handlers[handler.name] = handler

    def empty(self, agg_type: Any) -> Total:
        """Return the empty total of a type.

        Raises:
          ValueError: The type is unknown.
        """
        if agg_type in self._handlers:
            total = MetricTotal(self._handlers[agg_type])
        elif agg_type == AggregationType.CATEGORICAL_COUNT:
            total = CategoryTotal(self._max_categories)
        elif agg_type in _TOTALS:
            total = _TOTALS[agg_type]()
        else:
            known = sorted({*map(str, AggregationType), *self._handlers})
            raise ValueError(
                f"MetricsAggregator got the type {agg_type!r}; expected one of "
                f"{known}. Name one of these, or call register_handler() on every "
                f"process."
            )
        total.agg_type = str(agg_type)
        return total

    def from_state(self, name: Name, state: Mapping[str, Any]) -> Total:
        """Return the total that `to_state` converted.

        Raises:
          ValueError: It is not such a state, or its type is not registered.
        """
        total = self.empty(states.text(state["type"]))
        try:
            require_valid_name(name)
            total.load_state(state["state"])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"MetricsAggregator got a state of {name_text(name)} that is not one "
                f"of {total.agg_type}: {error}. Pass what state() returned, unchanged."
            ) from error
        return total

    def join_processes(
        self, processes: Iterable[Mapping[Name, Mapping[str, Any]]]
    ) -> dict[Name, Total]:
        """Return the totals over all processes.

        Args:
          processes: States of the totals of each process; their names may differ.

        Raises:
          ValueError: The type of a metric differs between processes.
        """
        joined: dict[Name, Total] = {}
        for process, totals in enumerate(processes):
            for name, state in totals.items():
                total = self.from_state(name, state)
                first = joined.setdefault(name, total)
                _require_same_type(name, first, total, f"process {process}")
                if first is not total:
                    first.join(total)
        return joined

    def combine(
        self, restored: Mapping[Name, Total], observed: Mapping[Name, Total]
    ) -> dict[Name, Total]:
        """Return restored totals and those of later values as one, sorted by name."""
        combined = {}
        for name in sorted({*restored, *observed}):
            parts = [table[name] for table in (restored, observed) if name in table]
            _require_same_type(name, parts[0], parts[-1], "another process")
            combined[name] = self.empty(parts[0].agg_type)
            for part in parts:
                combined[name].merge(part)
        return combined


def to_state(total: Total) -> dict[str, Any]:
    """Return a total as plain Python values and NumPy arrays."""
    return {"type": total.agg_type, "state": total.state()}


def _require_same_type(name: Name, first: Total, other: Total, where: str) -> None:
    if first.agg_type != other.agg_type:
        raise ValueError(
            f"MetricsAggregator: {name_text(name)} is {other.agg_type} on {where}, and "
            f"{first.agg_type} elsewhere. Give one of them another name."
        )
