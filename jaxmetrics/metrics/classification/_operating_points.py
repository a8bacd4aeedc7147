"""The best threshold of a score, and what is reached there.

Candidates are the thresholds between bins, where all rates are exact; the value is
reached there. Between them rates are known to lie between those of both ends of a bin,
which gives the bounds: with 2 negatives and 3 positives in a bin, at best all positives
are above a threshold and no negative is.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from jaxmetrics.core import Direction, check_choice, divide, namespace, on_plain_values
from jaxmetrics.metrics.classification._ranking import (
    Ranking,
    at_or_above,
    probability,
    wide_bounds,
)

_AVERAGES = ("micro", "none")


class Counts(NamedTuple):
    """Labels at or above thresholds `[..., points]`, and in all `[..., 1]`."""

    false: Any
    true: Any
    negatives: Any
    positives: Any

    @property
    def specificity(self) -> Any:
        """True negative rate."""
        return divide(self.negatives - self.false, self.negatives)

    @property
    def recall(self) -> Any:
        """True positive rate."""
        return divide(self.true, self.positives)

    @property
    def precision(self) -> Any:
        """Share of what is predicted that is positive; nan where nothing is."""
        return divide(self.true, self.false + self.true)


class OperatingPoint(Ranking):
    """Base of the metrics of one threshold, which maximise a rate.

    A subclass returns what is maximised, and what breaks ties, from `_objectives`.
    """

    average: str = "none"

    _name: ClassVar[str] = ""  # of the value
    _needs_negatives: ClassVar[bool] = True

    def validate(self) -> None:
        """Refuse unknown settings."""
        super().validate()
        check_choice(type(self).__name__, "average", self.average, _AVERAGES)

    def compute(self) -> dict[str, Any]:
        """Return the value by its name and `threshold`, `[]` or `[classes]` each."""
        xp = namespace(self)
        orderings = self._orderings()
        objectives = [self._objectives(xp, points) for points, _, _ in orderings]
        is_defined = self._is_defined(orderings[0][0])
        threshold = xp.concatenate([edges for _, _, edges in orderings], axis=-1)
        best, chosen = [], xp.ones(threshold.shape, bool)
        for parts in zip(*objectives):  # the later ones break ties
            objective = xp.concatenate(parts, axis=-1)
            rest = xp.where(chosen & ~xp.isnan(objective), objective, -np.inf)
            best.append(rest.max(-1))
            # Equal up to rounding, which a compiler may do twice in different ways.
            least = best[-1][..., None] - 8 * np.finfo(objective.dtype).eps
            chosen = chosen & (objective >= least)
        value = xp.where(is_defined, self._value(xp, *best), np.nan)
        threshold = xp.where(chosen, threshold, -np.inf).max(-1)
        if self.scores == "probs":
            threshold = probability(xp, threshold)
        is_reached = is_defined & ~xp.isneginf(best[0])
        threshold = xp.where(is_reached, threshold, np.nan)
        return {self._name: value[()], "threshold": threshold[()]}

    @on_plain_values
    def bounds(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return bounds of the value at the best of all thresholds, by its name.

        They hold up to rounding. With `exact=True` they are equal. `log_step` records
        the distance of the value to the farther one.
        """
        xp = namespace(self)
        best = []
        reached, best_cases, _ = zip(*self._orderings())
        for counts in (reached, best_cases):
            objectives = (self._objectives(xp, points)[0] for points in counts)
            best.append([xp.where(xp.isnan(x), -np.inf, x).max(-1) for x in objectives])
        low = functools.reduce(xp.maximum, best[0])
        high = xp.maximum(functools.reduce(xp.minimum, best[1]), low)
        is_defined = self._is_defined(reached[0])
        values = (xp.where(is_defined, self._value(xp, x), np.nan) for x in (low, high))
        low, high = values
        return {self._name: low[()]}, {self._name: high[()]}

    def diagnostics(self) -> dict[str, float]:
        """Return `invalid`, and `bounds_width` above 0.05, as `AUROC` does."""
        low, high = (bound[self._name] for bound in self.bounds())
        return super().diagnostics() | wide_bounds(low, high)

    def _objectives(self, xp: Any, counts: Counts) -> tuple[Any, ...]:
        """Return what is maximised at each point, nan or -inf where not allowed."""
        raise NotImplementedError(f"{type(self).__name__} maximises nothing")

    def _value(self, xp: Any, best: Any, *others: Any) -> Any:
        """Return the value of the largest objectives; 0 if no point is allowed."""
        return xp.where(xp.isneginf(best), 0.0, best)

    def _is_defined(self, counts: Counts) -> Any:
        has_data = counts.positives > 0
        if self._needs_negatives:
            has_data = has_data & (counts.negatives > 0)
        return has_data[..., 0]

    def _orderings(self) -> list[tuple[Counts, Counts, Any]]:
        """Return counts at thresholds, the best case between them, and thresholds."""
        xp = namespace(self)
        orderings = []
        both = zip(self.histogram.orderings(), self.histogram.thresholds())
        for (cells, is_one_value), edges in both:
            false, true, thresholds = at_or_above(xp, cells, edges)
            totals = false[..., -1:], true[..., -1:]
            is_one_value = xp.flip(is_one_value, -1)
            least = xp.where(is_one_value, false[..., 1:], false[..., :-1])
            best_case = Counts(least, true[..., 1:], *totals)
            orderings.append((Counts(false, true, *totals), best_case, thresholds))
        return orderings


