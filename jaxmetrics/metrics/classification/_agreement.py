"""Cohen's kappa and the Matthews correlation coefficient, from a confusion matrix."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from jaxmetrics.core import (
    Direction,
    Metric,
    check_choice,
    child,
    divide,
    namespace,
    scores_field,
)
from jaxmetrics.metrics.classification._class_ratio import sum_of_others
from jaxmetrics.metrics.classification._confusion import ConfusionMatrix
from jaxmetrics.metrics.classification._counts import check_class_counts

_TASKS = ("multiclass", "binary")
_DISAGREEMENTS = ("none", "linear", "quadratic")


class CohenKappa(Metric):
    """Agreement of predictions and labels beyond chance: Cohen's kappa.

    `1 - sum(w * p) / sum(w * e)` with the shares p of the confusion matrix, the product
    e of its margins and weights w of disagreement; at most 1, 0 for chance, higher is
    better. As scikit-learn's `cohen_kappa_score` (Cohen 1960, 1968): nan if predictions
    and labels are all of one class, and without data. Invalid rows are counted in
    `matrix.invalid` and never scored.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`) or "binary" (`logits` and `labels` `[...]`).
      classes: Number of classes, required unless the task is "binary".
      disagreement: Weight of a wrong prediction: "none" (the default) is 1, "linear"
        the distance of the class numbers, "quadratic" its square.
      threshold: Probability from which a binary score is positive, also for logits.
        Default 0.5.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.CohenKappa(task="binary", scores="preds")
      >>> float(jm.evaluate(metric, preds=[0, 1, 0, 0], labels=[0, 1, 1, 0]))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    task: str = "multiclass"
    classes: int | None = None
    disagreement: str = "none"
    threshold: float = 0.5
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    matrix: ConfusionMatrix = child(lambda m: _matrix(m))

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        check_class_counts(self, _TASKS)
        check_choice("CohenKappa", "disagreement", self.disagreement, _DISAGREEMENTS)

    def compute(self) -> Any:
        """Return kappa."""
        shares = _shares(self)
        index = np.arange(shares.shape[-1], dtype=np.float32)
        distance = np.abs(index[:, None] - index)
        if self.disagreement == "none":
            distance = np.minimum(distance, 1)
        elif self.disagreement == "quadratic":
            distance = distance**2
        expected = shares.sum(-1)[..., :, None] * shares.sum(-2)[..., None, :]
        observed = (distance * shares).sum((-2, -1))
        return 1 - divide(observed, (distance * expected).sum((-2, -1)))


class MatthewsCorrelation(Metric):
    """Correlation of predicted and true classes: the Matthews correlation coefficient.

    In [-1, 1], higher is better, 0 for predictions that do not depend on the labels. As
    scikit-learn's `matthews_corrcoef`, of several classes too (Matthews 1975, Gorodkin
    2004): 0 if all labels or all predictions are of one class, where torchmetrics
    returns other values; nan without data. The shares of the confusion matrix are
    multiplied, not its counts, and differences that cancel are avoided: no count is too
    large, and float32 is enough. Invalid rows are counted in `matrix.invalid` and never
    scored.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`) or "binary" (`logits` and `labels` `[...]`).
      classes: Number of classes, required unless the task is "binary".
      threshold: Probability from which a binary score is positive, also for logits.
        Default 0.5.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.MatthewsCorrelation(task="binary", scores="preds")
      >>> value = jm.evaluate(metric, preds=[1, 0, 1, 1], labels=[1, 1, 1, 0])
      >>> round(float(value), 4)
      -0.3333
    """

    higher_is_better: ClassVar[Direction] = True

    task: str = "multiclass"
    classes: int | None = None
    threshold: float = 0.5
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    matrix: ConfusionMatrix = child(lambda m: _matrix(m))

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        check_class_counts(self, _TASKS)

    def compute(self) -> Any:
        """Return the correlation.

        With the shares tp, fp, tn and fn of each class, the covariance of the classes
        is the sum of `tp * tn - fp * fn`. The variance of the labels, 1 minus the sum
        of their squared shares, is the sum of `share * (sum of the other shares)`.
        """
        xp, shares = namespace(self), _shares(self)
        right = np.eye(shares.shape[-1], dtype=bool)
        wrong = xp.where(right, 0, shares)
        hits, missed, false = (
            xp.where(right, shares, 0).sum(-1),
            wrong.sum(-1),
            wrong.sum(-2),
        )
        labels, preds = hits + missed, hits + false
        not_labels, not_preds = sum_of_others(xp, labels), sum_of_others(xp, preds)
        covariance = (hits * (not_labels - false) - false * missed).sum(-1)
        variances = (labels * not_labels).sum(-1), (preds * not_preds).sum(-1)
        scale = xp.sqrt(variances[0]) * xp.sqrt(variances[1])
        value = xp.where(scale == 0, 0.0, divide(covariance, scale))
        return xp.where(xp.isnan(scale), np.nan, value)[()]


def _matrix(metric: Any) -> ConfusionMatrix:
    return ConfusionMatrix(
        metric.classes,
        metric.task,
        threshold=metric.threshold,
        scores=metric.scores,
        ignore_index=metric.ignore_index,
        weighted=metric.weighted,
    )


def _shares(metric: Any) -> Any:
    """Return the confusion matrix divided by its sum, nan without data."""
    counts = namespace(metric).asarray(metric.matrix.counts)
    return divide(counts, counts.sum((-2, -1), keepdims=True))
