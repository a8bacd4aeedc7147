"""Mean over images, and checks of images, that the metrics share."""

from __future__ import annotations

import math
from typing import Any

import jax

from jaxmetrics.core import MeanMetric, as_numbers

_USUAL = 16  # squares of errors of values around 2^-16 to 2^16 stay in float32
_LARGEST = 126  # a power of two that float32 holds, as its inverse


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
    """Return images `[..., height, width, channels]`; refuse other ranks.

    They are float32, or integers, of which `difference` is taken before they are
    rounded.
    """
    images = as_numbers(images)
    if images.ndim < 3:
        raise ValueError(
            f"{metric}: {name} have shape {images.shape}, but images are [..., height, "
            f"width, channels]. Add an axis of channels, {name}[..., None], if there "
            "is none."
        )
    return images


def paired_images(metric: str, preds: Any, targets: Any) -> tuple[jax.Array, jax.Array]:
    """Return predicted and true images, as `as_images` does, of one shape."""
    preds = as_images(metric, "preds", preds)
    targets = as_images(metric, "targets", targets)
    if preds.shape != targets.shape:
        raise ValueError(
            f"{metric}: preds have shape {preds.shape} and targets {targets.shape}, "
            "but the shapes must be equal. Resize one of them: nothing is broadcast."
        )
    return preds, targets


def unit_of(max_value: float) -> float:
    """Return the power of two in which values are measured before they are squared.

    It is near the range of the values if their squares could leave float32, else 1.

    >>> unit_of(255.0), unit_of(0.75 * 2.0**-100) == 2.0**-100
    (1.0, True)
    """
    exponent = math.frexp(max_value)[1]
    if abs(exponent) <= _USUAL:
        return 1.0
    return math.ldexp(1.0, max(-_LARGEST, min(exponent, _LARGEST)))


def check_max_value(metric: str, max_value: float | None) -> float:
    """Refuse a missing range of the values, and one that is not positive."""
    if max_value is None or not 0 < max_value < float("inf"):
        raise ValueError(
            f"{metric}: max_value is {max_value}, but must be the largest possible "
            "value less the smallest, above 0. Pass 1.0 for images in [0, 1], 255 for "
            "bytes, 2.0 for images in [-1, 1]."
        )
    return max_value
