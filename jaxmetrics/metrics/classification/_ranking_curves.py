"""Areas under the ROC and the precision-recall curve.

Both areas are computed from counts of negative and positive labels in bins of the
score. Scores within a bin are unordered, so that every area has three values: the
lower bound, in which all negatives of a bin rank before its positives; the estimate,
in which they tie; and the upper bound, in which all positives rank first. For ROC with
one bin of 2 negatives and 3 positives these are 0, 0.5 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from jaxmetrics.core import (
    Metric,
    child,
    divide,
    namespace,
    on_plain_values,
    scores_field,
)
from jaxmetrics.figures import Chart, Curves
from jaxmetrics.metrics.classification._score_histogram import ScoreHistogram
from jaxmetrics.metrics.classification._scores import (
    averaged_classes,
    check_bins,
    check_choice,
    check_task,
    need_classes,
)

_AVERAGES = ("micro", "macro", "none")
_MAX_CURVES = 8


class RankingArea(Metric):
    """Base of `AUROC` and `AveragePrecision`: an area from a histogram of scores.

    A subclass returns its area and the bounds from `_areas`.
    """

    task: str = "multiclass"
    average: str = "macro"
    classes: int | None = None
    bins: int = 4096
    scores: str = scores_field("logits", "probs", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    histogram: ScoreHistogram = child(
        lambda m: ScoreHistogram(
            m.task, m.classes, m.bins, m.scores, m.ignore_index, m.weighted
        )
    )

    _curve_labels: ClassVar[tuple[str, str]] = ("", "")
    _curve_diagonal: ClassVar[bool] = False

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        name = type(self).__name__
        check_task(name, self.task, self.classes, 0.5)
        check_choice(name, "average", self.average, _AVERAGES)
        check_bins(name, self.bins)
        if self.task != "binary":
            need_classes(name, f"task={self.task!r}", self.classes)

    def compute(self) -> Any:
        """Return the area, or `[classes]` of them."""
        return self._averaged()[1]

    @on_plain_values
    def bounds(self) -> tuple[Any, Any]:
        """Return a lower and an upper bound of the exact area.

        They hold for any order of the scores within the bins, up to rounding: 1e-12 on
        the host (1e-6 with weights, whose sums are float32), 1e-5 under jit.
        """
        low, _, high = self._averaged()
        return low, high

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return the curve, of several classes one each for the first eight."""
        counts = np.asarray(self.histogram.plain()["counts"], np.float64)
        if counts.ndim == 3 and self.average == "micro":
            averaged = averaged_classes(self.task, self.classes, self.ignore_index)
            counts = np.where(np.asarray(averaged)[:, None, None], counts, 0).sum(0)
        curves = counts[None] if counts.ndim == 2 else counts[:_MAX_CURVES]
        # From the highest score down: negatives and positives at or above a threshold.
        above = np.cumsum(curves[..., ::-1], axis=-1)
        above = np.concatenate([np.zeros_like(above[..., :1]), above], axis=-1)
        with np.errstate(all="ignore"):  # a class without labels has no curve
            lines = {
                f"class {index}": self._curve(negatives, positives)
                for index, (negatives, positives) in enumerate(above)
            }
        title = name or type(self).__name__
        return {title: Curves(lines, *self._curve_labels, self._curve_diagonal)}

    def _curve(self, negatives: Any, positives: Any) -> tuple[Any, Any]:
        """Return x and y of the curve; counts at or above each threshold."""
        raise NotImplementedError(f"{type(self).__name__} defines no curve")

    def _areas(self, negative: Any, positive: Any) -> tuple[Any, Any, Any]:
        """Return lower bound, estimate and upper bound; counts by ascending score."""
        raise NotImplementedError(f"{type(self).__name__} defines no area")

    def _averaged(self) -> tuple[Any, Any, Any]:
        xp = namespace(self)
        counts = xp.asarray(self.histogram.counts)
        has_classes = self.task != "binary"
        if has_classes and self.average == "micro":
            averaged = averaged_classes(self.task, self.classes, self.ignore_index)
            counts = xp.where(averaged[:, None, None], counts, 0).sum(-3)
        areas = self._areas(counts[..., 0, :], counts[..., 1, :])
        if has_classes and self.average == "macro":
            areas = tuple(self._mean(area) for area in areas)
        return areas

    def _mean(self, area: Any) -> Any:
        xp = namespace(self)
        defined = ~xp.isnan(area)
        return divide(xp.where(defined, area, 0).sum(-1), defined.sum(-1))


