"""Metrics of the agreement of predicted probabilities with frequencies."""

from jaxmetrics.metrics.calibration._adaptive import AdaptiveCalibrationError
from jaxmetrics.metrics.calibration._calibration_error import ExpectedCalibrationError
from jaxmetrics.metrics.calibration._classwise import ClasswiseCalibrationError
from jaxmetrics.metrics.calibration._ratio import CalibrationRatio
from jaxmetrics.metrics.calibration._reliability import ReliabilityCurve

__all__ = [
    "AdaptiveCalibrationError",
    "CalibrationRatio",
    "ClasswiseCalibrationError",
    "ExpectedCalibrationError",
    "ReliabilityCurve",
]
