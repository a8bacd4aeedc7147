"""Metrics of predicted classes: thresholded, ranked and probabilistic."""

from jaxmetrics.metrics.classification._accuracy import (
    Accuracy,
    ExactMatch,
    TopKAccuracy,
)
from jaxmetrics.metrics.classification._agreement import (
    CohenKappa,
    MatthewsCorrelation,
)
from jaxmetrics.metrics.classification._balanced_accuracy import (
    BalancedAccuracy,
    GeometricMeanScore,
)
from jaxmetrics.metrics.classification._brier import (
    BrierScore,
)
from jaxmetrics.metrics.classification._clicks import (
    ClickThroughRate,
    NormalizedEntropy,
)
from jaxmetrics.metrics.classification._confusion import ConfusionMatrix
from jaxmetrics.metrics.classification._curves import ROC, PrecisionRecallCurve
from jaxmetrics.metrics.classification._fairness import (
    DemographicParity,
    EqualOpportunity,
    GroupStatScores,
)
from jaxmetrics.metrics.classification._hamming import (
    Hamming,
)
from jaxmetrics.metrics.classification._hinge import (
    HingeLoss,
)
from jaxmetrics.metrics.classification._informedness import (
    Informedness,
    Markedness,
)
from jaxmetrics.metrics.classification._jaccard import (
    Jaccard,
)
from jaxmetrics.metrics.classification._label_ranking import (
    LabelRankingAveragePrecision,
    LabelRankingLoss,
    MultilabelCoverageError,
)
from jaxmetrics.metrics.classification._likelihood import CrossEntropy, Perplexity
from jaxmetrics.metrics.classification._negatives import (
    FalseDiscoveryRate,
    FalseNegativeRate,
    FalsePositiveRate,
    NegativePredictiveValue,
    Specificity,
)
from jaxmetrics.metrics.classification._operating_points import (
    EqualErrorRate,
    KolmogorovSmirnov,
    MaxFBeta,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from jaxmetrics.metrics.classification._precision_recall import (
    F1,
    FBeta,
    Precision,
    Recall,
)
from jaxmetrics.metrics.classification._ranking_areas import AUROC, AveragePrecision
from jaxmetrics.metrics.classification._stat_scores import (
    StatScores,
)

__all__ = [
    "AUROC",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "BrierScore",
    "ClickThroughRate",
    "CohenKappa",
    "ConfusionMatrix",
    "CrossEntropy",
    "DemographicParity",
    "EqualErrorRate",
    "EqualOpportunity",
    "ExactMatch",
    "F1",
    "FBeta",
    "FalseDiscoveryRate",
    "FalseNegativeRate",
    "FalsePositiveRate",
    "GeometricMeanScore",
    "GroupStatScores",
    "Hamming",
    "HingeLoss",
    "Informedness",
    "Jaccard",
    "KolmogorovSmirnov",
    "LabelRankingAveragePrecision",
    "LabelRankingLoss",
    "Markedness",
    "MatthewsCorrelation",
    "MaxFBeta",
    "MultilabelCoverageError",
    "NegativePredictiveValue",
    "NormalizedEntropy",
    "Perplexity",
    "Precision",
    "PrecisionAtRecall",
    "PrecisionRecallCurve",
    "ROC",
    "Recall",
    "RecallAtPrecision",
    "SensitivityAtSpecificity",
    "Specificity",
    "SpecificityAtSensitivity",
    "StatScores",
    "TopKAccuracy",
]
