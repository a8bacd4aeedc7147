"""Observations of the samples of a data pipeline, and their totals per dataset."""

from jaxmetrics.aggregator._aggregator import MetricsAggregator
from jaxmetrics.aggregator._observation import AggregationType, Observation
from jaxmetrics.aggregator._transform import (
    DefaultTrainingMetricTransform,
    MetricTransform,
)

__all__ = [
    "AggregationType",
    "DefaultTrainingMetricTransform",
    "MetricTransform",
    "MetricsAggregator",
    "Observation",
]
