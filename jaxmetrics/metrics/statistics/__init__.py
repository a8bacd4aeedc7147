"""Statistics of the values of one output."""

from jaxmetrics.metrics.statistics._extremes import Last, Max, Min
from jaxmetrics.metrics.statistics._histogram import Histogram
from jaxmetrics.metrics.statistics._mean import Count, Mean, Sum
from jaxmetrics.metrics.statistics._nonfinite import NonFiniteCount
from jaxmetrics.metrics.statistics._norm import GlobalNorm
from jaxmetrics.metrics.statistics._other_means import (
    GeometricMean,
    HarmonicMean,
    StandardError,
)
from jaxmetrics.metrics.statistics._variance import Std, Variance

__all__ = [
    "Count",
    "GeometricMean",
    "GlobalNorm",
    "HarmonicMean",
    "Histogram",
    "Last",
    "Max",
    "Mean",
    "Min",
    "NonFiniteCount",
    "StandardError",
    "Std",
    "Sum",
    "Variance",
]
