"""Confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    check_choice,
    class_index,
    count_at,
    count_leaf,
    count_where,
    divide,
    has_class_axis,
    namespace,
    not_ignored,
    predicted,
    require_classes,
    scores_field,
)
from jaxmetrics.figures import Chart, Heatmap
from jaxmetrics.metrics.classification._counts import check_class_counts

_NORMALIZATIONS = ("none", "true", "pred", "all")


class ConfusionMatrix(Metric):
    """Counts of (label, prediction) pairs; rows are labels, columns predictions.

    As scikit-learn's `confusion_matrix` (and `multilabel_confusion_matrix`). Ties go
    to the lower class index. Labels out of range, predictions out of range, and rows
    without a largest score (see `jaxmetrics.metrics`) are counted in `invalid` and
    never scored.

    Args:
      classes: Number of classes, required unless the task is "binary"; `logits`
        `[..., classes]`, integer `labels` `[...]`.
      task: "multiclass" (the default) gives `[classes, classes]`, "binary" `[2, 2]`,
        "multilabel" `[classes, 2, 2]`.
      normalize: "none" (the default) gives counts; "true" divides each row by its sum,
        "pred" each column, "all" by the sum of the matrix; nan where that is zero. See
        also `normalized`.
      threshold: Probability from which a binary or multilabel score is positive, also
        for logits. Default 0.5.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape (0 or 1 in the binary and
        multilabel tasks).
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> matrix = jm.ConfusionMatrix(classes=2)
      >>> logits = [[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]]
      >>> jm.evaluate(matrix, logits=logits, labels=[0, 1, 1]).tolist()
      [[1, 0], [1, 1]]
    """

    classes: int | None = None
    task: str = "multiclass"
    normalize: str = "none"
    threshold: float = 0.5
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: Array = count_leaf("cells", weighted="weighted")
    invalid: Array = count_leaf()

    @property
    def cells(self) -> tuple[int, ...]:
        """Shape of the matrix."""
        classes = self.classes or 0
        if self.task == "multiclass":
            return (classes, classes)
        return (2, 2) if self.task == "binary" else (classes, 2, 2)

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        check_class_counts(self)
        check_choice("ConfusionMatrix", "normalize", self.normalize, _NORMALIZATIONS)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's counts of pairs, and invalid labels."""
        preds, numbers, valid = predicted(
            logits, labels, self.task, self.threshold, self.scores, self.classes
        )
        kept = both(not_ignored(labels, self.ignore_index), mask)
        if has_class_axis(self.task, self.scores):
            require_classes(logits, self.classes)
        index = (numbers, preds)
        if self.task == "multilabel":
            column = jnp.broadcast_to(class_index(numbers), numbers.shape)
            index = (column, *index)
        return dict(
            counts=count_at(index, self.cells, both(valid, kept), weights),
            invalid=count_where(~valid, kept),
        )

    def normalized(self, normalize: str) -> Self:
        """Return the same counts with another `normalize`, to compute or plot them.

        Example:
          >>> import jaxmetrics as jm
          >>> matrix = jm.ConfusionMatrix(classes=2, scores="preds")
          >>> matrix = matrix.update(preds=[0, 1, 1, 1], labels=[0, 0, 1, 1])
          >>> matrix.normalized("true").compute().tolist()
          [[0.5, 0.5], [0.0, 1.0]]
        """
        check_choice("ConfusionMatrix", "normalize", normalize, _NORMALIZATIONS)
        return self.with_fields(normalize=normalize)

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return heatmaps whose axes are the predicted and the true class."""
        title, matrix = name or type(self).__name__, np.asarray(self.compute())
        matrices = {title: matrix}
        if matrix.ndim == 3:
            matrices = {f"{title}, label {n}": part for n, part in enumerate(matrix)}
        axes = ("predicted class", "true class")
        return {title: Heatmap(part, *axes) for title, part in matrices.items()}

    def compute(self) -> Any:
        """Return the matrix: counts, or fractions in [0, 1]."""
        if self.normalize == "none":
            return self.counts
        axis = {"true": (-1,), "pred": (-2,), "all": (-2, -1)}[self.normalize]
        counts = namespace(self).asarray(self.counts)
        return divide(counts, counts.sum(axis, keepdims=True))
