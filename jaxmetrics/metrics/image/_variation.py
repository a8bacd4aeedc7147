"""Total variation of images."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import MeanMetric, difference
from jaxmetrics.metrics.image._images import as_images


class TotalVariation(MeanMetric):
    """Sum of absolute differences of neighbouring pixels; the mean over images.

    Over both axes and all channels (the anisotropic form), in the unit of the values,
    at least 0; a measure of noise and of edges. nan without data. As torchmetrics'
    `TotalVariation` with `reduction="mean"` (its default is the sum over images) and
    TensorFlow's `tf.image.total_variation`.

    Reads `preds`, real `[..., height, width, channels]`.

    Args:
      weighted: Require `weights`, of the leading axes, and weight each image by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> preds = [[[[0.0], [1.0]], [[0.0], [3.0]]]]
      >>> float(jm.evaluate(jm.TotalVariation(), preds=preds))
      6.0
    """

    def observe(
        self, *, preds: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sum of variations, and number of images."""
        preds = as_images("TotalVariation", "preds", preds)
        steps = (
            difference(preds[..., 1:, :, :], preds[..., :-1, :, :]),
            difference(preds[..., 1:, :], preds[..., :-1, :]),
        )
        values = sum(jnp.abs(step).sum((-3, -2, -1)) for step in steps)
        return self.mean_leaves(values, mask, weights)
