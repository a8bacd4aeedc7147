"""Statistics of one output."""

from jaxmetrics.metrics.statistics._extremes import Last, Max, Min
from jaxmetrics.metrics.statistics._mean import Count, Mean, Sum
from jaxmetrics.metrics.statistics._spread import Std, Variance

__all__ = ["Count", "Last", "Max", "Mean", "Min", "Std", "Sum", "Variance"]
