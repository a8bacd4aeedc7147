"""Metrics of language models, computed from token ids."""

from jaxmetrics.metrics.text._bytes import BitsPerByte
from jaxmetrics.metrics.text._tokens import TokenAccuracy

__all__ = ["BitsPerByte", "TokenAccuracy"]