class AUROC(RankingArea):
    """Area under the ROC curve, approximated with bins; macro average by default.

    The probability that a positive label scores above a negative one, where ties count
    half; in [0, 1], 0.5 is chance, higher is better (scikit-learn's `roc_auc_score`,
    one class against the rest). Scores in the same of the 4096 bins count as ties: on
    20,000 scores without ties the error was below 1e-4, and the bounds returned by
    `bounds()` were 1e-3 to 2e-3 apart. The state takes 64 KiB per class. nan for a
    class with only positive or only negative labels; such classes are left out of the
    macro mean.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`; the score of a class is its softmax log odds), "binary" (`logits` and
        `labels` `[...]`) or "multilabel" (both `[..., classes]`).
      average: "macro" (the default) is the mean over classes, "micro" ranks the scores
        of all classes together, "none" gives `[classes]`.
      classes: Number of classes, required unless the task is "binary".
      bins: Number of equal bins between logits of -20 and 20, next to one more at each
        end. Default 4096.
      scores: Output that holds the scores, "logits" (the default) or "probs", which
        are binned by their log odds and are invalid outside [0, 1].
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Labels out of range and rows with a score that is not finite are counted in
    `histogram.invalid` and never scored.

    Example:
      >>> import jaxmetrics as jm
      >>> auroc = jm.AUROC(task="binary")
      >>> logits, labels = [98.0, 1.5, 0.5, 2.5], [1, 0, 0, 1]
      >>> float(jm.evaluate(auroc, logits=logits, labels=labels))
      1.0
    """

    _curve_labels: ClassVar[tuple[str, str]] = (
        "false positive rate",
        "true positive rate",
    )
    _curve_diagonal: ClassVar[bool] = True

    def _curve(self, negatives: Any, positives: Any) -> tuple[Any, Any]:
        return negatives / negatives[-1], positives / positives[-1]

    def _areas(self, negative: Any, positive: Any) -> tuple[Any, Any, Any]:
        xp = namespace(self)
        negatives = negative.sum(-1, keepdims=True)
        below = divide(_in_earlier_bins(xp, negative), negatives)
        tied = divide(negative, negatives)
        share = divide(positive, positive.sum(-1, keepdims=True))
        low, ties = (share * below).sum(-1), (share * tied).sum(-1)
        return low, low + ties / 2, low + ties


class AveragePrecision(RankingArea):
    """Area under the precision-recall curve, approximated with bins; macro by default.

    In [0, 1], higher is better; chance is the fraction of positive labels. The mean
    over the positive labels of the precision at their score, without interpolation
    (scikit-learn's `average_precision_score`). Scores in the same of the 4096 bins
    count as ties: on 20,000 scores without ties the value was 2e-4 to 7e-4 too low, and
    the bounds returned by `bounds()` were 1e-3 to 5e-3 apart. The state takes 64 KiB
    per class. nan for a class without positive labels; such classes are left out of
    the macro mean.

    The arguments are those of `AUROC`. A collection that holds both with the same
    arguments stores the counts once.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.AveragePrecision(task="binary")
      >>> logits, labels = [3.0, 2.0, 1.0], [1, 0, 1]
      >>> round(float(jm.evaluate(metric, logits=logits, labels=labels)), 4)
      0.8333
    """

    _curve_labels: ClassVar[tuple[str, str]] = ("recall", "precision")

    def _curve(self, negatives: Any, positives: Any) -> tuple[Any, Any]:
        known = positives + negatives > 0
        precision = positives[known] / (positives + negatives)[known]
        return positives[known] / positives[-1], precision

    def _areas(self, negative: Any, positive: Any) -> tuple[Any, Any, Any]:
        xp = namespace(self)
        n, p = (xp.flip(x, -1) for x in (negative, positive))  # by descending score
        false, true = _in_earlier_bins(xp, n), _in_earlier_bins(xp, p)
        # A positive has the precision at the threshold equal to its score. At worst all
        # negatives of its bin come first, at best none. The sum over the positives k of
        # (true + k) / (false + n + true + k) is at least the integral used for `low`,
        # also with weights.
        worst, tied = true + false + n, true + false + n + p
        first = true + false + p
        low = p - (false + n) * xp.log1p(p / xp.where(worst > 0, worst, 1))
        middle = p * divide(true + p, xp.where(tied > 0, tied, 1))
        high = p * divide(true + p, xp.where(first > 0, first, 1))
        total = p.sum(-1)
        return tuple(divide(x.sum(-1), total) for x in (low, middle, high))


def _in_earlier_bins(xp: Any, counts: Any) -> Any:
    """Return the exclusive cumulative sum over bins."""
    total = xp.cumsum(counts, axis=-1)
    return xp.concatenate([xp.zeros_like(total[..., :1]), total[..., :-1]], axis=-1)
