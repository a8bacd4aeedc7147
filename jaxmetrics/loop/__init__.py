"""Helpers of a training loop, each loaded on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxmetrics.loop import epochs, evaluation, performance, periodic, telemetry
    from jaxmetrics.loop._metrics_log import MetricsEntry, MetricsLog, MetricsSummary

_MODULES = ("epochs", "evaluation", "performance", "periodic", "telemetry")

__all__ = [
    "MetricsEntry",
    "MetricsLog",
    "MetricsSummary",
    "epochs",
    "evaluation",
    "performance",
    "periodic",
    "telemetry",
]


def __getattr__(name: str) -> object:
    """Import a module, or the metrics log, when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'jaxmetrics.loop' has no attribute {name!r}")
    if name in _MODULES:
        return importlib.import_module(f"jaxmetrics.loop.{name}")
    return getattr(importlib.import_module("jaxmetrics.loop._metrics_log"), name)


def __dir__() -> list[str]:
    return __all__
