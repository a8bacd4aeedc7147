"""Peak signal-to-noise ratio."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    child,
    count_elements,
    count_leaf,
    count_where,
    difference,
    divide,
    like_values,
    mean_of,
    namespace,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.image._images import (
    PairedImageMean,
    check_max_value,
    paired_images,
    unit_of,
)


class SquaredErrorOfPixels(Metric):
    """Sum of squared errors of all values of images, and their number.

    The state of `PSNR` with `per_image=False`. Errors are in units of `unit`.
    """

    unit: float = 1.0
    weighted: bool = False
    squared_error: Array = sum_leaf()
    values: Array = count_leaf(weighted="weighted")

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sum of squared errors and number of values."""
        preds, targets = paired_images("PSNR", preds, targets)
        error = difference(preds, targets) * (1 / self.unit)
        return dict(
            squared_error=total(error * error, mask, weights),
            values=count_elements(error, mask, weights),
        )

    def compute(self) -> Any:
        """Return the mean squared error, in squared units."""
        return divide(self.squared_error, self.values)


class DecibelsOfImages(PairedImageMean):
    """Sum over images of the peak signal-to-noise ratio of each.

    The state of `PSNR` with `per_image=True`. Images without any error are counted
    apart: their ratio is infinite, and so is the mean.
    """

    max_value: float | None = None
    perfect: Array = count_leaf()

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sum of ratios, number of images and of perfect ones."""
        preds, targets = paired_images("PSNR", preds, targets)
        max_value = self.max_value or 1.0
        unit = unit_of(max_value)
        error = difference(preds, targets) * (1 / unit)
        mean = (error * error).mean((-3, -2, -1))
        perfect = mean == 0
        peak = 20 * math.log10(max_value / unit)
        decibels = peak - 10 * jnp.log10(jnp.where(perfect, 1, mean))
        decibels = jnp.where(perfect, 0, decibels)
        if weights is not None:
            perfect = perfect & (like_values(weights, perfect) != 0)
        return dict(
            self.mean_leaves(decibels, mask, weights),
            perfect=count_where(perfect, mask),
        )


class PSNR(Metric):
    """Peak signal-to-noise ratio of images, in decibels.

    `10 log10(max_value^2 / MSE)`; higher is better, infinite without any error, nan
    without data. Errors below 1e-14 `max_value` may count as none, since float32 does
    not hold their squares.

    Reads `preds` and `targets`, real `[..., height, width, channels]`, of one shape.

    Args:
      max_value: Range of the values, the largest possible one less the smallest: 1.0
        for images in [0, 1], 255 for bytes. Required: libraries that estimate it from
        each batch give values that depend on the batches.
      per_image: False (the default) takes the mean squared error of the values of all
        images, as torchmetrics; True is the mean over images of the ratio of each, as
        TensorFlow's `tf.image.psnr` and metrax. One perfect image makes that infinite.
      weighted: Require `weights`, of the leading axes, and weight each image by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`; it needs
        `per_image=True`, and is nan beside a perfect image. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> preds, targets = [[[[0.5]]], [[[1.0]]]], [[[[0.4]]], [[[0.9]]]]
      >>> value = jm.evaluate(jm.PSNR(max_value=1.0), preds=preds, targets=targets)
      >>> round(float(value), 2)
      20.0
    """

    higher_is_better: ClassVar[Direction] = True

    max_value: float | None = None
    per_image: bool = False
    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    error: Any = child(lambda m: m.make_error())

    def validate(self) -> None:
        """Refuse a missing range of the values, and the error of a pooled value."""
        check_max_value("PSNR", self.max_value)
        if self.stderr and not self.per_image:
            raise ValueError(
                "PSNR: stderr=True needs per_image=True, since the pooled ratio is no "
                "mean over images. Pass both, or use jm.Bootstrap."
            )

    def make_error(self) -> Metric:
        """Return the empty state."""
        if self.per_image:
            return DecibelsOfImages(
                max_value=self.max_value, weighted=self.weighted, stderr=self.stderr
            )
        return SquaredErrorOfPixels(unit_of(self.max_value or 1.0), self.weighted)

    def compute(self) -> Any:
        """Return the ratio, in decibels."""
        xp = namespace(self)
        if self.per_image:
            some_perfect = xp.asarray(self.error.perfect) > 0
            value = mean_of(self.error.total, self.error.count)
            mean = xp.asarray(value["mean"] if self.stderr else value)
            # An error that is NaN or infinite has no mean with a ratio of infinity.
            with_perfect = xp.where(xp.isfinite(mean), np.inf, np.nan)
            mean = xp.where(some_perfect, with_perfect, mean)[()]
            if not self.stderr:
                return mean
            stderr = xp.where(some_perfect, np.nan, value["stderr"])[()]
            return dict(mean=mean, stderr=stderr)
        mean = xp.asarray(divide(self.error.squared_error, self.error.values))
        peak = 20 * math.log10((self.max_value or 1.0) / self.error.unit)
        decibels = peak - 10 * xp.log10(xp.where(mean == 0, 1, mean))
        return xp.where(mean == 0, np.inf, decibels)[()]
