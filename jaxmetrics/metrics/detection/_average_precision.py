"""Average precision of detected boxes, as COCO defines it, from histograms of scores.

Detections are matched within each image, so that what remains of it are scores of true
and false positives, and the number of objects. The precision at a recall needs only the
order of the scores of all images. Histograms keep that order up to the order within a
bin, and so give a lower bound, where all false positives of a bin come first, an upper
bound, where they come last, and an estimate in between.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, Self

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
    grid_counts_by_member,
    grid_leaf,
    in_range,
    mask_like,
    namespace,
    need_classes,
    on_plain_values,
    require_integers,
)
from jaxmetrics.metrics.detection._boxes import (
    area,
    is_box,
    overlap_of_boxes,
    share_inside,
)

_AVERAGES = ("macro", "none")
_COCO = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
_RECALLS = 100  # the recalls 0, 1 / 100, ..., 1
_AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
_WIDE = 0.05  # width of bounds that diagnostics report


def _rounded_up() -> tuple[int, ...]:
    """Return the i for which the recall i * 0.01 of float64 exceeds i / 100.

    There COCO's evaluation misses a recall of exactly i / 100.
    """
    numbers = np.arange(_RECALLS + 1)
    return tuple(numbers[numbers * 0.01 > numbers / _RECALLS].tolist())


class DetectionAP(Metric):
    """Average precision of detected boxes (COCO's mAP); in [0, 1], higher is better.

    For each class and threshold of the overlap (IoU): the mean over the recalls 0,
    0.01, ..., 1 of the largest precision at that recall or above, 0 where it is not
    reached. The value is the mean over thresholds and over the classes that have
    objects, nan without any. As pycocotools (Lin et al., 2014).

    Within an image, detections of a class take in the order of their scores the object
    of that class with the largest overlap that is free and reaches the threshold; the
    later one of equal overlaps. Only the `max_detections` best ones of a class count.
    Detections of equal score enter together, in one image and in several, where
    pycocotools takes one after the other.

    With `crowds=True`, regions of many objects are marked by `target_crowd`. A
    detection that takes no object but lies in such a region (the share of its own area
    reaches the threshold) is left out, however many do. With `areas=True`, objects
    outside a range of areas, and detections outside of it that take none, are left out
    for that range: small up to 32^2, medium from there up to 96^2, large from there on.

    Reads, for images along the leading axes, padded to a fixed number of boxes:
    `pred_boxes` `[..., detections, 4]` and `target_boxes` `[..., objects, 4]`, boxes
    `(x1, y1, x2, y2)`; `pred_scores` `[..., detections]`; the classes `pred_labels`
    `[..., detections]` and `target_labels` `[..., objects]`; and `pred_mask` and
    `target_mask`, bool, False where a box is padding. `mask` `[...]` says which images
    count. Where they are configured, `target_crowd`, bool `[..., objects]`, and
    optionally `target_areas` `[..., objects]`, where the area of an object is not that
    of its box (COCO takes that of its segment). Boxes that are not finite or whose
    corners are the wrong way round, classes out of range, and detections with a score
    of nan are counted in `invalid` and left out.

    Scores of true and false positives are counted in histograms that widen as scores
    come in, see `AUROC`; the state is the same for any order of images, batches and
    devices. The order within a bin is unknown: `bounds()` returns how far the exact
    value can be off. With scores that are multiples of 1/256, or that take few values,
    it is exact. For 80,000 detections of continuous scores in 5,000 random images the
    bounds were 0.003 apart, and the value was right to 2e-4. The state takes `16 bins`
    bytes for each class and threshold, and once more for each class: 3.6 MB for 80
    classes; with `crowds` twice, with `areas` eight times that for each threshold.
    Boxes and overlaps are float32.
    Under jit the value is right up to 160,000 objects of a class.

    Args:
      classes: Number of classes.
      thresholds: Thresholds of the overlap, by default 0.5, 0.55, ..., 0.95.
      max_detections: Largest number of detections of a class in an image that count.
        Default 100.
      average: "macro" (the default), or "none", which gives `[classes]`, nan for those
        without objects.
      crowds: Require `target_crowd`. Default False.
      areas: Also return the values by area. Default False.
      bins: Number of bins of a histogram, a power of two. Default 256.

    Returns by `compute`: `ap`, the mean over the thresholds, `ap50` and `ap75` if 0.5
    and 0.75 are among them, and with `areas` `ap_small`, `ap_medium` and `ap_large`.

    Example:
      >>> import jaxmetrics as jm
      >>> outputs = dict(
      ...     pred_boxes=[[[0.0, 0.0, 9.0, 10.0], [50.0, 50.0, 60.0, 60.0]]],
      ...     pred_scores=[[0.9, 0.4]],
      ...     pred_labels=[[0, 1]],
      ...     target_boxes=[[[0.0, 0.0, 10.0, 10.0]]],
      ...     target_labels=[[0]],
      ... )
      >>> value = jm.evaluate(jm.DetectionAP(classes=2), **outputs)
      >>> round(float(value["ap"]), 4), float(value["ap50"]), float(value["ap75"])
      (0.9, 1.0, 1.0)
    """

    higher_is_better: ClassVar[Direction] = True

    classes: int | None = None
    thresholds: tuple[float, ...] = _COCO
    max_detections: int = 100
    average: str = "macro"
    crowds: bool = dataclasses.field(default=False, kw_only=True)
    areas: bool = dataclasses.field(default=False, kw_only=True)
    bins: int = dataclasses.field(default=256, kw_only=True)
    cells: Array = grid_leaf("classes", bins="bins", columns="columns")
    objects: Array = count_leaf("ranges classes")
    invalid: Array = count_leaf()

    @property
    def overlaps(self) -> int:
        """Number of thresholds."""
        return len(self.thresholds)

    @property
    def ranges(self) -> int:
        """Number of ranges of areas; the first is all."""
        return 1 + len(_AREAS) * self.areas

    @property
    def columns(self) -> int:
        """Number of columns of the histograms.

        True positives of each range and threshold, then false ones. Where no detection
        is left out, all detections, then the true ones of each threshold.
        """
        by_threshold = self.ranges * self.overlaps
        return 2 * by_threshold if self._leaves_out else 1 + by_threshold

    @property
    def _leaves_out(self) -> bool:
        return self.crowds or self.areas

    def validate(self) -> None:
        """Refuse a missing number of classes, and unknown settings."""
        need_classes("DetectionAP", "a count by class", self.classes)
        check_choice("DetectionAP", "average", self.average, _AVERAGES)
        if not self.thresholds or not all(0 < x <= 1 for x in self.thresholds):
            raise ValueError(
                f"DetectionAP: thresholds is {self.thresholds}, but must be overlaps "
                "in (0, 1]. Leave it out for those of COCO."
            )
        if self.bins < 4 or self.bins & (self.bins - 1):
            raise ValueError(
                f"DetectionAP: bins is {self.bins}, but must be a power of two, at "
                "least 4. Leave it out for the default."
            )
        if self.max_detections < 1 or (self.classes or 0) < 1:
            raise ValueError(
                f"DetectionAP: classes is {self.classes} and max_detections "
                f"{self.max_detections}, but both must be at least 1."
            )

    def observe(
        self,
        *,
        pred_boxes: Any,
        pred_scores: Any,
        pred_labels: Any,
        target_boxes: Any,
        target_labels: Any,
        pred_mask: Any = None,
        target_mask: Any = None,
        target_crowd: Any = None,
        target_areas: Any = None,
        mask: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's scores by threshold and class, and its objects."""
        classes = self.classes or 0
        preds = _labelled("pred", pred_boxes, pred_labels, pred_mask)
        targets = _labelled("target", target_boxes, target_labels, target_mask)
        scores = jnp.asarray(pred_scores).astype(jnp.float32)
        if scores.shape != preds.labels.shape:
            raise ValueError(
                f"DetectionAP: pred_scores have shape {scores.shape}, but pred_labels "
                f"{preds.labels.shape}. Pass one score for each detection."
            )
        leading = scores.shape[:-1]
        if targets.labels.shape[:-1] != leading:
            raise ValueError(
                f"DetectionAP: pred_labels have shape {preds.labels.shape} and "
                f"target_labels {targets.labels.shape}, but their leading axes must be "
                "the same images. Pad each image to the same number of boxes."
            )
        crowd, sizes = self._of_targets(targets, target_crowd, target_areas)
        valid = preds.valid(classes) & ~jnp.isnan(scores)
        kept, target_kept = (both(boxes.there, mask) for boxes in (preds, targets))
        valid_target = targets.valid(classes) & ~jnp.isnan(sizes)
        counted, counted_target = valid & kept, valid_target & target_kept
        left_out = crowd[..., None, :] | self._outside(sizes)

        def of_images(x: jax.Array) -> jax.Array:
            return x.reshape(math.prod(leading), *x.shape[len(leading) :])

        scores, labels, hits = jax.vmap(self._matched)(
            *map(
                of_images,
                (
                    preds.boxes,
                    preds.labels,
                    scores,
                    counted,
                    targets.boxes,
                    targets.labels,
                    counted_target,
                    crowd,
                    left_out,
                ),
            )
        )
        cells = grid_counts_by_member(
            scores,
            labels,
            hits,
            members=classes,
            bins=self.bins,
            onto=vars(self).get("_onto"),
        )
        of_range = [
            count_at(targets.labels, (classes,), counted_target & ~left_out[..., i, :])
            for i in range(self.ranges)
        ]
        return dict(
            cells=cells,
            objects=jnp.stack(of_range),
            invalid=count_where(~valid, kept) + count_where(~valid_target, target_kept),
        )

    def onto_itself(self) -> Self:
        """Return this metric, whose `observe` counts on the grids of its state."""
        return self.with_fields(_onto=self.cells)

    def _of_targets(
        self, targets: _Boxes, crowd: Any, areas: Any
    ) -> tuple[jax.Array, jax.Array]:
        """Return where objects are crowds, and their areas."""
        if self.crowds and crowd is None:
            raise TypeError(
                "DetectionAP(crowds=True) needs output 'target_crowd', bool [..., "
                "objects]. Pass it, or leave crowds out of the targets."
            )
        is_crowd = jnp.zeros(targets.labels.shape, bool)
        if self.crowds:
            is_crowd = jnp.asarray(crowd).astype(bool)
        sizes = area(targets.boxes)
        if self.areas and areas is not None:
            sizes = jnp.asarray(areas).astype(jnp.float32)
        for name, x in (("target_crowd", is_crowd), ("target_areas", sizes)):
            if x.shape != targets.labels.shape:
                raise ValueError(
                    f"DetectionAP: {name} has shape {x.shape}, but target_labels "
                    f"{targets.labels.shape}. Pass one entry for each object."
                )
        return is_crowd, sizes

    def _outside(self, sizes: jax.Array) -> jax.Array:
        """Return which areas are outside each range, bool `[..., ranges, boxes]`."""
        outside = [jnp.zeros(sizes.shape, bool)]
        if self.areas:
            for low, high in _AREAS.values():
                outside.append((sizes < low) | (sizes > high))
        return jnp.stack(outside, axis=-2)

    def compute(self) -> dict[str, Any]:
        """Return the average precisions, or `[classes]` of each."""
        return self._averaged()[1]

    @on_plain_values
    def bounds(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return lower and upper bounds of the exact values, by name.

        They hold for any order of the scores within the bins.
        """
        low, _, high = self._averaged()
        return low, high

    def diagnostics(self) -> dict[str, float]:
        """Return `invalid`, and `bounds_width`: the distance of the bounds of `ap`.

        Both are left out where there is nothing to see: widths of at most 0.05.
        """
        found = super().diagnostics()
        low, high = (np.asarray(bound["ap"]) for bound in self.bounds())
        width = (high - low)[np.isfinite(high - low)]
        if width.size and width.max() > _WIDE:
            found["bounds_width"] = float(width.max())
        return found

    def _matched(
        self,
        boxes: jax.Array,
        labels: jax.Array,
        scores: jax.Array,
        counted: jax.Array,
        target_boxes: jax.Array,
        target_labels: jax.Array,
        target_counted: jax.Array,
        crowd: jax.Array,
        left_out: jax.Array,
    ) -> tuple[jax.Array, ...]:
        """Match the detections of one image, in the order of their scores.

        A detection takes an object that counts, else one that is left out; then it is
        left out itself. A crowd can be taken by several.

        Returns:
          scores: `[detections]`, in descending order.
          labels: int32 `[detections]`.
          hits: Bool `[detections, columns]`.
        """
        key = jnp.where(counted, -scores, jnp.float32(jnp.inf))
        columns = (boxes[:, i] for i in range(4))
        operands = (key, *columns, labels, counted, scores)
        _, *columns, labels, counted, scores = lax.sort(
            operands, num_keys=1, is_stable=True
        )
        boxes = jnp.stack(columns, axis=-1)
        iou = overlap_of_boxes(boxes[:, None], target_boxes[None], "iou")
        if self.crowds:
            inside = share_inside(boxes[:, None], target_boxes[None])
            iou = jnp.where(crowd[None], inside, iou)
        same = (labels[:, None] == target_labels[None]) & target_counted[None]
        iou = jnp.where(same & counted[:, None], iou, jnp.float32(-1))
        limits = np.asarray(self.thresholds, np.float32)[None, :, None]
        number = np.arange(target_labels.shape[0], dtype=np.int32)[None, None]
        in_crowd, is_left_out = crowd[None, None], left_out[:, None]
        class_number = np.arange(self.classes or 0, dtype=np.int32)
        outside = self._outside(area(boxes)).T[..., None]  # [detections, ranges, 1]

        def largest(x: jax.Array) -> jax.Array:
            return x.max(axis=-1, keepdims=True, initial=-1)

        def step(carry: Any, detection: Any) -> Any:
            free, seen = carry
            iou, label, counted, outside = detection
            iou = iou[None, None]
            of_class = class_number == label
            before = jnp.where(of_class, seen, 0).sum(dtype=jnp.int32)
            taken = counted & (before < self.max_detections)
            can_take = free | in_crowd if self.crowds else free
            open_to_it = can_take & (iou >= limits) & taken
            if self._leaves_out:
                first = open_to_it & ~is_left_out
                open_to_it = jnp.where(first.any(-1, keepdims=True), first, open_to_it)
            is_best = open_to_it & (iou == largest(jnp.where(open_to_it, iou, -1)))
            match = is_best & (number == largest(jnp.where(is_best, number, -1)))
            seen = seen + (of_class & taken).astype(jnp.int32)
            is_true = match.any(-1)
            columns = [taken[None], is_true.ravel()]
            if self._leaves_out:
                excused = (match & is_left_out).any(-1)
                is_false = taken & ~is_true & ~outside
                columns = [(is_true & ~excused).ravel(), is_false.ravel()]
            return (free & ~match, seen), jnp.concatenate(columns)

        # False, but varying over the devices of a shard_map as the carry of the scan.
        never = (counted & ~counted).any() | (target_counted & ~target_counted).any()
        shape = (self.ranges, self.overlaps, number.size)
        free = jnp.broadcast_to(target_counted[None, None], shape)
        seen = jnp.zeros(class_number.shape, jnp.int32)
        start = (free | never, seen + never.astype(jnp.int32))
        _, hits = lax.scan(step, start, (iou, labels, counted, outside))
        return scores, labels, hits

    def _averaged(self) -> tuple[dict[str, Any], ...]:
        """Return lower bounds, estimates and upper bounds by name."""
        xp = namespace(self)
        value: Any = self.cells
        objects = xp.asarray(self.objects)[..., None, :, None]
        counts = xp.moveaxis(value.counts, -3, 0)  # [columns, ..., classes, 2, bins]
        number = self.ranges * self.overlaps
        if self._leaves_out:
            true, false = counts[:number], counts[number:]
        else:
            true, false = counts[1:], counts[:1] - counts[1:]

        def by_range(x: Any) -> Any:
            """Return `[..., ranges, overlaps, classes, 2, bins]`."""
            x = x.reshape(self.ranges, self.overlaps, *x.shape[1:])
            return xp.moveaxis(x, (0, 1), (-5, -4))

        true, false, one = (*map(by_range, (true, false)), value.is_one_value)
        one = one[..., None, None, :, :, :]
        areas = [
            _areas(
                xp,
                false[..., grid, :],
                true[..., grid, :],
                one[..., grid, :],
                objects,
            )
            for grid in (0, 1)
        ]
        (low, middle, high), (other_low, other_middle, other_high) = areas
        middle = xp.where(other_high - other_low < high - low, other_middle, middle)
        low, high = xp.maximum(low, other_low), xp.minimum(high, other_high)
        middle = xp.clip(middle, low, high)
        return tuple(self._by_name(xp, area) for area in (low, middle, high))

    def _by_name(self, xp: Any, area: Any) -> dict[str, Any]:
        """Return the averages of the areas `[..., ranges, overlaps, classes]`."""
        by_class = {"ap": area[..., 0, :, :].mean(-2)}
        for name, threshold in (("ap50", 0.5), ("ap75", 0.75)):
            if threshold in self.thresholds:
                by_class[name] = area[..., 0, self.thresholds.index(threshold), :]
        if self.areas:
            for i, name in enumerate(_AREAS):
                by_class[f"ap_{name}"] = area[..., i + 1, :, :].mean(-2)
        if self.average == "none":
            return by_class
        means = {}
        for name, x in by_class.items():
            known = ~xp.isnan(x)
            x = xp.where(known, x, xp.zeros_like(x))
            means[name] = divide(x.sum(-1), known.sum(-1))
        return means


@dataclasses.dataclass(frozen=True)
class _Boxes:
    """Boxes `[..., boxes, 4]` with their classes, and where they are no padding."""

    boxes: jax.Array
    labels: jax.Array
    there: jax.Array

    def valid(self, classes: int) -> jax.Array:
        """Return where boxes have corners in order and a class, bool `[..., boxes]`."""
        return is_box(self.boxes) & in_range(self.labels, classes)


def _labelled(prefix: str, boxes: Any, labels: Any, there: Any) -> _Boxes:
    """Return boxes and labels as arrays; refuse other shapes and types."""
    labels = as_class_numbers(labels)
    require_integers(f"{prefix}_labels", labels)
    boxes = jnp.asarray(boxes).astype(jnp.float32)
    if labels.ndim < 1 or boxes.shape != (*labels.shape, 4):
        raise ValueError(
            f"DetectionAP: {prefix}_boxes have shape {boxes.shape} and {prefix}_labels "
            f"{labels.shape}, but they must be [..., boxes, 4] and [..., boxes]. Pass "
            "the corners (x1, y1, x2, y2) of each box."
        )
    if there is not None and jnp.shape(there) != labels.shape:
        raise ValueError(
            f"DetectionAP: {prefix}_mask has shape {jnp.shape(there)}, but "
            f"{prefix}_labels {labels.shape}. Pass one bool for each box."
        )
    return _Boxes(boxes, labels, mask_like(labels, there))


def _areas(xp: Any, false: Any, true: Any, one: Any, objects: Any) -> tuple[Any, ...]:
    """Return lower bound, estimate and upper bound of the average precision.

    With `true` and `false` positives above a bin, the k-th of its p true positives has
    the precision (true + k) / (above + k + those of its n false positives before it):
    none at best, all at worst, n k / (p + 1) on average. Each of these rises or falls
    with k, so that the largest one at a recall or above is at k, at p or in a bin
    further on. Equal scores count together: all have the precision after the bin.

    Args:
      xp: numpy or jax.numpy.
      false: Counts `[..., bins]` of false positives by ascending score.
      true: Counts of true positives.
      one: Bool, where all scores of a bin are equal.
      objects: Number of objects `[..., 1]`.
    """
    real = np.float64 if xp is np else np.float32
    n, p = (xp.flip(xp.asarray(x).astype(real), -1) for x in (false, true))
    one = xp.flip(one, -1)
    objects = xp.asarray(objects).astype(real)
    n_through, p_through = xp.cumsum(n, axis=-1), xp.cumsum(p, axis=-1)
    n_before, p_before = n_through - n, p_through - p
    reached = _recalls_reached(xp, p_through, objects)
    points = reached - _recalls_reached(xp, p_before, objects)

    def or_zero(x: Any) -> Any:
        return xp.where(xp.isnan(x), xp.zeros_like(x), x)

    worst = or_zero(divide(p_through, p_through + n_through))
    best = or_zero(divide(p_through, p_through + n_before))
    best = xp.where(one, worst, best)
    low, high = _best_from_here(xp, worst), _best_from_here(xp, best)
    pace = n / (p + 1)
    first = or_zero(divide(p_before + 1, p_before + 1 + n_before + pace))
    last = or_zero(divide(p_through, p_through + n_before + pace * p))
    first, last = (xp.where(one, worst, x) for x in (first, last))
    zero = xp.zeros_like(first)
    reachable = xp.where(p > 0, xp.maximum(first, last), zero)
    later = _best_from_here(xp, reachable)
    later = xp.concatenate([later[..., 1:], zero[..., :1]], axis=-1)
    end = xp.maximum(last, later)
    middle = (xp.maximum(first, end) + end) / 2
    return tuple(
        xp.where(
            objects[..., 0] > 0, (points * x).sum(-1) / (_RECALLS + 1), real(np.nan)
        )
        for x in (low, middle, high)
    )


def _recalls_reached(xp: Any, found: Any, objects: Any) -> Any:
    """Return how many of the recalls 0, 0.01, ..., 1 are reached.

    In whole numbers, `i objects <= 100 found`, since a quotient may be rounded. The
    recall 0 needs one object.
    """
    objects = xp.maximum(objects, xp.ones_like(objects))
    parts = _RECALLS * found
    number = xp.floor(parts / objects)
    number = number - (number * objects > parts).astype(number.dtype)
    number = number + ((number + 1) * objects <= parts).astype(number.dtype)
    missed = xp.zeros(number.shape, bool)
    for i in _rounded_up():
        missed = missed | (number == i)
    missed = missed & (number * objects == parts)
    return xp.where(found > 0, number + 1 - missed.astype(number.dtype), 0)


def _best_from_here(xp: Any, x: Any) -> Any:
    """Return the largest value of each bin and those after it."""
    x = xp.flip(x, -1)
    if xp is np:
        x = np.maximum.accumulate(x, axis=-1)
    else:
        x = lax.cummax(x, axis=x.ndim - 1)
    return xp.flip(x, -1)
