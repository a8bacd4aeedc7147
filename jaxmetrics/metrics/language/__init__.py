"""Metrics of language models, token by token and sequence by sequence."""

from jaxmetrics.metrics.language._by_position import LossByPosition
from jaxmetrics.metrics.language._bytes import BitsPerByte, BitsPerToken
from jaxmetrics.metrics.language._divergence import KLToReference
from jaxmetrics.metrics.language._experts import (
    CapacityOverflow,
    DroppedTokens,
    ExpertBalance,
    ExpertLoad,
    ExpertPeakLoad,
    RouterEntropy,
)
from jaxmetrics.metrics.language._pass_at_k import PassAtK
from jaxmetrics.metrics.language._sequences import SequenceExactMatch, SequenceMean
from jaxmetrics.metrics.language._softmax import PredictiveEntropy, ZLoss
from jaxmetrics.metrics.language._tokens import TokenAccuracy

__all__ = [
    "BitsPerByte",
    "BitsPerToken",
    "CapacityOverflow",
    "DroppedTokens",
    "ExpertBalance",
    "ExpertLoad",
    "ExpertPeakLoad",
    "KLToReference",
    "LossByPosition",
    "PassAtK",
    "PredictiveEntropy",
    "RouterEntropy",
    "SequenceExactMatch",
    "SequenceMean",
    "TokenAccuracy",
    "ZLoss",
]
