"""Overlap of predicted and labelled regions: IoU and Dice."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    Metric,
    both,
    check_choice,
    child,
    count_leaf,
    count_where,
    divide,
    mean_of,
    namespace,
    scores_field,
)
from jaxmetrics.metrics.segmentation._pixels import (
    PixelCounts,
    by_image,
    check_average,
    check_classes,
    pixels,
)

_KINDS = ("iou", "dice")
_WEIGHTS = ("square", "simple", "linear")


class OverlapsOfImages(MeanMetric):
    """Sums over images of the overlap of each class, and of their means.

    The state of `MeanIoU` and `Dice` with `per_image=True`; see there.
    """

    classes: int | None = None
    kind: str = "iou"
    average: str = "macro"
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    invalid: Array = count_leaf()

    @property
    def means(self) -> tuple[int, ...]:
        """Shape of the value."""
        return (self.classes or 0,) if self.average == "none" else ()

    def validate(self) -> None:
        """Refuse a missing number of classes, and unknown settings."""
        check_classes("OverlapsOfImages", self.classes)
        check_choice("OverlapsOfImages", "kind", self.kind, _KINDS)
        check_average("OverlapsOfImages", self.average)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the overlaps of the batch's images, and invalid pixels."""
        classes = self.classes or 0
        preds, numbers, valid, kept = pixels(self, logits, labels, mask)
        require_images("per_image=True", numbers)
        scored = both(valid, kept)
        hits, predicted, support = by_image(preds, numbers, scored, classes)
        averaged = _averaged(classes, self.ignore_index)
        terms = [jnp.where(averaged, x, 0) for x in (hits, predicted, support)]
        if self.average == "micro":
            terms = [x.sum(-1) for x in terms]
        overlap = _overlap(self.kind, *terms)
        occurs = terms[1] + terms[2] > 0
        if self.average == "macro":
            sum_of = jnp.where(occurs, overlap, 0).sum(-1)
            overlap, occurs = divide(sum_of, occurs.sum(-1)), occurs.any(-1)
        return dict(
            **self.mean_leaves(overlap, occurs, weights),
            invalid=count_where(~valid, kept),
        )


