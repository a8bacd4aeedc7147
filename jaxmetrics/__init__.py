"""Metrics for JAX training, from the jitted step to the report.

Names load on first use, so that `import jaxmetrics` costs nothing and everything
that reads a run back works without jax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the public names; see _lazy.py
    from jaxmetrics import checkpoint as checkpoint
    from jaxmetrics import interop as interop
    from jaxmetrics import losses as losses
    from jaxmetrics import processes as processes
    from jaxmetrics import record as record
    from jaxmetrics import runs as runs
    from jaxmetrics import telemetry as telemetry
    from jaxmetrics import writers as writers
    from jaxmetrics.aggregator import AggregationType as AggregationType
    from jaxmetrics.aggregator import (
        DefaultTrainingMetricTransform as DefaultTrainingMetricTransform,
    )
    from jaxmetrics.aggregator import MetricsAggregator as MetricsAggregator
    from jaxmetrics.aggregator import MetricTransform as MetricTransform
    from jaxmetrics.aggregator import Observation as Observation
    from jaxmetrics.core import Array as Array
    from jaxmetrics.core import BestOf as BestOf
    from jaxmetrics.core import Bootstrap as Bootstrap
    from jaxmetrics.core import ByGroup as ByGroup
    from jaxmetrics.core import Classwise as Classwise
    from jaxmetrics.core import Collection as Collection
    from jaxmetrics.core import Compose as Compose
    from jaxmetrics.core import FromFunction as FromFunction
    from jaxmetrics.core import Masked as Masked
    from jaxmetrics.core import Metric as Metric
    from jaxmetrics.core import MetricProtocol as MetricProtocol
    from jaxmetrics.core import MinMax as MinMax
    from jaxmetrics.core import MultiOutput as MultiOutput
    from jaxmetrics.core import Reads as Reads
    from jaxmetrics.core import Windowed as Windowed
    from jaxmetrics.core import Wrapper as Wrapper
    from jaxmetrics.core import both as both
    from jaxmetrics.core import buffer_leaf as buffer_leaf
    from jaxmetrics.core import count_at as count_at
    from jaxmetrics.core import count_elements as count_elements
    from jaxmetrics.core import count_leaf as count_leaf
    from jaxmetrics.core import count_where as count_where
    from jaxmetrics.core import divide as divide
    from jaxmetrics.core import evaluate as evaluate
    from jaxmetrics.core import label_rank as label_rank
    from jaxmetrics.core import leaf as leaf
    from jaxmetrics.core import max_leaf as max_leaf
    from jaxmetrics.core import maximum as maximum
    from jaxmetrics.core import min_leaf as min_leaf
    from jaxmetrics.core import minimum as minimum
    from jaxmetrics.core import moments as moments
    from jaxmetrics.core import moments_leaf as moments_leaf
    from jaxmetrics.core import namespace as namespace
    from jaxmetrics.core import state_dict as state_dict
    from jaxmetrics.core import sum_leaf as sum_leaf
    from jaxmetrics.core import total as total
    from jaxmetrics.logger import LogConfig as LogConfig
    from jaxmetrics.logger import TrainingLogger as TrainingLogger
    from jaxmetrics.logger import close_all as close_all
    from jaxmetrics.loop import MetricsEntry as MetricsEntry
    from jaxmetrics.loop import MetricsLog as MetricsLog
    from jaxmetrics.loop import MetricsSummary as MetricsSummary
    from jaxmetrics.loop.epochs import EpochMetrics as EpochMetrics
    from jaxmetrics.loop.epochs import EpochTracker as EpochTracker
    from jaxmetrics.loop.evaluation import EarlyStopping as EarlyStopping
    from jaxmetrics.loop.evaluation import evaluate_loop as evaluate_loop
    from jaxmetrics.loop.evaluation import pad_batch as pad_batch
    from jaxmetrics.loop.performance import LossTracker as LossTracker
    from jaxmetrics.loop.performance import PerformanceTracker as PerformanceTracker
    from jaxmetrics.loop.periodic import Profile as Profile
    from jaxmetrics.loop.periodic import ReportProgress as ReportProgress
    from jaxmetrics.loop.training_telemetry import TelemetryConfig as TelemetryConfig
    from jaxmetrics.loop.training_telemetry import (
        TrainingTelemetry as TrainingTelemetry,
    )
    from jaxmetrics.metrics.audio import *  # noqa: F403
    from jaxmetrics.metrics.calibration import *  # noqa: F403
    from jaxmetrics.metrics.classification import *  # noqa: F403
    from jaxmetrics.metrics.clustering import *  # noqa: F403
    from jaxmetrics.metrics.detection import *  # noqa: F403
    from jaxmetrics.metrics.health import *  # noqa: F403
    from jaxmetrics.metrics.image import *  # noqa: F403
    from jaxmetrics.metrics.language import *  # noqa: F403
    from jaxmetrics.metrics.nominal import *  # noqa: F403
    from jaxmetrics.metrics.ranking import *  # noqa: F403
    from jaxmetrics.metrics.regression import *  # noqa: F403
    from jaxmetrics.metrics.reinforcement import *  # noqa: F403
    from jaxmetrics.metrics.segmentation import *  # noqa: F403
    from jaxmetrics.metrics.sketches import *  # noqa: F403
    from jaxmetrics.metrics.statistics import *  # noqa: F403
    from jaxmetrics.metrics.text import *  # noqa: F403
    from jaxmetrics.runs import Run as Run
else:
    from jaxmetrics._lazy import attach
    from jaxmetrics._other_names import NAMES as _NAMES

    __getattr__, __dir__, __all__ = attach(__name__, _NAMES)

__version__ = "0.2.0"
