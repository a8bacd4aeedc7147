"""Helpers of training loops, loaded on first use.

`evaluation` evaluates over uneven batches, `performance` measures MFU and step times,
`epochs` records statistics of epochs, `periodic` reports progress and makes profiles,
`training_telemetry` collects statistics of gradients and weights, and `MetricsLog` is a
log of steps in one file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxmetrics.loop import epochs as epochs
    from jaxmetrics.loop import evaluation as evaluation
    from jaxmetrics.loop import performance as performance
    from jaxmetrics.loop import periodic as periodic
    from jaxmetrics.loop import training_telemetry as training_telemetry
    from jaxmetrics.loop._metrics_log import MetricsEntry as MetricsEntry
    from jaxmetrics.loop._metrics_log import MetricsLog as MetricsLog
    from jaxmetrics.loop._metrics_log import MetricsSummary as MetricsSummary
else:
    from jaxmetrics._lazy import attach

    __getattr__, __dir__, __all__ = attach(__name__)
