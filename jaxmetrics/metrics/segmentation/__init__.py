"""Agreement of label maps of images."""

from jaxmetrics.metrics.segmentation._overlap import (
    Dice,
    FrequencyWeightedIoU,
    GeneralizedDice,
    MeanIoU,
)
from jaxmetrics.metrics.segmentation._pixels import PixelAccuracy
from jaxmetrics.metrics.segmentation._surfaces import HausdorffDistance

__all__ = [
    "Dice",
    "FrequencyWeightedIoU",
    "GeneralizedDice",
    "HausdorffDistance",
    "MeanIoU",
    "PixelAccuracy",
]
