"""Metrics of text against references, on token ids in jit or from strings.

A sentence of ids is the first run of ids that `ignore_index` does not name: what pads
on the left, starts or ends it is left out, and so is all that follows. An output that
begins with the end of text is empty if only ignored ids follow: pad what a model
generates behind the end.
"""

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
