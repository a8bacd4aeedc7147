"""Agreement of clusterings with labels, and separation of clusters."""

from jaxmetrics.metrics.clustering._calinski_harabasz import CalinskiHarabasz
from jaxmetrics.metrics.clustering._information import (
    AdjustedMutualInformation,
    Completeness,
    Homogeneity,
    MutualInformation,
    NormalizedMutualInformation,
    VMeasure,
)
from jaxmetrics.metrics.clustering._matching import ClusterAccuracy, Purity
from jaxmetrics.metrics.clustering._pairs import (
    AdjustedRandIndex,
    FowlkesMallows,
    RandIndex,
)

__all__ = [
    "AdjustedMutualInformation",
    "AdjustedRandIndex",
    "CalinskiHarabasz",
    "ClusterAccuracy",
    "Completeness",
    "FowlkesMallows",
    "Homogeneity",
    "MutualInformation",
    "NormalizedMutualInformation",
    "Purity",
    "RandIndex",
    "VMeasure",
]
