"""`ClassRatio`: base of the metrics that are a ratio of counts by class."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from typing import Any

import numpy as np

from jaxmetrics.core import (
    Metric,
    averaged_classes,
    check_choice,
    child,
    divide,
    namespace,
    scores_field,
)
from jaxmetrics.figures import Bars, Heatmap
from jaxmetrics.metrics.classification._counts import ClassCounts, check_class_counts
from jaxmetrics.metrics.classification._sample_ratios import SampleRatios

_AVERAGES = ("micro", "macro", "weighted", "none", "samples")
_ABSENT = ("drop", "zero", "nan")
_STAT_SCORES = ("tp", "fp", "tn", "fn", "support")


@dataclasses.dataclass(frozen=True)
class Counts:
    """Counts of one class, or `[..., classes]` of them, as `compute` sees them.

    Under jit they are float32, so that differences of counts beyond 2^24 are rounded.

    Args:
      hits: Predictions of the class that are correct: true positives.
      predicted: Predictions of the class.
      support: Labels of the class.
      total: Labels of all classes; in the multilabel task those of each label.
      one_class_each: True if each label is one of the classes: the multiclass task.
      xp: numpy or jax.numpy.
    """

    hits: Any
    predicted: Any
    support: Any
    total: Any
    one_class_each: bool
    xp: Any

    @property
    def false_positives(self) -> Any:
        """Predictions of the class that are wrong."""
        return self.predicted - self.hits

    @property
    def false_negatives(self) -> Any:
        """Labels of the class that are not predicted."""
        return self.support - self.hits

    @property
    def true_negatives(self) -> Any:
        """Other labels that are not predicted as the class."""
        return self.negatives - self.false_positives

    @property
    def negatives(self) -> Any:
        """Labels that are not the class."""
        return self._rest(self.support)

    @property
    def predicted_negatives(self) -> Any:
        """Predictions that are not the class."""
        return self._rest(self.predicted)

    @property
    def stat_scores(self) -> Any:
        """True and false positives, true and false negatives, labels: `[..., 5]`."""
        scores = (
            self.hits,
            self.false_positives,
            self.true_negatives,
            self.false_negatives,
            self.support,
        )
        return self.xp.stack(scores, axis=-1)

    def _rest(self, x: Any) -> Any:
        if self.one_class_each:
            return sum_of_others(self.xp, x)
        return self.total - x


def counts_of(state: Any, one_class_each: bool) -> Counts:
    """Return the counts of a state that `compute` sees.

    Args:
      state: Metric with the leaves `hits`, `predicted`, `support` and `total`.
      one_class_each: True if each label is one of the classes.
    """
    xp = namespace(state)
    return Counts(
        hits=xp.asarray(state.hits),
        predicted=xp.asarray(state.predicted),
        support=xp.asarray(state.support),
        total=xp.asarray(state.total),
        one_class_each=one_class_each,
        xp=xp,
    )


def chart_of_counts(counts: Any, rows: str) -> Bars | Heatmap:
    """Return the chart of `stat_scores`: bars of `[5]`, a heatmap of `[rows, 5]`.

    Args:
      counts: The counts.
      rows: Label of the rows.
    """
    counts = np.asarray(counts)
    if counts.ndim == 1:
        return Bars(dict(zip(_STAT_SCORES, counts.tolist())), "count")
    return Heatmap(counts, "count", rows, x_names=_STAT_SCORES)


def sum_of_others(xp: Any, x: Any) -> Any:
    """Return, along the last axis, the sum of all entries but one.

    Of `[1e9, 1, 2]` it is `[3, 1e9 + 2, 1e9 + 1]`. The total minus the entry would lose
    digits of the 3.
    """
    none = xp.zeros_like(x[..., :1])
    before = xp.concatenate([none, x[..., :-1]], axis=-1)
    after = xp.concatenate([none, x[..., :0:-1]], axis=-1)
    return xp.cumsum(before, axis=-1) + xp.cumsum(after, axis=-1)[..., ::-1]


class ClassRatio(Metric):
    """Base of the metrics that are a ratio of counts by class, such as `Precision`.

    A subclass returns numerator and denominator of its ratio from `_terms`, which are
    sums of counts. One that combines several ratios overrides `_fractions` and
    `_combined`.
    """

    task: str = "multiclass"
    average: str = "macro"
    classes: int | None = None
    threshold: float = 0.5
    scores: str = scores_field("logits", "probs", "preds", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    absent: str = "drop"
    zero_division: float = 0.0
    top_k: int | None = None
    counts: ClassCounts | SampleRatios = child(lambda m: m._counts())

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        name = type(self).__name__
        check_class_counts(self)
        check_choice(name, "average", self.average, _AVERAGES)
        if self.average == "samples" and (
            self.task != "multilabel"
            or type(self)._fractions is not ClassRatio._fractions
        ):
            raise ValueError(
                f"{name}: average='samples' is the mean over samples of one ratio of "
                f"several labels, but task is {self.task!r}. Use it in the multilabel "
                "task, and not with metrics that combine two ratios."
            )
        if self.top_k is not None:
            self._check_top_k(name, self.top_k)
        check_choice(name, "absent", self.absent, _ABSENT)
        if self.task != "multiclass" and self.absent != "drop":
            raise ValueError(
                f"{name}: absent={self.absent!r} applies to the multiclass task only; "
                f"with task={self.task!r} every label counts. Set zero_division."
            )
        if self.zero_division not in (0, 1) and not math.isnan(self.zero_division):
            raise ValueError(
                f"{name}: zero_division is {self.zero_division!r}, but must be 0, 1 or "
                "nan. nan leaves undefined classes out of the mean."
            )

    def _check_top_k(self, name: str, k: int) -> None:
        if not 1 <= k <= (self.classes or k):
            raise ValueError(
                f"{name}: top_k is {k}, but must be from 1 to the number of classes. "
                "Leave it out for the largest score alone."
            )
        if self.scores == "preds" or self.task == "binary":
            reason = (
                "there is one score"
                if self.task == "binary"
                else "a predicted class has no second best"
            )
            raise ValueError(
                f"{name}: top_k={k} does not go with task={self.task!r} and "
                f"scores={self.scores!r}, where {reason}. Leave it out."
            )
        if self.threshold != 0.5:
            raise ValueError(
                f"{name}: top_k={k} takes no threshold, got {self.threshold}. Leave "
                "one of them out."
            )

    def compute(self) -> Any:
        """Return the ratio, or `[classes]` of them; nan without data."""
        if isinstance(self.counts, SampleRatios):
            return self.counts.compute()
        xp, counts = namespace(self), counts_of(self.counts, self.task == "multiclass")
        if self.task == "binary":
            value = self._ratio(self._fractions(counts))
        else:
            value = self._average(counts)
        has_data = xp.asarray(self.counts.total) > 0
        if self.task == "multilabel":
            has_data = has_data.any(-1)
        if value.ndim > has_data.ndim:
            has_data = has_data[..., None]
        return xp.where(has_data, value, np.nan)[()]

    def _counts(self) -> ClassCounts | SampleRatios:
        """Return the metric that counts."""
        outputs = (
            self.task,
            self.classes,
            self.threshold,
            self.scores,
            self.ignore_index,
            self.weighted,
            self.top_k,
        )
        if self.average != "samples":
            return ClassCounts(*outputs)
        # Both terms are sums of counts: each one alone has its factor as the value.
        hits, predicted, support, total = np.eye(4)
        one_alone = Counts(hits, predicted, support, total, one_class_each=False, xp=np)
        above, below = (tuple(map(float, term)) for term in self._terms(one_alone))
        return SampleRatios(above, below, self.zero_division, *outputs)

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        """Return numerator and denominator of the ratio."""
        raise NotImplementedError(f"{type(self).__name__} defines no ratio")

    def _fractions(self, counts: Counts) -> tuple[tuple[Any, Any], ...]:
        """Return numerators and denominators of the ratios."""
        return (self._terms(counts),)

    def _combined(self, *ratios: Any) -> Any:
        """Return the value of a class from its ratios."""
        return ratios[0]

    def _ratio(self, fractions: tuple[tuple[Any, Any], ...]) -> Any:
        """Return the value of each class, `zero_division` where it is undefined."""
        value = self._combined(*(divide(*fraction) for fraction in fractions))
        undefined = functools.reduce(operator.or_, (d == 0 for _, d in fractions))
        return namespace(self).where(undefined, self.zero_division, value)

    def _average(self, counts: Counts) -> Any:
        xp = namespace(self)
        averaged = averaged_classes(self.task, self.classes, self.ignore_index)
        averaged = np.broadcast_to(averaged, counts.hits.shape)
        fractions = self._fractions(counts)
        if self.average == "micro":
            return self._ratio(
                tuple(
                    (xp.where(averaged, n, 0).sum(-1), xp.where(averaged, d, 0).sum(-1))
                    for n, d in fractions
                )
            )
        ratio = self._ratio(fractions)
        if self.average == "weighted":
            weight = xp.where(averaged & ~xp.isnan(ratio), counts.support, 0)
            weighted_sum = xp.where(weight > 0, weight * ratio, 0).sum(-1)
            mean = divide(weighted_sum, weight.sum(-1))
            # Without a positive label in the multilabel task no class has a weight.
            return xp.where(weight.sum(-1) > 0, mean, self.zero_division)
        occurs = counts.predicted + counts.support > 0
        if self.task == "multilabel":  # a label without any data has no ratio
            ratio = xp.where(counts.total > 0, ratio, np.nan)
        defined = ~xp.isnan(ratio)
        if self.task == "multiclass":
            ratio = xp.where(occurs, ratio, 0.0 if self.absent == "zero" else np.nan)
            defined = xp.where(occurs, defined, self.absent != "drop")
        if self.average == "none":
            return xp.where(averaged, ratio, np.nan)
        defined = averaged & defined
        return divide(xp.where(defined, ratio, 0).sum(-1), defined.sum(-1))
