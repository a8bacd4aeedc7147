"""Telemetry of the training itself: pure functions of its state, and taps."""

from jaxmetrics.telemetry._tap import tap, tapped, taps

__all__ = ["tap", "tapped", "taps"]
