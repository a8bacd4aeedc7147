"""Base of the metrics that rank scores: their settings, state and curve.

The state holds two histograms of the scores with different bins, and the order of
scores in a bin is unknown unless they are surely equal. At the thresholds between bins
all rates are exact.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from jaxmetrics.core import (
    Metric,
    check_choice,
    check_task,
    child,
    divide,
    namespace,
    need_classes,
    on_plain_values,
    scores_field,
)
from jaxmetrics.metrics.classification._score_histogram import ScoreHistogram
from jaxmetrics.metrics.classification._score_rows import ScoreRows

_AVERAGES = ("micro", "macro", "weighted", "none")
_WIDE = 0.05  # width of bounds that diagnostics report


class Ranking(Metric):
    """Base of the metrics that rank scores; all of equal settings share the state.

    See `AUROC` for the arguments.
    """

    task: str | None = None
    average: str = "macro"
    classes: int | None = None
    bins: int = 4096
    scores: str = scores_field("logits", "probs", "preds", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    exact: bool = dataclasses.field(default=False, kw_only=True)
    capacity: int | None = dataclasses.field(default=None, kw_only=True)
    histogram: ScoreHistogram | ScoreRows = child(lambda metric: metric._state())

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        name = type(self).__name__
        if self.scores == "preds":
            raise ValueError(
                f"{name}: scores is 'preds', but predicted classes have no order to "
                "rank by: all of one class would tie. Pass logits or probs."
            )
        check_task(name, self._task, self.classes, 0.5)
        check_choice(name, "average", self.average, _AVERAGES)
        if self.bins < 4 or self.bins & (self.bins - 1):
            raise ValueError(
                f"{name}: bins is {self.bins}, but must be a power of two, at least 4. "
                "Leave it out for the default."
            )
        if self._task != "binary":
            need_classes(name, f"task={self.task!r}", self.classes)
        if self.exact and (self.capacity is None or self.capacity < 1):
            raise ValueError(
                f"{name}: exact=True needs capacity, the number of rows to keep in "
                f"all, got {self.capacity}. Pass the size of the data set, or leave "
                "exact out for a histogram of constant size."
            )
        if not self.exact and self.capacity is not None:
            raise ValueError(
                f"{name}: capacity is {self.capacity}, but without exact=True no rows "
                "are kept. Pass both or none."
            )

    @property
    def _task(self) -> str:
        if self.task is not None:
            return self.task
        return "binary" if self.classes is None else "multiclass"

    @property
    def _pairs(self) -> bool:
        """True if each pair of classes is ranked (one-vs-one)."""
        return False

    def _state(self) -> ScoreHistogram | ScoreRows:
        pooled = self.average == "micro" and self._task != "binary"
        shared: dict[str, Any] = dict(
            task=self._task,
            classes=self.classes,
            scores=self.scores,
            ignore_index=self.ignore_index,
            weighted=self.weighted,
            pooled=pooled,
            pairs=self._pairs,
        )
        if self.exact:
            return ScoreRows(capacity=self.capacity or 0, **shared)
        return ScoreHistogram(bins=self.bins, **shared)

    @on_plain_values
    def _chosen_ordering(self) -> tuple[Any, Any]:
        """Return counts and thresholds of the histogram whose order is better known.

        Returns:
          counts: Negative and positive labels, `[*groups, 2, bins]`.
          thresholds: `[*groups, bins]`, ascending.
        """
        xp = namespace(self)
        best: Any = None
        thresholds, least = self.histogram.thresholds(), None
        for (counts, is_one_value), edges in zip(
            self.histogram.orderings(), thresholds
        ):
            if self._pairs:
                counts = against_the_others(xp, counts)
            ordering = (counts[..., 0, :], counts[..., 1, :], is_one_value)
            unknown = open_pairs(xp, *(real(xp, x) for x in ordering))[..., None]
            if best is None:
                best, least = (counts, edges), unknown
            else:
                is_better = unknown < least
                best = (
                    xp.where(is_better[..., None], counts, best[0]),
                    xp.where(is_better, edges, best[1]),
                )
        return best


def against_the_others(xp: Any, counts: Any) -> Any:
    """Return `[..., classes, 2, bins]` of `[..., classes, label, bins]`."""
    own = np.arange(counts.shape[-2])
    positive = counts[..., own, own, :]
    return xp.stack([counts.sum(-2) - positive, positive], axis=-2)


def at_or_above(xp: Any, counts: Any, thresholds: Any) -> tuple[Any, Any, Any]:
    """Return negatives, positives and thresholds `[..., bins + 1]`, from infinity down.

    The first threshold is above all scores.

    Args:
      xp: Namespace of the arrays.
      counts: `[..., 2, bins]` by ascending score.
      thresholds: `[..., bins]`.
    """
    above = xp.cumsum(xp.flip(real(xp, counts), -1), axis=-1)
    above = xp.concatenate([xp.zeros_like(above[..., :1]), above], axis=-1)
    descending = xp.flip(thresholds, -1)
    none = xp.full_like(descending[..., :1], np.inf)
    descending = xp.concatenate([none, descending], axis=-1)
    return above[..., 0, :], above[..., 1, :], descending


def open_pairs(xp: Any, negative: Any, positive: Any, is_one_value: Any) -> Any:
    """Return the fraction of pairs of both labels whose order is unknown."""
    ties = share(positive, positive) * share(negative, negative)
    return xp.where(is_one_value, xp.zeros_like(ties), ties).sum(-1)


def share(counts: Any, of: Any) -> Any:
    """Return counts `[..., bins]` divided by the sum of others."""
    return divide(counts, of.sum(-1, keepdims=True))


def wide_bounds(low: Any, high: Any) -> dict[str, float]:
    """Return the largest distance of bounds as `bounds_width`, if it is above 0.05."""
    width = np.asarray(high) - np.asarray(low)
    width = width[np.isfinite(width)]
    is_wide = width.size and width.max() > _WIDE
    return {"bounds_width": float(width.max())} if is_wide else {}


def probability(xp: Any, log_odds: Any) -> Any:
    """Return the logistic function; inf stays, as a threshold above all."""
    with np.errstate(over="ignore"):
        probability = 1 / (1 + xp.exp(-log_odds))
    return xp.where(xp.isposinf(log_odds), log_odds, probability)


def real(xp: Any, counts: Any) -> Any:
    """Return counts as floats."""
    return xp.asarray(counts, np.float64) if xp is np else counts
