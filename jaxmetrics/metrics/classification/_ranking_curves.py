"""Areas under the ROC and the precision-recall curve."""

from __future__ import annotations

from typing import Any

from jaxmetrics.core import (
    Metric,
    child,
    divide,
    namespace,
    on_plain_values,
    scores_field,
)
from jaxmetrics.metrics.classification._score_histogram import ScoreHistogram
from jaxmetrics.metrics.classification._scores import (
    check_average,
    check_task,
    entering,
    need_classes,
)

_AVERAGES = ("micro", "macro", "none")


class RankingArea(Metric):
    """Base of `AUROC` and `AveragePrecision`: an area from a histogram of scores.

    A class says which area, and its bounds, in `_areas`.
    """

    task: str = "multiclass"
    average: str = "macro"
    classes: int | None = None
    bins: int = 4096
    scores: str = scores_field("logits", "probs")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    histogram: ScoreHistogram = child(
        lambda m: ScoreHistogram(
            m.task, m.classes, m.bins, m.scores, m.ignore_index, m.weighted
        )
    )

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        who = type(self).__name__
        check_task(who, self.task, self.classes, 0.5)
        check_average(who, self.average, _AVERAGES)
        if self.bins < 1:
            raise ValueError(f"{who}: bins is at least 1, got {self.bins}.")
        if self.task != "binary":
            need_classes(who, f"task={self.task!r}", self.classes)

    def compute(self) -> Any:
        """The area, or `[classes]` of them."""
        return self._averaged()[1]

    @on_plain_values
    def bounds(self) -> tuple[Any, Any]:
        """A lower and an upper bound of the exact area, as certain as the counts.

        They hold for any order within the bins, up to rounding: 1e-12 on the host
        (1e-6 with weights, whose sums are float32), 1e-5 under jit.
        """
        low, _, high = self._averaged()
        return low, high

    def _areas(self, negative: Any, positive: Any) -> tuple[Any, Any, Any]:
        """Lower bound, estimate and upper bound from counts by ascending score."""
        raise NotImplementedError(f"{type(self).__name__} defines no area")

    def _averaged(self) -> tuple[Any, Any, Any]:
        xp = namespace(self)
        counts = xp.asarray(self.histogram.counts)
        several = self.task != "binary"
        if several and self.average == "micro":
            enters = entering(self.task, self.classes, self.ignore_index)
            counts = xp.where(enters[:, None, None], counts, 0).sum(-3)
        areas = self._areas(counts[..., 0, :], counts[..., 1, :])
        if several and self.average == "macro":
            areas = tuple(self._mean(area) for area in areas)
        return areas

    def _mean(self, each: Any) -> Any:
        xp = namespace(self)
        defined = ~xp.isnan(each)
        return divide(xp.where(defined, each, 0).sum(-1), defined.sum(-1))


class AUROC(RankingArea):
    """Area under the ROC curve; approximate, macro average by default. In [0, 1].

    The probability that a positive label scores above a negative one, ties counting
    half; 0.5 is chance, higher is better (scikit-learn's `roc_auc_score`, one class
    against the rest). Scores in one of the 4096 bins count as ties: on 20,000 scores
    without ties the error was below 1e-4, and `bounds()` gives limits that are
    certain, 1e-3 to 2e-3 apart there. The state is 64 KiB a class. nan for a class
    that has only positive or only negative labels; such classes are left out of the
    macro mean.

    Args:
      task: "multiclass" (`logits` `[..., classes]`, `labels` integers `[...]`; each
        class's score is its softmax log odds), "binary" (`logits` and `labels`
        `[...]`) or "multilabel" (both `[..., classes]`).
      average: "macro" is the mean over classes, "micro" takes all classes' scores as
        one ranking, "none" gives `[classes]`.
      classes: needed unless the task is binary.
      bins: equal bins between logits of -20 and 20, with one more at each end.
      scores: Output that holds the scores, "logits" or "probs"; probabilities
        are binned by their logits and invalid outside [0, 1].
      ignore_index: label, or tuple of labels, that mark padding.
      weighted: weigh each label by `weights`, which are then needed.

    Labels out of range and rows with a score that is not finite are counted in
    `histogram.invalid` and never scored.

    Example:
      >>> import jaxmetrics as jm
      >>> auroc = jm.AUROC(task="binary")
      >>> logits, labels = [98.0, 1.5, 0.5, 2.5], [1, 0, 0, 1]
      >>> float(jm.evaluate(auroc, logits=logits, labels=labels))
      1.0
    """

    def _areas(self, negative: Any, positive: Any) -> tuple[Any, Any, Any]:
        xp = namespace(self)
        negatives = negative.sum(-1, keepdims=True)
        below = divide(_before(xp, negative), negatives)
        same = divide(negative, negatives)
        share = divide(positive, positive.sum(-1, keepdims=True))
        low, tied = (share * below).sum(-1), (share * same).sum(-1)
        return low, low + tied / 2, low + tied


class AveragePrecision(RankingArea):
    """Area under the precision-recall curve; approximate, macro average by default.

    In [0, 1], higher is better; chance is the share of positive labels. The mean over
    the positive labels of the precision at their score, in steps (scikit-learn's
    `average_precision_score`, not interpolated). Scores in one of the 4096 bins count
    as ties: on 20,000 scores without ties it read 2e-4 to 7e-4 too low, and `bounds()`
    gives limits that are certain, 1e-3 to 5e-3 apart there. The state is 64 KiB a
    class. nan for a class without positive labels; such classes are left out of the
    macro mean.

    The arguments are those of `AUROC`, and a collection that holds both with the same
    arguments counts once.
    """

    def _areas(self, negative: Any, positive: Any) -> tuple[Any, Any, Any]:
        xp = namespace(self)
        descending = (xp.flip(x, -1) for x in (negative, positive))
        n, p = descending
        false, true = _before(xp, n), _before(xp, p)
        # Each positive has the precision of the threshold that takes it in. At worst
        # all negatives of its bin come first, at best none: the sum over the positives
        # of (true + k) / (worst + k) is at least the integral below, for weights too.
        worst, tied = true + false + n, true + false + n + p
        first = true + false + p
        low = p - (false + n) * xp.log1p(p / xp.where(worst > 0, worst, 1))
        middle = p * divide(true + p, xp.where(tied > 0, tied, 1))
        high = p * divide(true + p, xp.where(first > 0, first, 1))
        total = p.sum(-1)
        return tuple(divide(x.sum(-1), total) for x in (low, middle, high))


def _before(xp: Any, counts: Any) -> Any:
    """How many lie in earlier bins."""
    running = xp.cumsum(counts, axis=-1)
    return xp.concatenate([xp.zeros_like(running[..., :1]), running[..., :-1]], axis=-1)
