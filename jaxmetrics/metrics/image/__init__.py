"""Quality and similarity of images."""

from jaxmetrics.metrics.image._noise_ratio import PSNR
from jaxmetrics.metrics.image._spectra import SpectralAngle
from jaxmetrics.metrics.image._structure import SSIM, MultiScaleSSIM
from jaxmetrics.metrics.image._variation import TotalVariation

__all__ = [
    "MultiScaleSSIM",
    "PSNR",
    "SSIM",
    "SpectralAngle",
    "TotalVariation",
]
