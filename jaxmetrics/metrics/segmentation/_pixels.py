"""Pixels by class, and the fraction of them that is right."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    both,
    check_choice,
    child,
    class_index,
    count_at,
    count_leaf,
    count_where,
    divide,
    has_class_axis,
    namespace,
    need_classes,
    not_ignored,
    predicted,
    require_classes,
    scores_field,
)

AVERAGES = ("macro", "micro", "none")


class PixelCounts(Metric):
    """Pixels that are right, predicted and labelled, by class.

    The state that the metrics of pooled counts share; see `MeanIoU` for the arguments.
    """

    classes: int | None = None
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    hits: Array = count_leaf("classes", weighted="weighted")
    predicted: Array = count_leaf("classes", weighted="weighted")
    support: Array = count_leaf("classes", weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a missing number of classes."""
        check_classes("PixelCounts", self.classes)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's pixels by class, and invalid ones."""
        preds, numbers, valid, kept = pixels(self, logits, labels, mask)
        scored, shape = both(valid, kept), (self.classes or 0,)
        return dict(
            hits=count_at(numbers, shape, both(preds == numbers, scored), weights),
            predicted=count_at(preds, shape, scored, weights),
            support=count_at(numbers, shape, scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> dict[str, Any]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in self._leaves}


class PixelAccuracy(Metric):
    """Fraction of pixels whose class is predicted; nan without data.

    In [0, 1], higher is better. It is pooled over all images. Ties go to the lower
    class index. Labels and predictions out of range, and pixels without a largest score
    (see `jaxmetrics.metrics`), are counted in `counts.invalid` and never scored.

    Args:
      classes: Number of classes; `logits` `[..., height, width, classes]`, integer
        `labels` `[..., height, width]`.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape.
      ignore_index: Label, or tuple of labels, of pixels that do not count. Default
        none.
      weighted: Require `weights`, of images or pixels (leading axes of the labels).

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.PixelAccuracy(classes=2, scores="preds")
      >>> preds, labels = [[[0, 1], [1, 1]]], [[[0, 1], [1, 0]]]
      >>> float(jm.evaluate(metric, preds=preds, labels=labels))
      0.75
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
        check_classes("PixelAccuracy", self.classes)

    def compute(self) -> Any:
        """Return the fraction."""
        xp, counts = namespace(self), self.counts
        right, pixels = (xp.asarray(x).sum(-1) for x in (counts.hits, counts.support))
        return divide(right, pixels)


def check_classes(metric: str, classes: int | None) -> None:
    """Refuse a missing number of classes, and one below 1."""
    need_classes(metric, "a count by class", classes)


def check_average(metric: str, average: str) -> None:
    """Refuse an unknown average over the classes."""
    check_choice(metric, "average", average, AVERAGES)


def pixels(
    metric: Any, scores: Any, labels: Any, mask: Any
) -> tuple[Any, Any, Any, Any]:
    """Return predictions, labels, where both are valid, and where pixels count.

    Args:
      metric: Metric with the fields `classes`, `scores` and `ignore_index`.
      scores: Scores or predicted classes.
      labels: Integers, of the shape of the predicted classes.
      mask: Bool, leading axes of the labels.
    """
    if has_class_axis("multiclass", metric.scores):
        require_classes(scores, metric.classes)
    preds, numbers, valid = predicted(
        scores, labels, "multiclass", 0.5, metric.scores, metric.classes
    )
    return preds, numbers, valid, both(not_ignored(labels, metric.ignore_index), mask)


def by_image(preds: Any, labels: Any, scored: Any, classes: int) -> tuple[Any, ...]:
    """Return the pixels right, predicted and labelled of each image.

    Each is int32 `[..., classes]`.

    Args:
      preds: int32 `[..., height, width]`.
      labels: int32, same shape.
      scored: Bool, same shape.
      classes: Number of classes.
    """
    number = class_index(jnp.zeros((*preds.shape, classes), bool))
    predicted_as = (preds[..., None] == number) & scored[..., None]
    labelled = (labels[..., None] == number) & scored[..., None]
    counted = (predicted_as & labelled, predicted_as, labelled)
    return tuple(x.sum((-3, -2), dtype=jnp.int32) for x in counted)
