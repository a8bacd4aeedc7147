"""Overlap of boxes and of segments of objects."""

from jaxmetrics.metrics.detection._boxes import BoxIoU
from jaxmetrics.metrics.detection._panoptic import PanopticQuality

__all__ = [
    "BoxIoU",
    "PanopticQuality",
]
