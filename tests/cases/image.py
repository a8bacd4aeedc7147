"""Rows of the image family."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy.ndimage import correlate1d
from support.case import Case, weighted

import jaxmetrics as jm

SHAPE = (12, 13, 2)
WINDOW = 5
FEATURES = 3
WINDOWS_REASON = "variances within windows are differences of float32 squares"


def images(rng, rows):
    targets = rng.uniform(0, 1, (rows, *SHAPE))
    preds = np.clip(targets + rng.normal(0, 0.1, targets.shape), 0.05, 1)
    return dict(preds=preds.astype(np.float32), targets=targets.astype(np.float32))


def unpaired(rng, rows):
    return dict(preds=images(rng, rows)["preds"])


def _mse(preds, targets):
    return ((preds - targets) ** 2).mean((1, 2, 3))


def _windowed(image, weight):
    """Return means over windows inside the image."""
    for axis in (1, 2):
        image = correlate1d(image, weight, axis)
    edge = weight.size // 2
    return image[:, edge:-edge, edge:-edge]


def _terms(x, y, weight):
    mx, my, xx, yy, xy = (_windowed(z, weight) for z in (x, y, x * x, y * y, x * y))
    contrast = (2 * (xy - mx * my) + 9e-4) / (xx - mx * mx + yy - my * my + 9e-4)
    means = (2 * mx * my + 1e-4) / (mx * mx + my * my + 1e-4)
    return (means * contrast).mean((1, 2, 3)), contrast.mean((1, 2, 3))


def _gaussian(size):
    weight = np.exp(-0.5 * ((np.arange(size) - size // 2) / 1.5) ** 2)
    return weight / weight.sum()


def _multi_scale(preds, targets):
    weight = np.full(WINDOW, 1 / WINDOW)
    _, contrast = _terms(preds, targets, weight)
    half = [
        (x[:, :12:2, :12:2] + x[:, 1:12:2, :12:2] + x[:, :12:2, 1:12:2])
        + x[:, 1:12:2, 1:12:2]
        for x in (preds, targets)
    ]
    similarity, _ = _terms(*(x / 4 for x in half), weight)
    return (np.maximum(contrast, 0) ** 0.4 * np.maximum(similarity, 0) ** 0.6).mean()


def _angle(preds, targets):
    lengths = np.linalg.norm(preds, axis=-1) * np.linalg.norm(targets, axis=-1)
    return np.arccos(np.minimum((preds * targets).sum(-1) / lengths, 1)).mean()


def _variation(preds):
    return sum(np.abs(np.diff(preds, axis=axis)).sum() for axis in (1, 2)) / len(preds)


def features(rng, rows):
    """Return two sets of correlated features with different means."""
    drawn = rng.normal(0, 1, (2, rows, FEATURES))
    drawn = drawn @ rng.normal(0, 0.7, (FEATURES, FEATURES)) + rng.normal(
        0, 1, (2, 1, 1)
    )
    drawn = drawn.astype(np.float32)
    return dict(features=drawn[0], reference_features=drawn[1])


def frechet(features, reference_features):
    sets = features, reference_features
    a, b = (np.cov(x.T) for x in sets)
    root = scipy.linalg.sqrtm(a @ b).real
    distance = (features.mean(0) - reference_features.mean(0)) ** 2
    return distance.sum() + np.trace(a + b - 2 * root)


def kernel_distance(features, reference_features):
    def kernels(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    x, y = features, reference_features
    within = [
        (kernels(z, z).sum() - kernels(z, z).trace()) / (len(z) * (len(z) - 1))
        for z in (x, y)
    ]
    return sum(within) - 2 * kernels(x, y).mean()


CASES = (
    Case(
        "psnr",
        jm.PSNR(max_value=1.0),
        images,
        lambda preds, targets: -10 * np.log10(_mse(preds, targets).mean()),
    ),
    Case(
        "psnr per image, weighted",
        jm.PSNR(max_value=255.0, per_image=True, weighted=True),
        weighted(images),
        lambda preds, targets, weights: np.average(
            10 * np.log10(255**2 / _mse(preds, targets)), weights=weights
        ),
    ),
    Case(
        "ssim",
        jm.SSIM(max_value=1.0),
        images,
        lambda preds, targets: _terms(preds, targets, _gaussian(11))[0].mean(),
        tolerance=1e-5,
        reason=WINDOWS_REASON,
    ),
    Case(
        "multi-scale ssim",
        jm.MultiScaleSSIM(
            max_value=1.0, window="uniform", window_size=WINDOW, betas=(0.4, 0.6)
        ),
        images,
        _multi_scale,
        tolerance=1e-5,
        reason=WINDOWS_REASON,
    ),
    Case(
        "spectral angle",
        jm.SpectralAngle(),
        images,
        _angle,
        tolerance=3e-6,
        reason="lengths and angles of pixels are computed in float32",
    ),
    Case(
        "frechet distance",
        jm.FrechetDistance(size=FEATURES),
        features,
        frechet,
        tolerance=1e-5,
        reason="covariances are right to 1e-6 of the largest variance, here of 5",
        without={"jit": "computes on the host only"},
    ),
    Case(
        "kernel distance",
        jm.KernelDistance(size=FEATURES, capacity=256),
        features,
        kernel_distance,
        tolerance=1e-4,
        reason="under jit kernels of 10 cancel in float32",
        by_value=True,
    ),
    Case("total variation", jm.TotalVariation(), unpaired, _variation),
)
