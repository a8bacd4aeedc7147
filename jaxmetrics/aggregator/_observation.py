"""One value of one sample, and how values of its type are aggregated."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any


class AggregationType(enum.StrEnum):
    """Aggregation of the values of one metric of one dataset.

    A member equals its value as a string, so `"mean"` is accepted too. Any other
    string names a metric registered with `MetricsAggregator.register_handler`.
    """

    SUM = "sum"
    """Sum of the values, `{name}`, and mean per observation, `avg_{name}`."""

    MEAN = "mean"
    """Mean of the values, weighted if weights are passed.

    A weight of 0 removes a value. A sum beyond the largest float64 is infinite.
    """

    MAX = "max"
    """Largest value."""

    MIN = "min"
    """Smallest value."""

    DISTRIBUTION = "distribution"
    """`{name}_stat_` and `mean`, `min`, `max`, `p05`, `p50`, `p95`, `p99`, `std`.

    Deviations beyond 1.3e154, whose squares exceed a float64, have an infinite `std`.
    """

    CATEGORICAL_COUNT = "categorical_count"
    """Number of observations of each category, `{name}_count_{category}`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Observation:
    """One value of one sample.

    Attributes:
      dataset_name: Dataset of the sample.
      name: Name of the metric.
      value: Number on the host; for CATEGORICAL_COUNT the category.
      agg_type: An `AggregationType`, or the name of a registered metric.
      weight: Weight of the value in a MEAN; None counts as 1.
    """

    dataset_name: str
    name: str
    value: Any
    agg_type: AggregationType | str
    weight: float | None = None
