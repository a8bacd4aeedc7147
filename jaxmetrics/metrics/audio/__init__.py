"""Ratios of signal and noise of audio."""

from jaxmetrics.metrics.audio._ratios import SISDR, SISNR, SNR, PermutationInvariant

__all__ = [
    "PermutationInvariant",
    "SISDR",
    "SISNR",
    "SNR",
]
