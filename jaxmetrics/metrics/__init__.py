"""The metrics, by family."""

from jaxmetrics.metrics.classification import (
    Accuracy,
    ConfusionMatrix,
    CrossEntropy,
    Perplexity,
    TopKAccuracy,
)
from jaxmetrics.metrics.regression import R2
from jaxmetrics.metrics.statistics import (
    Count,
    Last,
    Max,
    Mean,
    Min,
    Std,
    Sum,
    Variance,
)
from jaxmetrics.metrics.text import TokenAccuracy

__all__ = [
    "Accuracy",
    "ConfusionMatrix",
    "Count",
    "CrossEntropy",
    "Last",
    "Max",
    "Mean",
    "Min",
    "Perplexity",
    "R2",
    "Std",
    "Sum",
    "TokenAccuracy",
    "TopKAccuracy",
    "Variance",
]
