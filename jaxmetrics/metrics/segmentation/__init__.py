"""Agreement of label maps of images."""

from jaxmetrics.metrics.segmentation._overlap import (
    Dice,
    FrequencyWeightedIoU,
    GeneralizedDice,
    MeanIoU,
)
from jaxmetrics.metrics.segmentation._pixels import PixelAccuracy

__all__ = [
    "Dice",
    "FrequencyWeightedIoU",
    "GeneralizedDice",
    "MeanIoU",
    "PixelAccuracy",
]
