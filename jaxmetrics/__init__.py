"""Metrics for JAX training, from the jitted step to the report.

Names load on first use, so that `import jaxmetrics` costs nothing and everything
that reads a run back works without jax.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxmetrics.aggregator import *  # noqa: F403
    from jaxmetrics.core import *  # noqa: F403
    from jaxmetrics.logger import *  # noqa: F403
    from jaxmetrics.loop._metrics_log import *  # noqa: F403
    from jaxmetrics.loop.epochs import *  # noqa: F403
    from jaxmetrics.loop.evaluation import *  # noqa: F403
    from jaxmetrics.loop.performance import *  # noqa: F403
    from jaxmetrics.loop.periodic import *  # noqa: F403
    from jaxmetrics.loop.telemetry import *  # noqa: F403
    from jaxmetrics.metrics import *  # noqa: F403
    from jaxmetrics.runs import *  # noqa: F403

__version__ = "0.1.0"

_MODULES = (
    "checkpoint",
    "interop",
    "losses",
    "processes",
    "record",
    "runs",
    "telemetry",
    "writers",
)

_NAMES = {
    "aggregator": (
        "AggregationType",
        "DefaultTrainingMetricTransform",
        "MetricTransform",
        "MetricsAggregator",
        "Observation",
    ),
    "core": (
        "Array",
        "BestOf",
        "ByGroup",
        "Collection",
        "Compose",
        "Masked",
        "Metric",
        "Windowed",
        "both",
        "buffer_leaf",
        "count_at",
        "count_elements",
        "count_leaf",
        "count_where",
        "divide",
        "evaluate",
        "label_rank",
        "leaf",
        "max_leaf",
        "maximum",
        "min_leaf",
        "minimum",
        "moments",
        "moments_leaf",
        "namespace",
        "state_dict",
        "sum_leaf",
        "total",
    ),
    "metrics": (
        "AUROC",
        "Accuracy",
        "AveragePrecision",
        "BitsPerByte",
        "ConfusionMatrix",
        "Count",
        "CountMin",
        "Covariance",
        "CrossEntropy",
        "DistinctCount",
        "ExpectedCalibrationError",
        "F1",
        "FBeta",
        "GlobalNorm",
        "Histogram",
        "Last",
        "Max",
        "Mean",
        "MeanAbsoluteError",
        "MeanSquaredError",
        "Min",
        "Moments",
        "NonFiniteCount",
        "Perplexity",
        "Precision",
        "Quantiles",
        "R2",
        "Recall",
        "Reservoir",
        "RootMeanSquaredError",
        "Std",
        "Sum",
        "TokenAccuracy",
        "TopItems",
        "TopKAccuracy",
        "Variance",
    ),
    "loop.epochs": ("EpochMetrics", "EpochTracker"),
    "loop.evaluation": ("evaluate_loop", "pad_batch"),
    "logger": ("LogConfig", "TrainingLogger"),
    "loop": ("MetricsEntry", "MetricsLog", "MetricsSummary"),
    "loop.performance": ("LossTracker", "PerformanceTracker"),
    "loop.periodic": ("Profile", "ReportProgress"),
    "runs": ("Run",),
    "loop.telemetry": ("TelemetryConfig", "TrainingTelemetry"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> object:
    """Import the module that holds a public name, at its first use."""
    if name in _MODULES:
        return importlib.import_module(f"jaxmetrics.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'jaxmetrics' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"jaxmetrics.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
