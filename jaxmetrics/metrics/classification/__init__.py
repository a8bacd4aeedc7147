"""Metrics of predicted classes: thresholded, ranked and probabilistic."""

from jaxmetrics.metrics.classification._accuracy import (
    Accuracy,
    ExactMatch,
    TopKAccuracy,
)
from jaxmetrics.metrics.classification._calibration import ExpectedCalibrationError
from jaxmetrics.metrics.classification._confusion import ConfusionMatrix
from jaxmetrics.metrics.classification._likelihood import CrossEntropy, Perplexity
from jaxmetrics.metrics.classification._precision_recall import (
    F1,
    FBeta,
    Precision,
    Recall,
)
from jaxmetrics.metrics.classification._ranking_curves import AUROC, AveragePrecision

__all__ = [
    "AUROC",
    "Accuracy",
    "AveragePrecision",
    "ConfusionMatrix",
    "CrossEntropy",
    "ExactMatch",
    "ExpectedCalibrationError",
    "F1",
    "FBeta",
    "Perplexity",
    "Precision",
    "Recall",
    "TopKAccuracy",
]
