"""Metrics of predicted real numbers against targets."""

from jaxmetrics.metrics.regression._correlation import (
    ConcordanceCorrelation,
    PearsonCorrelation,
)
from jaxmetrics.metrics.regression._determination import (
    R2,
)
from jaxmetrics.metrics.regression._errors import (
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
)
from jaxmetrics.metrics.regression._events import (
    CriticalSuccessIndex,
)
from jaxmetrics.metrics.regression._explained import (
    ExplainedVariance,
    NormalizedRootMeanSquaredError,
    RelativeSquaredError,
)
from jaxmetrics.metrics.regression._log_errors import (
    LogCoshError,
    MeanSquaredLogError,
    RootMeanSquaredLogError,
)
from jaxmetrics.metrics.regression._losses import (
    HuberLoss,
    MaxError,
    MeanBiasError,
    MinkowskiDistance,
    PinballLoss,
)
from jaxmetrics.metrics.regression._percentage_errors import (
    MeanAbsolutePercentageError,
    SymmetricMeanAbsolutePercentageError,
    WeightedMeanAbsolutePercentageError,
)
from jaxmetrics.metrics.regression._rank_correlation import (
    KendallTau,
    SpearmanCorrelation,
)
from jaxmetrics.metrics.regression._tweedie import (
    TweedieDeviance,
)

__all__ = [
    "ConcordanceCorrelation",
    "CriticalSuccessIndex",
    "ExplainedVariance",
    "HuberLoss",
    "KendallTau",
    "LogCoshError",
    "MaxError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanBiasError",
    "MeanSquaredError",
    "MeanSquaredLogError",
    "MinkowskiDistance",
    "NormalizedRootMeanSquaredError",
    "PearsonCorrelation",
    "PinballLoss",
    "R2",
    "RelativeSquaredError",
    "RootMeanSquaredError",
    "RootMeanSquaredLogError",
    "SpearmanCorrelation",
    "SymmetricMeanAbsolutePercentageError",
    "TweedieDeviance",
    "WeightedMeanAbsolutePercentageError",
]
