"""Training telemetry: periodic collection in the compiled step, and lines in a file."""

from jaxmetrics.loop.training_telemetry._config import TelemetryConfig
from jaxmetrics.loop.training_telemetry._training_telemetry import TrainingTelemetry

__all__ = ["TelemetryConfig", "TrainingTelemetry"]
