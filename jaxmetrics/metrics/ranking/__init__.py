"""Metrics of ranked items: retrieval, search and recommendation."""

from jaxmetrics.metrics.ranking._gain import DCG, NDCG
from jaxmetrics.metrics.ranking._retrieval import (
    FallOut,
    HitRate,
    MeanAveragePrecision,
    MeanRank,
    ReciprocalRank,
    RetrievalAUROC,
    RetrievalPrecision,
    RetrievalRecall,
    RPrecision,
)

__all__ = [
    "DCG",
    "FallOut",
    "HitRate",
    "MeanAveragePrecision",
    "MeanRank",
    "NDCG",
    "RPrecision",
    "ReciprocalRank",
    "RetrievalAUROC",
    "RetrievalPrecision",
    "RetrievalRecall",
]
