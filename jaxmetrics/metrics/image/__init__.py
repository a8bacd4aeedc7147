"""Quality and similarity of images, and distances of sets of their features."""

from jaxmetrics.metrics.image._feature_distance import FrechetDistance, KernelDistance
from jaxmetrics.metrics.image._noise_ratio import PSNR
from jaxmetrics.metrics.image._spectra import SpectralAngle
from jaxmetrics.metrics.image._structure import SSIM, MultiScaleSSIM
from jaxmetrics.metrics.image._variation import TotalVariation

__all__ = [
    "FrechetDistance",
    "KernelDistance",
    "MultiScaleSSIM",
    "PSNR",
    "SSIM",
    "SpectralAngle",
    "TotalVariation",
]
