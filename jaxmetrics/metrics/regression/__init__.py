"""Metrics of predicted real numbers."""

from jaxmetrics.metrics.regression._determination import R2

__all__ = ["R2"]