class PrecisionAtRecall(OperatingPoint):
    """Highest precision at a threshold whose recall is at least `recall`.

    In [0, 1], higher is better, nan without positive labels. As torchmetrics'
    `PrecisionAtFixedRecall`: of thresholds with equal precision it is the one with the
    highest recall. Scores of at least the threshold are positive.

    The value is reached at the threshold, which lies between bins of the histograms
    that `AUROC` keeps (a collection with both stores them once); `bounds()` tells how
    much better another threshold can be. `exact=True` tries every score.

    Args:
      recall: Recall to reach, in (0, 1]. Default 0.9.
      average: "none" (the default) gives the values of each class, "micro" ranks the
        scores of all classes together.

    The other arguments are those of `AUROC`.

    Returns by `compute`: `precision` and `threshold`, `[]` or `[classes]`. Thresholds
    are in the unit of the scores: logits, in the multiclass task the log odds of a
    class, or probabilities (within 1e-6).

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.PrecisionAtRecall(recall=0.5)
      >>> logits, labels = [3.0, 2.0, 1.0, 0.0], [0, 1, 1, 0]
      >>> point = jm.evaluate(metric, logits=logits, labels=labels)
      >>> round(float(point["precision"]), 3), float(point["threshold"])
      (0.667, 1.0)
    """

    higher_is_better: ClassVar[Direction] = True

    recall: float = dataclasses.field(default=0.9, kw_only=True)

    _name = "precision"
    _needs_negatives = False

    def validate(self) -> None:
        """Refuse a recall outside (0, 1]."""
        super().validate()
        _check_rate("PrecisionAtRecall", "recall", self.recall)

    def _objectives(self, xp: Any, counts: Counts) -> tuple[Any, ...]:
        return _at_least(xp, counts.precision, counts.recall, self.recall)


class RecallAtPrecision(OperatingPoint):
    """Highest recall at a threshold whose precision is at least `precision`.

    In [0, 1], higher is better; 0 if no threshold has that precision, nan without
    positive labels. As torchmetrics' `RecallAtFixedPrecision`, with ties as in
    `PrecisionAtRecall`: the highest precision. Bounds and arguments are those of
    `PrecisionAtRecall`.

    Args:
      precision: Precision to reach, in (0, 1]. Default 0.9.

    Returns by `compute`: `recall` and `threshold`, `[]` or `[classes]`; the threshold
    is nan if no threshold has that precision.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.RecallAtPrecision(precision=0.6)
      >>> logits, labels = [3.0, 2.0, 1.0, 0.0], [0, 1, 1, 0]
      >>> point = jm.evaluate(metric, logits=logits, labels=labels)
      >>> float(point["recall"]), float(point["threshold"])
      (1.0, 1.0)
    """

    higher_is_better: ClassVar[Direction] = True

    precision: float = dataclasses.field(default=0.9, kw_only=True)

    _name = "recall"
    _needs_negatives = False

    def validate(self) -> None:
        """Refuse a precision outside (0, 1]."""
        super().validate()
        _check_rate("RecallAtPrecision", "precision", self.precision)

    def _objectives(self, xp: Any, counts: Counts) -> tuple[Any, ...]:
        return _at_least(xp, counts.recall, counts.precision, self.precision)


