"""Overlap of pairs of boxes."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    as_numbers,
    both,
    check_choice,
    count_leaf,
    count_where,
    difference,
    relative_to,
)

_KINDS = ("iou", "giou", "diou", "ciou")


class BoxIoU(MeanMetric):
    """Intersection over union of predicted and true boxes; the mean over pairs.

    Boxes are paired by position, as after a matching; nothing is matched here. Higher
    is better, nan without data. The kinds are those of torchvision's `box_iou`,
    `generalized_box_iou`, `distance_box_iou` and `complete_box_iou`:

    - "iou": `I / U`, in [0, 1].
    - "giou": `I / U - (E - U) / E` with the area E of the box that encloses both, in
      (-1, 1] (Rezatofighi et al., 2019).
    - "diou": `I / U - d^2 / c^2` with the distance d of the centres and the diagonal c
      of the enclosing box, in (-1, 1] (Zheng et al., 2020).
    - "ciou": the same, less `v^2 / (1 - I / U + v)` with the difference of the aspect
      ratios `v = (2 (arctan(w1 / h1) - arctan(w2 / h2)) / pi)^2`.

    A ratio of areas or lengths that are both zero counts as 0.

    Reads `preds` and `targets`, real `[..., 4]`, of one shape: boxes `(x1, y1, x2, y2)`
    with `x1 <= x2` and `y1 <= y2`. Pad images with fewer boxes, and pass a `mask`
    `[...]`. A pair with a box that is not finite, or whose corners are the wrong way
    round (as those of boxes in another format), is counted in `invalid` and left out.

    Args:
      kind: "iou" (the default), "giou", "diou" or "ciou".
      weighted: Require `weights`, of the leading axes, and weight each pair by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> preds, targets = [[0.0, 0.0, 2.0, 2.0]], [[1.0, 0.0, 3.0, 2.0]]
      >>> round(float(jm.evaluate(jm.BoxIoU(), preds=preds, targets=targets)), 4)
      0.3333
    """

    higher_is_better: ClassVar[Direction] = True

    kind: str = "iou"
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse an unknown kind."""
        check_choice("BoxIoU", "kind", self.kind, _KINDS)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sum of overlaps, number of pairs, and invalid pairs."""
        preds, targets = as_numbers(preds), as_numbers(targets)
        if preds.shape != targets.shape or preds.shape[-1:] != (4,):
            raise ValueError(
                f"BoxIoU: preds have shape {preds.shape} and targets {targets.shape}, "
                "but both must be [..., 4] of one shape. Pair each prediction with a "
                "target."
            )
        valid = is_box(preds) & is_box(targets)
        scored = both(valid, mask)
        if jnp.float32 not in (preds.dtype, targets.dtype):
            # Moved to the corner of the targets, since float32 rounds large integers.
            corner = jnp.tile(targets[..., :2], 2)
            preds, targets = (difference(x, corner) for x in (preds, targets))
        preds, targets = (x.astype(jnp.float32) for x in (preds, targets))
        return dict(
            **self.mean_leaves(
                overlap_of_boxes(preds, targets, self.kind), scored, weights
            ),
            invalid=count_where(~valid, mask),
        )


def is_box(boxes: jax.Array) -> jax.Array:
    """Return where corners are in order, and boxes and their sizes are finite."""
    in_order = (boxes[..., :2] <= boxes[..., 2:]).all(-1)
    if jnp.issubdtype(boxes.dtype, jnp.integer):
        return in_order
    return in_order & jnp.isfinite(boxes[..., 2:] - boxes[..., :2]).all(-1)


def area(boxes: jax.Array) -> jax.Array:
    """Return the area of boxes `[..., 4]`."""
    size = boxes[..., 2:] - boxes[..., :2]
    return size[..., 0] * size[..., 1]


def share_inside(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the share of the area of each box a that lies in b."""
    size = a[..., 2:] - a[..., :2]
    inner = jnp.minimum(a[..., 2:], b[..., 2:]) - jnp.maximum(a[..., :2], b[..., :2])
    largest = size.max(-1, keepdims=True)
    inner, size = (relative_to(largest, x) for x in (jnp.maximum(inner, 0), size))
    return _ratio(inner[..., 0] * inner[..., 1], size[..., 0] * size[..., 1])


def overlap_of_boxes(a: jax.Array, b: jax.Array, kind: str) -> jax.Array:
    """Return the overlap of each pair of boxes, whatever their unit."""
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    inner = jnp.minimum(a[..., 2:], b[..., 2:]) - jnp.maximum(a[..., :2], b[..., :2])
    outer = jnp.maximum(a[..., 2:], b[..., 2:]) - jnp.minimum(a[..., :2], b[..., :2])
    # The corners' sums differ by twice the distance of the centres.
    offset = (a[..., :2] - b[..., :2] + (a[..., 2:] - b[..., 2:])) / 2
    largest = outer.max(-1, keepdims=True)
    size_a, size_b, inner, outer, offset = (
        relative_to(largest, x)
        for x in (size_a, size_b, jnp.maximum(inner, 0), outer, offset)
    )
    area_a, area_b, intersection, enclosing = (
        size[..., 0] * size[..., 1] for size in (size_a, size_b, inner, outer)
    )
    union = area_a + area_b - intersection
    iou = _ratio(intersection, union)
    if kind == "iou":
        return iou
    if kind == "giou":
        return iou - _ratio(enclosing - union, enclosing)
    diou = iou - _ratio((offset * offset).sum(-1), (outer * outer).sum(-1))
    if kind == "diou":
        return diou
    v = (2 / math.pi * (_diagonal(size_a) - _diagonal(size_b))) ** 2
    return diou - _ratio(v * v, 1 - iou + v)


def _diagonal(size: jax.Array) -> jax.Array:
    """Return the angle of the diagonal; of a point it is 0, and so is its slope."""
    width, height = size[..., 0], size[..., 1]
    point = (width == 0) & (height == 0)
    return jnp.arctan2(width, jnp.where(point, 1, height))


def _ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    zero = denominator == 0
    return jnp.where(zero, 0, numerator / jnp.where(zero, 1, denominator))
