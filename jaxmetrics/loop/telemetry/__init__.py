"""Telemetry of a training in two halves: in the compiled step, and after it."""

from jaxmetrics.loop.telemetry._telemetry import TrainingTelemetry
from jaxmetrics.loop.telemetry._telemetry_config import TelemetryConfig

__all__ = ["TelemetryConfig", "TrainingTelemetry"]