class SensitivityAtSpecificity(OperatingPoint):
    """Highest true positive rate where the true negative rate is at least a limit.

    In [0, 1], higher is better; nan without positive or without negative labels. As
    torchmetrics' metric of that name, with ties as in `PrecisionAtRecall`: the highest
    specificity. Bounds and arguments are those of `PrecisionAtRecall`.

    Args:
      specificity: True negative rate to reach, in (0, 1]. Default 0.9.

    Returns by `compute`: `sensitivity` and `threshold`, `[]` or `[classes]`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.SensitivityAtSpecificity(specificity=0.5)
      >>> logits, labels = [3.0, 2.0, 1.0, 0.0], [0, 1, 1, 0]
      >>> point = jm.evaluate(metric, logits=logits, labels=labels)
      >>> float(point["sensitivity"]), float(point["threshold"])
      (1.0, 1.0)
    """

    higher_is_better: ClassVar[Direction] = True

    specificity: float = dataclasses.field(default=0.9, kw_only=True)

    _name = "sensitivity"

    def validate(self) -> None:
        """Refuse a specificity outside (0, 1]."""
        super().validate()
        _check_rate("SensitivityAtSpecificity", "specificity", self.specificity)

    def _objectives(self, xp: Any, counts: Counts) -> tuple[Any, ...]:
        return _at_least(xp, counts.recall, counts.specificity, self.specificity)


class SpecificityAtSensitivity(OperatingPoint):
    """Highest true negative rate where the true positive rate is at least a limit.

    In [0, 1], higher is better; nan without positive or without negative labels. As
    torchmetrics' metric of that name, with ties as in `PrecisionAtRecall`: the highest
    sensitivity. Bounds and arguments are those of `PrecisionAtRecall`.

    Args:
      sensitivity: True positive rate to reach, in (0, 1]. Default 0.9.

    Returns by `compute`: `specificity` and `threshold`, `[]` or `[classes]`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.SpecificityAtSensitivity(sensitivity=0.5)
      >>> logits, labels = [3.0, 2.0, 1.0, 0.0], [0, 1, 1, 0]
      >>> point = jm.evaluate(metric, logits=logits, labels=labels)
      >>> float(point["specificity"]), float(point["threshold"])
      (0.5, 1.0)
    """

    higher_is_better: ClassVar[Direction] = True

    sensitivity: float = dataclasses.field(default=0.9, kw_only=True)

    _name = "specificity"

    def validate(self) -> None:
        """Refuse a sensitivity outside (0, 1]."""
        super().validate()
        _check_rate("SpecificityAtSensitivity", "sensitivity", self.sensitivity)

    def _objectives(self, xp: Any, counts: Counts) -> tuple[Any, ...]:
        return _at_least(xp, counts.specificity, counts.recall, self.sensitivity)


class KolmogorovSmirnov(OperatingPoint):
    """Largest distance of the score distributions of positive and negative labels.

    The maximum over thresholds of true minus false positive rate, which is Youden's J
    at its best; in [0, 1], higher is better; nan without positive or without negative
    labels. As scipy's `ks_2samp(negatives, positives, alternative="greater")`. Of
    thresholds with equal distance it is the lowest. Bounds and arguments are those of
    `PrecisionAtRecall`.

    Returns by `compute`: `distance` and `threshold`, `[]` or `[classes]`.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [3.0, 2.0, 1.0, 0.0], [1, 0, 1, 0]
      >>> point = jm.evaluate(jm.KolmogorovSmirnov(), logits=logits, labels=labels)
      >>> float(point["distance"]), float(point["threshold"])
      (0.5, 1.0)
    """

    higher_is_better: ClassVar[Direction] = True

    _name = "distance"

    def _objectives(self, xp: Any, counts: Counts) -> tuple[Any, ...]:
        return counts.recall + counts.specificity - 1, counts.recall


