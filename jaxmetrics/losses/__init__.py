"""Losses that return their parts for logging, next to the total to minimize."""

from jaxmetrics.losses._chunked import TokenLosses, chunked_cross_entropy
from jaxmetrics.losses._entropy import cross_entropy_with_entropy_loss

__all__ = ["TokenLosses", "chunked_cross_entropy", "cross_entropy_with_entropy_loss"]
