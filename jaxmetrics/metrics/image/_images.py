"""Mean over images, and checks of images, that the metrics share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core import MeanMetric


class PairedImageMean(MeanMetric):
    """Base of metrics that are the mean over images of a value of each pair."""

    def observe(
        self,
        *,
        preds: Any,
        targets: Any,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's sum of values, and number of images."""
        name = type(self).__name__
        values = self._of_images(*paired_images(name, preds, targets))
        return self.mean_leaves(values, mask, weights)

    def _of_images(self, preds: jax.Array, targets: jax.Array) -> jax.Array:
        """Return a value for each image."""
        raise NotImplementedError(f"{type(self).__name__} defines no value of an image")


def as_images(metric: str, name: str, images: Any) -> jax.Array:
    """Return images as float32 `[..., height, width, channels]`; refuse other ranks."""
    images = jnp.asarray(images).astype(jnp.float32)
    if images.ndim < 3:
        raise ValueError(
            f"{metric}: {name} have shape {images.shape}, but images are [..., height, "
            f"width, channels]. Add an axis of channels, {name}[..., None], if there "
            "is none."
        )
    return images


def paired_images(metric: str, preds: Any, targets: Any) -> tuple[jax.Array, jax.Array]:
    """Return predicted and true images as float32 arrays of one shape."""
    preds = as_images(metric, "preds", preds)
    targets = as_images(metric, "targets", targets)
    if preds.shape != targets.shape:
        raise ValueError(
            f"{metric}: preds have shape {preds.shape} and targets {targets.shape}, "
            "but the shapes must be equal. Resize one of them: nothing is broadcast."
        )
    return preds, targets


def check_max_value(metric: str, max_value: float | None) -> float:
    """Refuse a missing range of the values, and one that is not positive."""
    if max_value is None or not 0 < max_value < float("inf"):
        raise ValueError(
            f"{metric}: max_value is {max_value}, but must be the largest possible "
            "value less the smallest, above 0. Pass 1.0 for images in [0, 1], 255 for "
            "bytes, 2.0 for images in [-1, 1]."
        )
    return max_value