class Overlap(Metric):
    """Base of `MeanIoU` and `Dice`: pooled over all images, or their mean."""

    classes: int | None = None
    average: str = "macro"
    per_image: bool = False
    scores: str = scores_field("logits", "probs", "preds", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    counts: Any = child(lambda m: m.make_counts())

    kind = ""

    def validate(self) -> None:
        """Refuse a missing number of classes, and an unknown average."""
        check_classes(type(self).__name__, self.classes)
        check_average(type(self).__name__, self.average)
        if self.stderr and not self.per_image:
            raise ValueError(
                f"{type(self).__name__}: stderr=True needs per_image=True, since "
                "pooled pixels are no mean over images. Pass both, or use jm.Bootstrap."
            )

    def make_counts(self) -> Metric:
        """Return the empty state."""
        if self.per_image:
            return OverlapsOfImages(
                self.classes,
                self.kind,
                self.average,
                self.scores,
                self.ignore_index,
                weighted=self.weighted,
                stderr=self.stderr,
            )
        return PixelCounts(self.classes, self.scores, self.ignore_index, self.weighted)

    def compute(self) -> Any:
        """Return the overlap, or `[classes]` of them."""
        xp, counts = namespace(self), self.counts
        if self.per_image:
            return mean_of(counts.total, counts.count)
        terms = [xp.asarray(x) for x in (counts.hits, counts.predicted, counts.support)]
        averaged = _averaged(self.classes or 0, self.ignore_index)
        if self.average == "micro":
            sums = (xp.where(averaged, x, 0).sum(-1) for x in terms)
            return _overlap(self.kind, *sums)
        overlap = xp.where(averaged, _overlap(self.kind, *terms), np.nan)
        if self.average == "none":
            return overlap
        occurs = ~xp.isnan(overlap)
        return divide(xp.where(occurs, overlap, 0).sum(-1), occurs.sum(-1))


class MeanIoU(Overlap):
    """Intersection over union of predicted and labelled regions, the Jaccard index.

    `hits / (predicted + labelled - hits)` in pixels of each class; the mean over the
    classes by default. In [0, 1], higher is better, nan without data. A class that is
    neither predicted nor labelled (in all images, or in one with `per_image=True`) has
    no value, and is left out of the mean. Ties go to the lower class index. Labels and
    predictions out of range, and pixels without a largest score (see
    `jaxmetrics.metrics`), are counted in `counts.invalid` and never scored.

    Args:
      classes: Number of classes; `logits` `[..., height, width, classes]`, integer
        `labels` `[..., height, width]`.
      average: "macro" (the default) is the mean over the classes that occur, "micro"
        the ratio of the sums over classes; "none" gives `[classes]`.
      per_image: False (the default) pools the pixels of all images, as Keras' `MeanIoU`
        and scikit-learn's `jaccard_score`. True is the mean over images of the value of
        each, as torchmetrics' `MeanIoU`; an image without pixels that count is left
        out. Neither depends on how images are batched.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape.
      ignore_index: Label, or tuple of labels, of pixels that do not count. If it is one
        of the classes, that class enters no average either. Default none.
      weighted: Require `weights`: of images or pixels (leading axes of the labels), and
        of images only with `per_image=True`. A weight of 2 is worth two of them.
      stderr: Compute mean and standard error over images, as `Mean(stderr=True)`; it
        needs `per_image=True`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.MeanIoU(classes=2, scores="preds", average="none")
      >>> preds, labels = [[[0, 1], [1, 1]]], [[[0, 1], [1, 0]]]
      >>> jm.evaluate(metric, preds=preds, labels=labels).round(4).tolist()
      [0.5, 0.6667]
    """

    higher_is_better: ClassVar[Direction] = True

    kind = "iou"


class Dice(Overlap):
    """Dice coefficient of predicted and labelled regions, the F1 score of pixels.

    `2 hits / (predicted + labelled)` in pixels of each class; the mean over the classes
    by default. In [0, 1], higher is better, nan without data. The arguments, and the
    treatment of classes that do not occur, are those of `MeanIoU`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.Dice(classes=2, scores="preds", average="none")
      >>> preds, labels = [[[0, 1], [1, 1]]], [[[0, 1], [1, 0]]]
      >>> jm.evaluate(metric, preds=preds, labels=labels).round(4).tolist()
      [0.6667, 0.8]
    """

    higher_is_better: ClassVar[Direction] = True

    kind = "dice"


class FrequencyWeightedIoU(Metric):
    """Intersection over union, averaged over classes by their labelled pixels.

    `sum(labelled * IoU) / sum(labelled)`, pooled over all images. In [0, 1], higher is
    better, nan without data. As Long, Shelhamer and Darrell (2015). The arguments are
    those of `MeanIoU`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.FrequencyWeightedIoU(classes=2, scores="preds")
      >>> preds, labels = [[[0, 1], [1, 1]]], [[[0, 1], [1, 0]]]
      >>> round(float(jm.evaluate(metric, preds=preds, labels=labels)), 4)
      0.5833
    """

    higher_is_better: ClassVar[Direction] = True

    classes: int | None = None
    scores: str = scores_field("logits", "probs", "preds", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: PixelCounts = child(
        lambda m: PixelCounts(m.classes, m.scores, m.ignore_index, m.weighted)
    )

    def validate(self) -> None:
        """Refuse a missing number of classes."""
        check_classes("FrequencyWeightedIoU", self.classes)

    def compute(self) -> Any:
        """Return the weighted mean."""
        xp, counts = namespace(self), self.counts
        support = xp.asarray(counts.support)
        overlap = _overlap("iou", xp.asarray(counts.hits), counts.predicted, support)
        averaged = _averaged(self.classes or 0, self.ignore_index)
        support = xp.where(averaged, support, 0)
        weighted = xp.where(support > 0, support * overlap, 0.0).sum(-1)
        return divide(weighted, support.sum(-1))


class GeneralizedDice(MeanMetric):
    """Dice coefficient over all classes, each weighted by its volume in the image.

    `2 sum(w hits) / sum(w (predicted + labelled))` of an image, with weights `w` by the
    labelled pixels of each class; the mean over images. In [0, 1], higher is better,
    nan without data. As Sudre et al. (2017). A class without labelled pixels gets the
    largest weight of the image's other classes, as in MONAI (in torchmetrics its
    weight, and so the score, depends on the other images of the batch).

    Ties go to the lower class index. Labels and predictions out of range, and pixels
    without a largest score (see `jaxmetrics.metrics`), are counted in `invalid`.

    Args:
      classes: Number of classes; `logits` `[..., height, width, classes]`, integer
        `labels` `[..., height, width]`.
      weighting: Weight of a class with v labelled pixels: "square" (the default)
        `1 / v^2`, "simple" `1 / v`, "linear" 1, which is the micro `Dice` per image.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape.
      ignore_index: Label, or tuple of labels, of pixels that do not count. If it is one
        of the classes, that class gets no weight. Default none.
      weighted: Require `weights` of the images.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.GeneralizedDice(classes=2, scores="preds")
      >>> preds, labels = [[[0, 1], [1, 1]]], [[[0, 1], [1, 0]]]
      >>> round(float(jm.evaluate(metric, preds=preds, labels=labels)), 4)
      0.75
    """

    higher_is_better: ClassVar[Direction] = True

    classes: int | None = None
    weighting: str = "square"
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a missing number of classes, and an unknown weighting."""
        check_classes("GeneralizedDice", self.classes)
        check_choice("GeneralizedDice", "weighting", self.weighting, _WEIGHTS)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the overlaps of the batch's images, and invalid pixels."""
        classes = self.classes or 0
        preds, numbers, valid, kept = pixels(self, logits, labels, mask)
        require_images("GeneralizedDice", numbers)
        scored = both(valid, kept)
        counts = by_image(preds, numbers, scored, classes)
        hits, predicted, support = (x.astype(jnp.float32) for x in counts)
        averaged = _averaged(classes, self.ignore_index)
        averaged = averaged.reshape((1,) * (support.ndim - 1) + (classes,))
        volume = jnp.where(
            (support > 0) & averaged, support.astype(jnp.float32), jnp.inf
        )
        # Relative to the smallest class: no weight is denormal.
        smallest = volume.min(-1, keepdims=True)
        share = jnp.where(jnp.isinf(volume), 1, smallest / volume)
        power = {"square": 2, "simple": 1, "linear": 0}[self.weighting]
        weight = jnp.where(averaged, share**power, 0)
        both_areas = (weight * (predicted + support)).sum(-1)
        overlap = divide(2 * (weight * hits).sum(-1), both_areas)
        occurs = both_areas > 0
        return dict(
            **self.mean_leaves(overlap, occurs, weights),
            invalid=count_where(~valid, kept),
        )


def require_images(setting: str, labels: Any) -> None:
    """Refuse labels that have no height and width."""
    if labels.ndim < 2:
        raise ValueError(
            f"{setting} needs labels [..., height, width], got {labels.shape}. Pass "
            "whole images, or pool the pixels with MeanIoU or Dice."
        )


def _averaged(classes: int, ignore_index: int | tuple[int, ...] | None) -> np.ndarray:
    """Return the classes that enter an average, bool `[classes]`."""
    index = np.arange(classes)
    return index >= 0 if ignore_index is None else ~np.isin(index, ignore_index)


def _overlap(kind: str, hits: Any, predicted: Any, support: Any) -> Any:
    if kind == "iou":
        return divide(hits, predicted + support - hits)
    return divide(2 * hits, predicted + support)
