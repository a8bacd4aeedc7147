"""Hausdorff distance of predicted and labelled regions."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    both,
    check_choice,
    class_index,
    count_leaf,
    count_where,
    divide,
    positions,
    scores_field,
)
from jaxmetrics.metrics.segmentation._pixels import check_classes, pixels


class HausdorffDistance(MeanMetric):
    """Largest distance from a region's edge to the edge of the other; lower is better.

    `max(max d(p, L), max d(l, P))` over the edge pixels p of the predicted region P and
    l of the labelled one L of a class, with the distance d to the nearest edge pixel of
    the other region: 0 for equal regions. With `percentile=95` each direction takes the
    95th percentile of its distances in place of the largest, interpolated as NumPy's
    (HD95, as MONAI's `HausdorffDistanceMetric`). The value of an image is the mean over
    classes, and the metric is the mean over images; nan without data.

    Pixels of a region that touch another class, or the border of the image, along an
    axis are its edge. With `edges=False` all its pixels count, which is the maximum of
    both of SciPy's `directed_hausdorff`. A class that an image lacks on both sides has
    no value there; where only one side lacks it, the distance is undefined: it is left
    out and counted in `missed`, so look at `MeanIoU` too. Labels and predictions out of
    range, and pixels without a largest score (see `jaxmetrics.metrics`), are counted in
    `invalid` and belong to no region, as masked pixels do.

    Distances are exact up to float32. An update does `classes * pixels * (height +
    width)` work and holds a few arrays of `classes * pixels` floats; a percentile below
    100 sorts them as well. For large volumes, use MONAI on the host.

    Args:
      classes: Number of classes; `logits` `[..., height, width, classes]`, integer
        `labels` `[..., height, width]`.
      percentile: Percentile of the distances, above 0; 100 (the default) is the
        largest.
      spacing: Size of a pixel along each axis, in the unit of the distance. Default
        (1.0, 1.0); three numbers are for volumes `[..., depth, height, width]`.
      background: Class without a value of its own; 0 (the default), or None.
      edges: Take the edges of regions (the default), or all their pixels.
      average: "macro" (the default) is the mean over classes; "none" gives `[classes]`,
        nan for the background.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape.
      ignore_index: Label, or tuple of labels, of pixels that do not count. Default
        none.
      weighted: Require `weights` of the images.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.HausdorffDistance(classes=2, scores="preds")
      >>> preds, labels = [[[0, 1, 1, 1]]], [[[0, 1, 0, 0]]]
      >>> float(jm.evaluate(metric, preds=preds, labels=labels))
      2.0
    """

    higher_is_better: ClassVar[Direction] = False

    classes: int | None = None
    percentile: float = dataclasses.field(default=100.0, kw_only=True)
    spacing: tuple[float, ...] = dataclasses.field(default=(1.0, 1.0), kw_only=True)
    background: int | None = dataclasses.field(default=0, kw_only=True)
    edges: bool = dataclasses.field(default=True, kw_only=True)
    average: str = dataclasses.field(default="macro", kw_only=True)
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = dataclasses.field(
        default=None, kw_only=True
    )
    missed: Array = count_leaf()
    invalid: Array = count_leaf()

    @property
    def means(self) -> tuple[int, ...]:
        """Shape of the mean."""
        return (self.classes or 0,) if self.average == "none" else ()

    def validate(self) -> None:
        """Refuse a missing number of classes, and impossible settings."""
        check_classes("HausdorffDistance", self.classes)
        check_choice("HausdorffDistance", "average", self.average, ("macro", "none"))
        if self.background not in (None, *range(self.classes or 0)):
            raise ValueError(
                f"HausdorffDistance: background is {self.background}, but must be one "
                f"of the {self.classes} classes, or None. Leave it out for 0."
            )
        if not 0 < self.percentile <= 100:
            raise ValueError(
                f"HausdorffDistance: percentile is {self.percentile}, but must be "
                "above 0 and at most 100. Pass 95 for HD95."
            )
        if not self.spacing or not all(0 < x < math.inf for x in self.spacing):
            raise ValueError(
                f"HausdorffDistance: spacing is {self.spacing}, but must be one number "
                "above 0 for each axis of the images, and finite. Leave it out for "
                "pixels of size 1."
            )

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the distances of the batch's images, and invalid pixels."""
        preds, numbers, valid, kept = pixels(self, logits, labels, mask)
        axes = len(self.spacing)
        if numbers.ndim < axes:
            raise ValueError(
                f"HausdorffDistance: labels have shape {numbers.shape}, but the last "
                f"{axes} axes must be those of an image, for spacing={self.spacing}. "
                "Pass whole images, or a spacing for each of their axes."
            )
        scored = both(valid, kept)
        number = class_index(jnp.zeros((*numbers.shape, self.classes or 0), bool))
        regions = [
            jnp.moveaxis((x[..., None] == number) & scored[..., None], -1, -1 - axes)
            for x in (preds, numbers)
        ]
        occurs = [x.any(tuple(range(-axes, 0))) for x in regions]
        if self.edges:
            regions = [x & ~_eroded(x, axes) for x in regions]
        own = positions(self.classes or 0, occurs[0].ndim) != self.background
        distance = jnp.maximum(*map(self._directed, regions, regions[::-1]))
        found = occurs[0] & occurs[1] & own
        distance = jnp.where(found, distance, 0)
        if self.average == "macro":
            distance = divide(distance.sum(-1), found.sum(-1))
        counted = found if self.average == "none" else found.any(-1)
        missed = (occurs[0] != occurs[1]) & own
        return dict(
            **self.mean_leaves(distance, counted, weights),
            missed=count_where(missed),
            invalid=count_where(~valid, kept),
        )

    def diagnostics(self) -> dict[str, float]:
        """Return `missed`, regions that only one side has, beside `invalid`."""
        missed = np.asarray(self.plain()["missed"]).sum()
        found = super().diagnostics()
        return found | {"missed": float(missed)} if missed else found

    def _directed(self, region: jax.Array, other: jax.Array) -> jax.Array:
        """Return the distance of regions `[..., *axes]` from others, `[...]`."""
        # In units, a power of two, of which float32 holds the squares of lengths.
        unit = math.ldexp(1.0, math.frexp(max(self.spacing))[1])
        sides = tuple(side / unit for side in self.spacing)
        distance = jnp.sqrt(_squared_distances(other, sides)) * np.float32(unit)
        axes = tuple(range(-len(self.spacing), 0))
        if self.percentile == 100:
            return jnp.where(region, distance, 0).max(axes)
        distance = jnp.where(region, distance, jnp.inf)
        flat = lax.collapse(distance, distance.ndim - len(axes))
        ordered = jnp.sort(flat, axis=-1)
        size = jnp.maximum(region.sum(axes, dtype=jnp.int32), 1)
        place = (size - 1).astype(jnp.float32) * np.float32(self.percentile / 100)
        low = jnp.floor(place).astype(jnp.int32)
        pair = jnp.stack([low, jnp.minimum(low + 1, size - 1)], -1)
        at_low, at_high = jnp.moveaxis(
            jnp.take_along_axis(ordered, pair, axis=-1), -1, 0
        )
        share = place - low.astype(jnp.float32)
        return at_low + jnp.where(share > 0, (at_high - at_low) * share, 0)


def _eroded(region: jax.Array, axes: int) -> jax.Array:
    """Return the pixels all of whose neighbours along axes are in the region."""
    inner = region
    for axis in range(-axes, 0):
        last = region.shape[axis] - 1
        index = positions(last + 1, region.ndim + axis + 1)
        index = index.reshape(*index.shape, *[1] * (-axis - 1))
        for step, border in ((1, 0), (-1, last)):
            inner = inner & jnp.roll(region, step, axis) & (index != border)
    return inner


def _squared_distances(region: jax.Array, spacing: tuple[float, ...]) -> jax.Array:
    """Return the squared distance of each pixel from the nearest one of a region.

    Axis by axis, since the square is a sum over axes: along an axis it is the least of
    the squares so far plus the squared distance along the axis. inf without a region.

    Args:
      region: Bool `[..., *axes]`.
      spacing: Size of a pixel along each axis.
    """
    squares = jnp.where(region, jnp.float32(0), jnp.float32(jnp.inf))
    for axis, size in zip(range(-len(spacing), 0), spacing):
        index = np.arange(region.shape[axis]) * size
        apart = np.square(index[:, None] - index[None]).astype(np.float32)
        apart = apart.reshape((1,) * (squares.ndim - 1) + apart.shape)
        last = jnp.moveaxis(squares, axis, -1)
        squares = jnp.moveaxis((last[..., None, :] + apart).min(-1), -1, axis)
    return squares
