"""Metrics of predicted real numbers against targets."""

from jaxmetrics.metrics.regression._determination import R2
from jaxmetrics.metrics.regression._errors import (
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
)

__all__ = ["MeanAbsoluteError", "MeanSquaredError", "R2", "RootMeanSquaredError"]
