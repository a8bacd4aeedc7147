"""Values of SSIM by scikit-image, frozen in structure.json.

Run with scikit-image 0.26 and torchmetrics 1.9 beside this file's images.
"""

import json
from pathlib import Path

import numpy as np


def images():
    """Return two predicted images and their targets, float32 `[2, 32, 40, 3]`."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :40]
    waves = [0.5 + 0.4 * np.sin(x / 5 + k) * np.cos(y / 7 + k) for k in range(3)]
    targets = np.stack([np.stack(waves, -1) * s for s in (1.0, 0.7)])
    noise = 0.1 * rng.normal(size=targets.shape)
    preds = np.clip(targets + noise, 0, 1)
    return preds.astype(np.float32), targets.astype(np.float32)


def values():
    """Return the value of each image by the options of the metric, as JSON."""
    import torch
    from skimage.metrics import structural_similarity
    from torchmetrics.functional.image import (
        spectral_angle_mapper,
        total_variation,
    )

    preds, targets = (x.astype(np.float64) for x in images())
    gaussian = dict(gaussian_weights=True, sigma=1.5)
    options = {
        "gaussian": dict(gaussian, use_sample_covariance=False),
        "uniform": dict(use_sample_covariance=False),
        "uniform, sample covariance": dict(use_sample_covariance=True),
        "uniform, 5 pixels": dict(win_size=5, use_sample_covariance=False),
    }
    frozen = {
        name: [
            float(structural_similarity(p, t, data_range=1, channel_axis=-1, **kwargs))
            for p, t in zip(preds, targets, strict=True)
        ]
        for name, kwargs in options.items()
    }
    p, t = (torch.tensor(x).permute(0, 3, 1, 2) for x in (preds, targets))
    frozen["spectral angle"] = float(spectral_angle_mapper(p, t))
    frozen["total variation"] = float(total_variation(p, reduction="mean"))
    return frozen


if __name__ == "__main__":
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(values(), indent=2) + "\n")
