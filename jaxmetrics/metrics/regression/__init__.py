"""Metrics of predicted real numbers against targets."""

from jaxmetrics.metrics.regression._correlation import (
    ConcordanceCorrelation,
    PearsonCorrelation,
)
from jaxmetrics.metrics.regression._determination import (
    R2,
)
from jaxmetrics.metrics.regression._divergence import (
    JensenShannonDivergence,
    KLDivergence,
)
from jaxmetrics.metrics.regression._ensemble import (
    CRPS,
    IntervalCoverage,
    RankHistogram,
    SpreadSkill,
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
from jaxmetrics.metrics.regression._median_error import MedianAbsoluteError
from jaxmetrics.metrics.regression._percentage_errors import (
    MeanAbsolutePercentageError,
    SymmetricMeanAbsolutePercentageError,
    WeightedMeanAbsolutePercentageError,
)
from jaxmetrics.metrics.regression._rank_correlation import (
    KendallTau,
    SpearmanCorrelation,
)
from jaxmetrics.metrics.regression._similarity import CosineSimilarity
from jaxmetrics.metrics.regression._tweedie import (
    TweedieDeviance,
)

__all__ = [
    "CRPS",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "CriticalSuccessIndex",
    "ExplainedVariance",
    "HuberLoss",
    "IntervalCoverage",
    "JensenShannonDivergence",
    "KLDivergence",
    "KendallTau",
    "LogCoshError",
    "MaxError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanBiasError",
    "MeanSquaredError",
    "MeanSquaredLogError",
    "MedianAbsoluteError",
    "MinkowskiDistance",
    "NormalizedRootMeanSquaredError",
    "PearsonCorrelation",
    "PinballLoss",
    "R2",
    "RankHistogram",
    "RelativeSquaredError",
    "RootMeanSquaredError",
    "RootMeanSquaredLogError",
    "SpearmanCorrelation",
    "SpreadSkill",
    "SymmetricMeanAbsolutePercentageError",
    "TweedieDeviance",
    "WeightedMeanAbsolutePercentageError",
]
