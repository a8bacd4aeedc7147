"""One value of one sample, and how values of its kind add up."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any


class AggregationType(enum.StrEnum):
    """What becomes of the values of one metric of one dataset.

    A member is its own name as a string, so that `"mean"` does as well, and a string
    of one's own names a metric given to `MetricsAggregator.register_handler`.
    """

    SUM = "sum"
    """The total, `{name}`, and the mean of an observation, `avg_{name}`."""

    MEAN = "mean"
    """The mean, weighted where weights were given."""

    MAX = "max"
    """The largest value."""

    MIN = "min"
    """The smallest value."""

    DISTRIBUTION = "distribution"
    """`{name}_stat_` and `mean`, `min`, `max`, `p05`, `p50`, `p95`, `p99`, `std`."""

    CATEGORICAL_COUNT = "categorical_count"
    """How often each category came, `{name}_count_{category}`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Observation:
    """One value of one sample.

    Attributes:
      dataset_name: The dataset that the sample is of.
      name: The metric's name.
      value: A number on the host; for CATEGORICAL_COUNT the category.
      agg_type: An `AggregationType`, or the name of a registered metric.
      weight: The value's weight in a MEAN; None counts as 1.
    """

    dataset_name: str
    name: str
    value: Any
    agg_type: AggregationType | str
    weight: float | None = None
