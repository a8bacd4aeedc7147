"""Confusion matrix."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    count_at,
    count_leaf,
    count_where,
    divide,
    namespace,
    not_ignored,
    scores_field,
)
from jaxmetrics.metrics.classification._scores import (
    check_task,
    need_classes,
    predicted,
)

_NORMALISATIONS = ("none", "true", "pred", "all")


class ConfusionMatrix(Metric):
    """Counts of (label, prediction) pairs: row the label, column the prediction.

    As scikit-learn's `confusion_matrix` (and `multilabel_confusion_matrix`). Ties go
    to the lower class index. Labels out of range and rows with a score that is not
    finite are counted in `invalid` and never scored.

    Args:
      classes: number of classes; `logits` `[..., classes]`, `labels` `[...]`.
      task: "multiclass" gives `[classes, classes]`, "binary" `[2, 2]`, "multilabel"
        `[classes, 2, 2]`.
      normalize: "none" gives counts; "true" divides by rows, "pred" by columns, "all"
        by everything, nan where that is zero.
      threshold: probability from which a binary or multilabel score is positive.
      scores: Output that holds the scores, "logits" or "probs" (binary, multilabel).
      ignore_index: label, or tuple of labels, that mark padding.
      weighted: weigh each label by `weights`, which are then needed.
    """

    classes: int | None = None
    task: str = "multiclass"
    normalize: str = "none"
    threshold: float = 0.5
    scores: str = scores_field("logits", "probs")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: Array = count_leaf("cells", weighted="weighted")
    invalid: Array = count_leaf()

    @property
    def cells(self) -> tuple[int, ...]:
        """The shape of the matrix."""
        classes = self.classes or 0
        if self.task == "multiclass":
            return (classes, classes)
        return (2, 2) if self.task == "binary" else (classes, 2, 2)

    def validate(self) -> None:
        """Refuse unknown tasks and normalisations, and a missing number of classes."""
        check_task("ConfusionMatrix", self.task, self.classes, self.threshold)
        if self.normalize not in _NORMALISATIONS:
            raise ValueError(
                f"ConfusionMatrix: normalize is one of {_NORMALISATIONS}, got "
                f"{self.normalize!r}."
            )
        if self.task != "binary":
            need_classes("ConfusionMatrix", f"task={self.task!r}", self.classes)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """The batch's pairs."""
        if self.task == "multiclass" and jnp.shape(logits)[-1:] != (self.classes,):
            raise ValueError(
                f"logits have shape {jnp.shape(logits)}, their last axis is not the "
                f"{self.classes} classes. Configure classes={jnp.shape(logits)[-1:]}."
            )
        labels = jnp.asarray(labels)
        guess, valid = predicted(logits, labels, self.task, self.threshold, self.scores)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        index = (labels, guess)
        if self.task == "multilabel":
            label = jnp.arange(labels.shape[-1], dtype=jnp.int32)
            index = (jnp.broadcast_to(label, labels.shape), *index)
        return dict(
            counts=count_at(index, self.cells, both(valid, kept), weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """The matrix: integers, or shares in [0, 1]."""
        if self.normalize == "none":
            return self.counts
        axis = {"true": (-1,), "pred": (-2,), "all": (-2, -1)}[self.normalize]
        counts = namespace(self).asarray(self.counts)
        return divide(counts, counts.sum(axis, keepdims=True))
