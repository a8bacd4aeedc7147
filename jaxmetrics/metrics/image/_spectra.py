"""Angle between the spectra of pixels."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp

from jaxmetrics.core import Direction
from jaxmetrics.metrics.image._images import PairedImageMean


class SpectralAngle(PairedImageMean):
    """Mean angle between the spectra of pixels, in radians; the mean over images.

    `arccos(p . t / (|p| |t|))` over the channels of each pixel, in [0, pi]; lower is
    better, and the brightness does not matter. nan without data. As torchmetrics'
    `SpectralAngleMapper` (Yuhas et al., 1992), but computed without loss of precision
    for small angles. A pixel of which one spectrum is zero has no angle: it is left out
    of the mean of its image, which is nan if it has no other.

    Reads `preds` and `targets`, real `[..., height, width, channels]`, of one shape.

    Args:
      weighted: Require `weights`, of the leading axes, and weight each image by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> preds, targets = [[[[1.0, 0.0]]]], [[[[2.0, 2.0]]]]
      >>> value = jm.evaluate(jm.SpectralAngle(), preds=preds, targets=targets)
      >>> round(float(value), 4)
      0.7854
    """

    higher_is_better: ClassVar[Direction] = False

    def _of_images(self, preds: jax.Array, targets: jax.Array) -> jax.Array:
        preds, targets = (x.astype(jnp.float32) for x in (preds, targets))
        lengths = _length(preds), _length(targets)
        defined = ((lengths[0] != 0) & (lengths[1] != 0))[..., 0]
        p, t = (x / jnp.where(n == 0, 1, n) for x, n in zip((preds, targets), lengths))
        across, along = (_length(x)[..., 0] for x in (p - t, p + t))
        angle = 2 * jnp.arctan2(across, jnp.where(defined, along, 1))
        total = jnp.where(defined, angle, 0).sum((-2, -1))
        pixels = defined.sum((-2, -1), dtype=jnp.int32).astype(jnp.float32)
        return jnp.where(pixels > 0, total / jnp.maximum(pixels, 1), jnp.nan)


def _length(x: jax.Array) -> jax.Array:
    """Return the length of each spectrum, scaled so that squares do not underflow.

    Its slope at zero is 0.
    """
    largest = jnp.abs(x).max(-1, keepdims=True)
    zero = largest == 0
    scaled = x / jnp.where(zero, 1, largest)
    squares = (scaled * scaled).sum(-1, keepdims=True)
    return largest * jnp.sqrt(jnp.where(zero, 1, squares))