class MaxFBeta(OperatingPoint):
    """Highest F-score over all thresholds.

    `(1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp)`, as `FBeta`, at the threshold
    where it is highest; in [0, 1], higher is better; nan without positive labels. Of
    thresholds with equal scores it is the one with the highest recall. Bounds and
    arguments are those of `PrecisionAtRecall`.

    Args:
      beta: Weight of recall relative to precision, above 0. Default 1, the F1 score.

    Returns by `compute`: `score` and `threshold`, `[]` or `[classes]`.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [3.0, 2.0, 1.0, 0.0], [1, 0, 1, 0]
      >>> point = jm.evaluate(jm.MaxFBeta(), logits=logits, labels=labels)
      >>> float(point["score"]), float(point["threshold"])
      (0.8, 1.0)
    """

    higher_is_better: ClassVar[Direction] = True

    beta: float = dataclasses.field(default=1.0, kw_only=True)

    _name = "score"
    _needs_negatives = False

    def validate(self) -> None:
        """Refuse a beta that is not positive and finite."""
        super().validate()
        if not 0 < self.beta < math.inf:
            raise ValueError(
                f"MaxFBeta: beta is {self.beta}, but must be positive and finite. Use "
                "1 for F1."
            )

    def _objectives(self, xp: Any, counts: Counts) -> tuple[Any, ...]:
        square = self.beta * self.beta
        hits = (1 + square) * counts.true
        score = divide(hits, counts.true + counts.false + square * counts.positives)
        return score, counts.recall


class EqualErrorRate(OperatingPoint):
    """Error rate at the threshold where false positive and negative rate are equal.

    In [0, 1], lower is better; nan without positive or without negative labels. The
    mean of both rates at the threshold where they differ least (torchmetrics' `EER`);
    of equal differences it is the one with the lower mean. Arguments are those of
    `PrecisionAtRecall`; the bounds are those of the bin in which both rates cross.

    Returns by `compute`: `error_rate` and `threshold`, `[]` or `[classes]`.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [3.0, 2.0, 1.0, 0.0], [1, 0, 1, 0]
      >>> point = jm.evaluate(jm.EqualErrorRate(), logits=logits, labels=labels)
      >>> float(point["error_rate"]), float(point["threshold"])
      (0.5, 2.0)
    """

    higher_is_better: ClassVar[Direction] = False

    _name = "error_rate"

    @on_plain_values
    def bounds(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return bounds of the value at the best of all thresholds, by its name.

        They hold up to rounding. With `exact=True` they are equal. `log_step` records
        the distance of the value to the farther one.
        """
        xp = namespace(self)
        lows, highs = [], []
        orderings = self.histogram.orderings()
        for (_, is_one_value), (counts, _, _) in zip(orderings, self._orderings()):
            false, missed = 1 - counts.specificity, 1 - counts.recall
            # The bin in which they cross; its ends are points `last` and `last + 1`.
            last = (false <= missed).sum(-1, keepdims=True) - 1
            last = xp.clip(last, 0, false.shape[-1] - 2)
            false, missed = (
                [xp.take_along_axis(x, last + i, axis=-1)[..., 0] for i in (0, 1)]
                for x in (false, missed)
            )
            ends = [(x + y) / 2 for x, y in zip(false, missed)]
            is_first = missed[0] - false[0] <= false[1] - missed[1]
            value = xp.where(is_first, *ends)
            is_one_value = xp.flip(is_one_value, -1)
            sure = xp.take_along_axis(is_one_value, last, axis=-1)[..., 0]
            lows.append(xp.where(sure, value, (false[0] + missed[1]) / 2))
            highs.append(xp.where(sure, value, (false[1] + missed[0]) / 2))
        low = functools.reduce(xp.maximum, lows)
        high = functools.reduce(xp.minimum, highs)
        return {self._name: low[()]}, {self._name: high[()]}

    def _objectives(self, xp: Any, counts: Counts) -> tuple[Any, ...]:
        false, missed = 1 - counts.specificity, 1 - counts.recall
        return -xp.abs(false - missed), -(false + missed) / 2

    def _value(self, xp: Any, best: Any, *others: Any) -> Any:
        return -others[0]


def _at_least(xp: Any, objective: Any, rate: Any, limit: float) -> tuple[Any, Any]:
    """Return an objective where a rate has a limit, -inf elsewhere, and the rate."""
    return xp.where(rate >= limit, objective, -np.inf), rate


def _check_rate(metric: str, name: str, rate: float) -> None:
    if not 0 < rate <= 1:
        raise ValueError(
            f"{metric}: {name} is {rate}, but must be in (0, 1]. Pass the fraction to "
            "reach, such as 0.9."
        )
