"""Metrics of predicted classes."""

from jaxmetrics.metrics.classification._accuracy import Accuracy, TopKAccuracy
from jaxmetrics.metrics.classification._confusion import ConfusionMatrix
from jaxmetrics.metrics.classification._likelihood import CrossEntropy, Perplexity

__all__ = ["Accuracy", "ConfusionMatrix", "CrossEntropy", "Perplexity", "TopKAccuracy"]
