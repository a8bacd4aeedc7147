"""True and false positives and negatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.core import (
    Metric,
    averaged_classes,
    check_choice,
    child,
    namespace,
    scores_field,
)
from jaxmetrics.figures import Chart
from jaxmetrics.metrics.classification._class_ratio import chart_of_counts, counts_of
from jaxmetrics.metrics.classification._counts import ClassCounts, check_class_counts

_AVERAGES = ("none", "micro")


class StatScores(Metric):
    """Counts of true and false positives and negatives, and of labels, of each class.

    The last axis of the value is `[tp, fp, tn, fn, support]`, the order of
    torchmetrics' `StatScores`; 0 without data. The counts are exact, and float64 if
    they are sums of weights. Invalid rows are counted in `counts.invalid` and never
    scored.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`), "binary" (`logits` and `labels` `[...]`; one row of counts, of the
        positive class) or "multilabel" (both `[..., classes]`).
      classes: Number of classes, required unless the task is "binary".
      average: "none" (the default) gives `[classes, 5]`, "micro" the sum over the
        classes that are not ignored, `[5]`.
      threshold: Probability from which a binary or multilabel score is positive, also
        for logits. Default 0.5.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape (0 or 1 in the binary and
        multilabel tasks).
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.StatScores(task="binary", scores="preds")
      >>> jm.evaluate(metric, preds=[1, 1, 0, 0], labels=[1, 0, 0, 0]).tolist()
      [1, 1, 2, 0, 1]
    """

    task: str = "multiclass"
    classes: int | None = None
    average: str = "none"
    threshold: float = 0.5
    scores: str = scores_field("logits", "probs", "preds", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: ClassCounts = child(
        lambda m: ClassCounts(
            m.task, m.classes, m.threshold, m.scores, m.ignore_index, m.weighted
        )
    )

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        check_class_counts(self)
        check_choice("StatScores", "average", self.average, _AVERAGES)

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return the counts by name: a heatmap over the classes, or bars."""
        return {name or type(self).__name__: chart_of_counts(self.compute(), "class")}

    def compute(self) -> Any:
        """Return the counts, `[5]` or `[classes, 5]`."""
        xp = namespace(self)
        scores = counts_of(self.counts, self.task == "multiclass").stat_scores
        if self.average == "none" or self.task == "binary":
            return scores
        averaged = averaged_classes(self.task, self.classes, self.ignore_index)
        return xp.where(np.expand_dims(averaged, -1), scores, 0).sum(-2)
