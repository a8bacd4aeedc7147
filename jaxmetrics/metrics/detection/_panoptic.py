"""Panoptic quality of maps of segments."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    as_class_numbers,
    both,
    check_choice,
    count_at,
    count_leaf,
    count_where,
    divide,
    in_range,
    namespace,
    need_classes,
    positions,
    require_integers,
    sum_leaf,
    total,
)

_AVERAGES = ("macro", "none")
_PARTS = ("quality", "segmentation", "recognition")
_HALF = 1 << 16  # values of half an integer


class PanopticQuality(Metric):
    """Quality of segments, countable things and uncountable stuff together.

    A predicted and a true segment of one class match if their intersection over union
    is above 0.5. For each class, with the matches TP, other predicted segments FP and
    other true ones FN: `sum(IoU of TP) / (TP + FP / 2 + FN / 2)`. In [0, 1], higher is
    better; the mean over the classes that occur, nan without any. As Kirillov et al.
    (2019) and their panopticapi.

    Reads `preds` and `targets`, integers `[..., height, width, 2]`, of one shape: the
    class and the number of the instance of each pixel. Classes of stuff have one
    segment in an image: pass the same number for all their pixels. A class out of range
    in `targets` marks void pixels: a predicted segment that lies to more than one half
    in void is not a false positive, and void does not enter unions. A class out of
    range in `preds` is no segment; the true segment below it is still missed (where
    torchmetrics' `PanopticQuality` excuses it).

    Segments are numbered within each image, by a comparison of all pixels with each
    segment: the work is `pixels * segments`, and an image with more than `segments`
    segments, in `preds` or in `targets`, is counted in `invalid` and left out. A `mask`
    has the leading axes and says which images count.

    Args:
      classes: Number of classes.
      segments: Largest number of segments of an image. Default 64.
      average: "macro" (the default) or "none", which gives `[classes]`, nan where a
        class does not occur.
      part: "quality" (the default), or one of its factors: "segmentation", the mean IoU
        of matches (0 without any), or "recognition", the F1 score of segments.
      weighted: Require `weights` of the images.

    Example:
      >>> import jaxmetrics as jm
      >>> targets = [[[[0, 1], [0, 1], [0, 1], [1, 0]]]]
      >>> preds = [[[[0, 7], [0, 7], [1, 0], [1, 0]]]]
      >>> metric = jm.PanopticQuality(classes=2, average="none")
      >>> jm.evaluate(metric, preds=preds, targets=targets).round(4).tolist()
      [0.6667, 0.0]
    """

    higher_is_better: ClassVar[Direction] = True

    classes: int | None = None
    segments: int = 64
    average: str = "macro"
    part: str = "quality"
    weighted: bool = False
    overlap: Array = sum_leaf("classes")
    matched: Array = count_leaf("classes", weighted="weighted")
    unmatched_preds: Array = count_leaf("classes", weighted="weighted")
    unmatched_targets: Array = count_leaf("classes", weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a missing number of classes, and unknown settings."""
        need_classes("PanopticQuality", "a count by class", self.classes)
        check_choice("PanopticQuality", "average", self.average, _AVERAGES)
        check_choice("PanopticQuality", "part", self.part, _PARTS)
        if self.segments < 1 or (self.classes or 0) < 1:
            raise ValueError(
                f"PanopticQuality: classes is {self.classes} and segments "
                f"{self.segments}, but both must be at least 1. Set segments to the "
                "largest number of segments of an image."
            )

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's matches by class, and images with too many segments."""
        preds, targets = (as_class_numbers(x) for x in (preds, targets))
        for name, x in (("preds", preds), ("targets", targets)):
            require_integers(name, x)
        shape = targets.shape
        if preds.shape != shape or len(shape) < 3 or shape[-1] != 2:
            raise ValueError(
                f"PanopticQuality: preds have shape {preds.shape} and targets {shape}, "
                "but both must be [..., height, width, 2] of one shape, with the class "
                "and the instance of each pixel. Stack them along the last axis."
            )
        classes, leading = self.classes or 0, shape[:-3]
        images = [
            x.reshape(math.prod(leading), shape[-3] * shape[-2], 2)
            for x in (preds, targets)
        ]
        found = jax.vmap(lambda p, t: _matches(p, t, classes, self.segments))(*images)
        valid = found["valid"].reshape(leading)
        iou, matched, of_pred, of_target, pred, target = (
            found[name].reshape(*leading, self.segments)
            for name in (
                "iou",
                "matched",
                "pred_class",
                "target_class",
                "missed_pred",
                "missed_target",
            )
        )
        counted = both(valid, mask)[..., None]
        matched = matched & counted
        number = positions(classes, matched.ndim + 1)
        by_class = (of_target[..., None] == number) & matched[..., None]
        return dict(
            overlap=total(
                jnp.where(by_class, iou[..., None], 0), weights=weights, keep=1
            ),
            matched=count_at(of_target, (classes,), matched, weights),
            unmatched_preds=count_at(of_pred, (classes,), pred & counted, weights),
            unmatched_targets=count_at(
                of_target, (classes,), target & counted, weights
            ),
            invalid=count_where(~valid, mask),
        )

    def compute(self) -> Any:
        """Return the quality, or `[classes]` of them."""
        xp = namespace(self)
        matched = xp.asarray(self.matched)
        other = (xp.asarray(self.unmatched_preds) + self.unmatched_targets) / 2
        mean_iou = xp.where(matched > 0, divide(self.overlap, matched), 0.0)
        found = divide(matched, matched + other)
        values = {
            "quality": divide(self.overlap, matched + other),
            "segmentation": xp.where(xp.isnan(found), np.nan, mean_iou),
            "recognition": found,
        }[self.part]
        if self.average == "none":
            return values
        occurs = ~xp.isnan(found)
        return divide(xp.where(occurs, values, 0).sum(-1), occurs.sum(-1))


def _numbered(
    pixels: jax.Array, classes: int, segments: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Give the segments of an image numbers, in the order of class and instance.

    Args:
      pixels: Class and instance, int32 `[pixels, 2]`.
      classes: Number of classes; pixels of others belong to no segment.
      segments: Largest number of segments.

    Returns:
      number: Segment of each pixel, int32 `[pixels]`, -1 for none.
      of_class: Class of each segment, int32 `[segments]`, -1 for none.
      fits: Bool, False if there are more segments.
    """
    kind = pixels[:, 0]
    words = _words(kind, pixels[:, 1], in_range(kind, classes), classes)

    def next_segment(last: Any, _: Any) -> tuple[Any, Any]:
        among, found = _less(last, words), []
        for word in words:
            found.append(jnp.where(among, word, jnp.inf).min())
            among = among & (word == found[-1])
        return tuple(found), tuple(found)

    # Below every segment, but varying over the devices of a shard_map as the carry.
    start = tuple(jnp.minimum(word.min(), -1) for word in words)
    last, found = lax.scan(next_segment, start, None, length=segments)
    # A segment's number is that of the segments before it.
    number = jnp.zeros_like(kind)
    for segment in zip(*found):
        number = number + _less(segment, words).astype(jnp.int32)
    inside = words[0] < jnp.inf
    is_left = inside & _less(last, words)
    of_class = jnp.where(found[0] < jnp.inf, found[0], -1).astype(jnp.int32)
    if len(words) == 2:
        of_class = of_class >> 16
    return jnp.where(inside, number, -1), of_class, ~is_left.any()


def _words(
    kind: jax.Array, instance: jax.Array, inside: jax.Array, classes: int
) -> tuple[jax.Array, ...]:
    """Return class and instance as float32 words, the first one the most significant.

    Halves of 16 bits are exact; XLA:CPU takes the least of floats, but not that of
    integers, with vectors. Pixels of no segment have infinite words.
    """
    instance = lax.bitcast_convert_type(instance, jnp.uint32) ^ np.uint32(1 << 31)
    upper, lower = instance >> 16, instance & np.uint32(_HALF - 1)
    whole = (kind, upper, lower)
    if classes * _HALF <= 1 << 24:
        whole = (kind * _HALF + upper.astype(jnp.int32), lower)
    return tuple(jnp.where(inside, x.astype(jnp.float32), jnp.inf) for x in whole)


def _less(a: tuple[jax.Array, ...], b: tuple[jax.Array, ...]) -> jax.Array:
    """Return where words are less, the first ones before the later ones."""
    less = a[-1] < b[-1]
    for x, y in zip(a[-2::-1], b[-2::-1]):
        less = (x < y) | ((x == y) & less)
    return less


def _matches(
    preds: jax.Array, targets: jax.Array, classes: int, segments: int
) -> dict[str, jax.Array]:
    """Return matches of the segments of one image, by true segment."""
    pred, pred_class, pred_fits = _numbered(preds, classes, segments)
    target, target_class, target_fits = _numbered(targets, classes, segments)
    # Areas of intersections; the last row and column are void and no segment.
    last = jnp.int32(segments)
    areas = count_at(
        (jnp.where(target < 0, last, target), jnp.where(pred < 0, last, pred)),
        (segments + 1, segments + 1),
    ).astype(jnp.float32)
    inner, in_void = areas[:-1, :-1], areas[-1, :-1]
    pred_area, target_area = areas.sum(0)[:-1], areas.sum(1)[:-1]
    union = target_area[:, None] + (pred_area - in_void)[None] - inner
    iou = inner / jnp.where(union > 0, union, 1)
    same = (target_class[:, None] == pred_class[None]) & (target_class >= 0)[:, None]
    match = same & (iou > 0.5)  # at most one in each row and column
    mostly_void = in_void > 0.5 * pred_area
    return dict(
        valid=pred_fits & target_fits,
        iou=jnp.where(match, iou, 0).sum(1),
        matched=match.any(1),
        pred_class=pred_class,
        target_class=target_class,
        missed_pred=(pred_class >= 0) & ~match.any(0) & ~mostly_void,
        missed_target=(target_class >= 0) & ~match.any(1),
    )
