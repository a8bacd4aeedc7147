"""Helpers for training loops, each loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxmetrics.loop import epochs as epochs
    from jaxmetrics.loop import evaluation as evaluation
    from jaxmetrics.loop import performance as performance
    from jaxmetrics.loop import periodic as periodic
    from jaxmetrics.loop import telemetry as telemetry
    from jaxmetrics.loop._metrics_log import MetricsEntry as MetricsEntry
    from jaxmetrics.loop._metrics_log import MetricsLog as MetricsLog
    from jaxmetrics.loop._metrics_log import MetricsSummary as MetricsSummary
else:
    from jaxmetrics._lazy import attach

    __getattr__, __dir__, __all__ = attach(__name__)
