"""Overlap and detection of boxes, and segments of objects."""

from jaxmetrics.metrics.detection._average_precision import DetectionAP
from jaxmetrics.metrics.detection._boxes import BoxIoU
from jaxmetrics.metrics.detection._panoptic import PanopticQuality

__all__ = [
    "BoxIoU",
    "DetectionAP",
    "PanopticQuality",
]
