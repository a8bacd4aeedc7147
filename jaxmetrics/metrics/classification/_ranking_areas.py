"""Areas under the ROC and the precision-recall curve.

Both areas are computed from counts of negative and positive labels in bins of the
score. Scores within a bin are unordered unless they are surely equal, so that every
area has three values: the lower bound, in which all negatives of a bin rank before its
positives; the estimate, in between; and the upper bound, in which all positives rank
first. For ROC with one bin of 2 negatives and 3 positives these are 0, 0.5 and 1.

The state holds two histograms with different bins. The bounds are the tighter ones of
both, and the estimate is that of the histogram with the tighter bounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from jaxmetrics.core import (
    Direction,
    averaged_classes,
    check_choice,
    divide,
    namespace,
    on_plain_values,
)
from jaxmetrics.figures import Chart, Curves
from jaxmetrics.metrics.classification._ranking import (
    Ranking,
    at_or_above,
    open_pairs,
    real,
    share,
    wide_bounds,
)

_MAX_CURVES = 8
_MAX_OPEN = 0.9  # fraction of pairs of unknown order beyond which there is no estimate


class RankingArea(Ranking):
    """Base of `AUROC` and `AveragePrecision`: an area from scores by label.

    A subclass returns its area and the bounds from `_areas`.
    """

    _curve_labels: ClassVar[tuple[str, str]] = ("", "")
    _curve_diagonal: ClassVar[bool] = False

    def compute(self) -> Any:
        """Return the area, or `[classes]` of them."""
        return self._averaged()[1]

    @on_plain_values
    def bounds(self) -> tuple[Any, Any]:
        """Return a lower and an upper bound of the exact area.

        They hold for any order of the scores within the bins, up to rounding: 1e-12 on
        the host (1e-6 with weights, whose sums are float32), 1e-5 under jit. With
        `exact=True` they are equal.

        `log_step` records the distance of the value to the farther one as
        `{name}_error_bound`.
        """
        low, _, high = self._averaged()
        return low, high

    def diagnostics(self) -> dict[str, float]:
        """Return `invalid`, and `bounds_width`: the largest distance of the bounds.

        Both are left out where there is nothing to see: widths of at most 0.05.
        """
        return super().diagnostics() | wide_bounds(*self.bounds())

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return the curve, of several classes one each for the first eight."""
        counts, thresholds = map(np.asarray, self._chosen_ordering())
        if counts.ndim == 2:
            counts, thresholds = counts[None], thresholds[None]
        above = at_or_above(np, counts[:_MAX_CURVES], thresholds[:_MAX_CURVES])
        with np.errstate(all="ignore"):  # a class without labels has no curve
            lines = {
                f"class {index}": self._curve(negatives, positives)
                for index, (negatives, positives) in enumerate(zip(*above[:2]))
            }
        title = name or type(self).__name__
        return {title: Curves(lines, *self._curve_labels, self._curve_diagonal)}

    def _curve(self, negatives: Any, positives: Any) -> tuple[Any, Any]:
        """Return x and y of the curve; counts at or above each threshold."""
        raise NotImplementedError(f"{type(self).__name__} defines no curve")

    def _areas(self, negative: Any, positive: Any, is_one_value: Any) -> Any:
        """Return lower bound, estimate and upper bound.

        Args:
          negative: Counts `[..., bins]` by ascending score.
          positive: Counts of positive labels.
          is_one_value: Bool, where all scores of a bin are equal.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no area")

    def _averaged(self) -> tuple[Any, Any, Any]:
        xp = namespace(self)
        orderings = [
            (real(xp, counts), is_one_value)
            for counts, is_one_value in self.histogram.orderings()
        ]
        areas = self._over_orderings(
            xp, [(x[..., 0, :], x[..., 1, :], one) for x, one in orderings]
        )
        if self._task == "binary" or self.average in ("micro", "none"):
            return areas
        weights = None
        if self.average == "weighted":
            weights = orderings[0][0][..., 1, :].sum(-1)
        return tuple(self._mean(area, weights) for area in areas)

    def _over_orderings(
        self, xp: Any, orderings: list[tuple[Any, Any, Any]]
    ) -> tuple[Any, Any, Any]:
        """Return the areas of the tighter bounds, and nan where most is unknown."""
        areas = [self._areas(*ordering) for ordering in orderings]
        unknown = [open_pairs(xp, *ordering) for ordering in orderings]
        low, middle, high = areas[0]
        least = unknown[0]
        for (other_low, other_middle, other_high), other in zip(areas[1:], unknown[1:]):
            is_tighter = other_high - other_low < high - low
            middle = xp.where(is_tighter, other_middle, middle)
            low, high = xp.maximum(low, other_low), xp.minimum(high, other_high)
            least = xp.minimum(least, other)
        middle = xp.clip(middle, low, high)
        middle = xp.where(least > _MAX_OPEN, xp.full_like(middle, np.nan), middle)
        return low, middle[()], high

    def _mean(self, area: Any, weights: Any = None) -> Any:
        """Return the mean over classes, without those whose area is nan."""
        xp = namespace(self)
        defined = ~xp.isnan(area)
        weight = xp.ones_like(area) if weights is None else weights
        weight = xp.where(defined, weight, xp.zeros_like(weight))
        area = xp.where(defined, area, xp.zeros_like(area))
        return divide((area * weight).sum(-1), weight.sum(-1))


class AUROC(RankingArea):
    """Area under the ROC curve, from histograms of constant size; macro by default.

    The probability that a positive label scores above a negative one, where equal
    scores count half; in [0, 1], 0.5 is chance, higher is better (scikit-learn's
    `roc_auc_score`, one class against the rest).

    Scores may have any scale and offset: two histograms of `bins` bins widen as scores
    come in, and the state does not depend on their order, on batches, merges or
    devices. Within a bin the densities of both labels are taken to be linear, with the
    slopes of the bins around it, and `bounds()` returns how far the exact area can be
    off. For 20,000 continuous scores at scales from 1e-3 to 1e4 and offsets to 100
    standard deviations the error was below 1e-3, and the bounds were within 0.01 of
    each other, for Student's t with 2 degrees of freedom within 0.05; see
    `benchmarks/accuracy.py`. Equal scores are known to be equal, and then no source
    of error, if they are the smallest, the largest or infinite, if all scores are
    integers from a range below `bins`, or if fewer than `bins` float32 numbers lie
    between the smallest and the largest. The area is nan where the order of more than
    0.9 of all pairs is unknown, as of scores between 1 and 1.001 next to one of 1e30.
    The state takes 128 KiB per class.

    Args:
      task: "multiclass" (the default if `classes` is given; `logits`
        `[..., classes]`, integer `labels` `[...]`; the score of a class is its softmax
        log odds), "binary" (the default otherwise; `logits` and `labels` `[...]`) or
        "multilabel" (both `[..., classes]`).
      average: "macro" (the default) is the mean over classes, "weighted" the mean
        weighted by their positive labels, "micro" ranks the scores of all classes
        together, "none" gives `[classes]`.
      classes: Number of classes, required unless the task is "binary".
      bins: Number of bins of a histogram, a power of two. Default 4096.
      scores: Output that holds the scores, "logits" (the default) or "probs", which
        are ranked by their log odds and are invalid outside [0, 1].
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.
      exact: Keep `capacity` rows of scores and labels in place of the histograms, and
        compute the area as scikit-learn does. Reading more rows raises an error.
      capacity: Number of rows for `exact=True`.
      max_fpr: Largest false positive rate of the partial area, in (0, 1], standardised
        to 0.5 for chance and 1 for a perfect ranking (McClish 1989), as scikit-learn
        does. Default None, the whole area.
      multi_class: "ovr" (the default) ranks each class against all others, "ovo" each
        pair of classes among their own labels (Hand and Till 2001): the mean over
        pairs, with `average="weighted"` weighted by their labels. The state of "ovo"
        takes 64 KiB for each pair of a class and a label.

    Labels out of range, and rows with an invalid score, are counted in
    `histogram.invalid` and never scored. Infinite scores are valid, NaN is not. In
    multiclass rows a logit of -inf masks a class out.

    Example:
      >>> import jaxmetrics as jm
      >>> auroc = jm.AUROC(task="binary")
      >>> logits, labels = [98.0, 1.5, 0.5, 2.5], [1, 0, 0, 1]
      >>> float(jm.evaluate(auroc, logits=logits, labels=labels))
      1.0
    """

    higher_is_better: ClassVar[Direction] = True

    max_fpr: float | None = dataclasses.field(default=None, kw_only=True)
    multi_class: str = dataclasses.field(default="ovr", kw_only=True)

    _curve_labels: ClassVar[tuple[str, str]] = (
        "false positive rate",
        "true positive rate",
    )
    _curve_diagonal: ClassVar[bool] = True

    def validate(self) -> None:
        """Refuse unknown settings, and combinations without a meaning."""
        super().validate()
        check_choice("AUROC", "multi_class", self.multi_class, ("ovr", "ovo"))
        if self.max_fpr is not None and not 0 < self.max_fpr <= 1:
            raise ValueError(
                f"AUROC: max_fpr is {self.max_fpr}, but must be in (0, 1]. Leave it "
                "out for the whole area."
            )
        if self.multi_class == "ovr":
            return
        if self._task != "multiclass" or self.average not in ("macro", "weighted"):
            raise ValueError(
                "AUROC: multi_class='ovo' needs the multiclass task and average "
                f"'macro' or 'weighted', got task={self._task!r} and "
                f"average={self.average!r}. Leave multi_class out for the others."
            )
        if self.max_fpr is not None:
            raise ValueError(
                f"AUROC: max_fpr={self.max_fpr} is not defined for multi_class='ovo'. "
                "Leave one of them out."
            )

    @property
    def _pairs(self) -> bool:
        return self.multi_class == "ovo"

    def _curve(self, negatives: Any, positives: Any) -> tuple[Any, Any]:
        return negatives / negatives[-1], positives / positives[-1]

    def _areas(self, negative: Any, positive: Any, is_one_value: Any) -> Any:
        xp = namespace(self)
        if self.max_fpr is not None and self.max_fpr < 1:
            return _partial_areas(xp, negative, positive, is_one_value, self.max_fpr)
        p, n = share(positive, positive), share(negative, negative)
        low = (p * _in_earlier_bins(xp, n)).sum(-1)
        ties = p * n
        zero = xp.zeros_like(ties)
        low = low + xp.where(is_one_value, ties, zero).sum(-1) / 2
        ties = xp.where(is_one_value, zero, ties)
        # Within a bin the densities of both labels are not constant. With slopes from
        # the neighbouring bins, linear densities rank 1/2 + (slope p - slope n) / 12 of
        # the pairs rightly, in units of the density in a bin.
        bend = (n * _slope(xp, p) - p * _slope(xp, n)) / 12
        bend = xp.clip(bend, -ties / 3, ties / 3)
        unknown = ties.sum(-1)
        return low, low + unknown / 2 + bend.sum(-1), low + unknown

    def _averaged(self) -> tuple[Any, Any, Any]:
        if not self._pairs:
            return super()._averaged()
        xp = namespace(self)
        orderings = [
            (real(xp, counts), is_one_value)
            for counts, is_one_value in self.histogram.orderings()
        ]
        classes = self.classes or 0
        # Row c: the labels c as positives against those of each other class, by the
        # scores of class c.
        rows = [
            self._over_orderings(
                xp,
                [
                    _one_against_each(xp, counts[..., c, :, :], one[..., c, :], c)
                    for counts, one in orderings
                ],
            )
            for c in range(classes)
        ]
        first, second = np.triu_indices(classes, 1)
        averaged = averaged_classes("multiclass", classes, self.ignore_index)
        kept = averaged[first] & averaged[second]
        first, second = first[kept], second[kept]
        weights = None
        if self.average == "weighted":
            labels = orderings[0][0][..., 0, :, :].sum(-1)
            weights = labels[..., first] + labels[..., second]
        means = []
        for areas in zip(*rows):
            area = xp.concatenate(areas, axis=-1)  # of row c after that of c - 1
            there = xp.take(area, first * classes + second, axis=-1)
            back = xp.take(area, second * classes + first, axis=-1)
            both_ways = (there + back) / 2
            means.append(self._mean(both_ways, weights))
        return tuple(means)


class AveragePrecision(RankingArea):
    """Area under the precision-recall curve, from histograms; macro by default.

    In [0, 1], higher is better; chance is the fraction of positive labels. The mean
    over the positive labels of the precision at their score, without interpolation
    (scikit-learn's `average_precision_score`). Scores may have any scale and offset,
    and the value is nan where most of their order is unknown, as for `AUROC`; for the
    scores described there the error was below 1e-3. Scores in the same bin are taken to
    be in random order, or equal if the bins around it are empty. The state takes 128
    KiB per class. nan for a class without positive labels; such classes are left out of
    the macro mean.

    The arguments are those of `AUROC` without `max_fpr` and `multi_class`. A collection
    that holds both with the same arguments stores the state once.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.AveragePrecision(task="binary")
      >>> logits, labels = [3.0, 2.0, 1.0], [1, 0, 1]
      >>> round(float(jm.evaluate(metric, logits=logits, labels=labels)), 4)
      0.8333
    """

    higher_is_better: ClassVar[Direction] = True

    _curve_labels: ClassVar[tuple[str, str]] = ("recall", "precision")

    def _curve(self, negatives: Any, positives: Any) -> tuple[Any, Any]:
        known = positives + negatives > 0
        precision = positives[known] / (positives + negatives)[known]
        return positives[known] / positives[-1], precision

    def _areas(self, negative: Any, positive: Any, is_one_value: Any) -> Any:
        xp = namespace(self)
        n, p, one = (xp.flip(x, -1) for x in (negative, positive, is_one_value))
        false, true = _in_earlier_bins(xp, n), _in_earlier_bins(xp, p)
        # A positive has the precision at the threshold equal to its score. At worst all
        # negatives of its bin come first, and its positives one by one: with `true` and
        # `false` labels above the bin, the k-th of p positives has the precision
        # (true + k) / (above + n + k), above = true + false: see `_reciprocals`. At
        # best the p positives come first and are equal, as the last one has the best.
        above = true + false
        tied = p * divide(true + p, _or_one(xp, above + n + p))
        high = p * divide(true + p, _or_one(xp, above + p))
        if self.weighted:
            low = p - (false + n) * xp.log1p(p / _or_one(xp, above + n))
            middle = (low + high) / 2
        else:
            low = p - (false + n) * _reciprocals(xp, above + n, p)
            # On average n k / (p + 1) negatives come before the k-th positive.
            pace = 1 + n / (p + 1)
            rest = (above / pace - true) * _reciprocals(xp, above / pace, p)
            middle = (p - rest) / pace
        low, high = (xp.where(one, tied, x) for x in (low, high))
        # Of continuous scores no bin of several is between two empty ones.
        middle = xp.where(one | _is_isolated(xp, n + p), tied, middle)
        return tuple(divide(x.sum(-1), p.sum(-1)) for x in (low, middle, high))


def _partial_areas(
    xp: Any, negative: Any, positive: Any, one: Any, limit: float
) -> Any:
    """Return areas up to a false positive rate, standardised as McClish (1989)."""
    width, height = (xp.flip(share(x, x), -1) for x in (negative, positive))
    left, below = _in_earlier_bins(xp, width), _in_earlier_bins(xp, height)
    used = xp.minimum(xp.maximum(limit - left, xp.zeros_like(left)), width)
    slope = height * used / xp.where(width > 0, width, xp.ones_like(width)) / 2
    one = xp.flip(one, -1)
    low, high = (xp.where(one, slope, x) for x in (xp.zeros_like(slope), height))
    chance = limit**2 / 2
    return tuple(
        (1 + ((used * (below + x)).sum(-1) - chance) / (limit - chance)) / 2
        for x in (low, slope, high)
    )


def _one_against_each(xp: Any, counts: Any, one: Any, label: int) -> Any:
    """Return the labels of each class, those of one class, and sure ties, by score."""
    positive = xp.broadcast_to(counts[..., label : label + 1, :], counts.shape)
    return counts, positive, xp.broadcast_to(one[..., None, :], counts.shape)


def _reciprocals(xp: Any, a: Any, p: Any) -> Any:
    """Return an upper bound of the sum of 1 / (a + k) for k from 1 to p.

    The reciprocal is convex: rectangles around each k are below its integral. For p = 1
    it is exact.
    """
    return xp.where(p == 1, 1 / (a + 1), xp.log1p(p / (a + 0.5)))


def _slope(xp: Any, counts: Any) -> Any:
    """Return half the difference of the next and the previous bin."""
    zero = xp.zeros_like(counts[..., :1])
    after = xp.concatenate([counts[..., 1:], zero], axis=-1)
    before = xp.concatenate([zero, counts[..., :-1]], axis=-1)
    return (after - before) / 2


def _is_isolated(xp: Any, counts: Any) -> Any:
    """Return where the next and the previous bin are empty."""
    before, after = counts[..., :-2], counts[..., 2:]
    inner = (before == 0) & (after == 0)
    end = xp.zeros_like(inner[..., :1])
    return xp.concatenate([end, inner, end], axis=-1)


def _or_one(xp: Any, x: Any) -> Any:
    return xp.where(x > 0, x, xp.ones_like(x))


def _in_earlier_bins(xp: Any, counts: Any) -> Any:
    """Return the exclusive cumulative sum over bins."""
    total = xp.cumsum(counts, axis=-1)
    return xp.concatenate([xp.zeros_like(total[..., :1]), total[..., :-1]], axis=-1)
