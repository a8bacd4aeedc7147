"""Sketches: small mergeable summaries of large samples, with stated error bounds."""

from jaxmetrics.metrics.sketches._covariance import Covariance
from jaxmetrics.metrics.sketches._distinct import DistinctCount
from jaxmetrics.metrics.sketches._frequent import CountMin, TopItems
from jaxmetrics.metrics.sketches._moments import Moments
from jaxmetrics.metrics.sketches._quantiles import Quantiles
from jaxmetrics.metrics.sketches._reservoir import Reservoir
from jaxmetrics.metrics.sketches._worst import Worst

__all__ = [
    "CountMin",
    "Covariance",
    "DistinctCount",
    "Moments",
    "Quantiles",
    "Reservoir",
    "TopItems",
    "Worst",
]
