"""Metrics of text against references, on token ids in jit or from strings."""

from jaxmetrics.metrics.text._answers import SQuAD
from jaxmetrics.metrics.text._bleu import BLEU
from jaxmetrics.metrics.text._chrf import chrF
from jaxmetrics.metrics.text._error_rates import (
    CharErrorRate,
    EditDistance,
    MatchErrorRate,
    WordErrorRate,
    WordInfoLost,
    WordInfoPreserved,
)
from jaxmetrics.metrics.text._rouge import ROUGE
from jaxmetrics.metrics.text._translation_edits import TranslationEditRate

__all__ = [
    "BLEU",
    "CharErrorRate",
    "EditDistance",
    "MatchErrorRate",
    "ROUGE",
    "SQuAD",
    "TranslationEditRate",
    "WordErrorRate",
    "WordInfoLost",
    "WordInfoPreserved",
    "chrF",
]
