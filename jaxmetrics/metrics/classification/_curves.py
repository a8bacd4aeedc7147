"""The ROC and the precision-recall curve as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import check_choice, divide, namespace
from jaxmetrics.figures import Chart, Curves
from jaxmetrics.metrics.classification._ranking import (
    Ranking,
    at_or_above,
    probability,
)

_AVERAGES = ("micro", "none")
_MAX_CURVES = 8
_EARLY = 0.013  # of a step, so that rounding does not decide between two points


class Curve(Ranking):
    """Base of `ROC` and `PrecisionRecallCurve`: rates at many thresholds.

    A subclass returns its rates from `_rates`.
    """

    average: str = "none"
    points: int = dataclasses.field(default=101, kw_only=True)

    _axes: ClassVar[tuple[str, str]] = ("", "")  # names of x and y
    _diagonal: ClassVar[bool] = False

    def validate(self) -> None:
        """Refuse unknown settings, and fewer than two points."""
        super().validate()
        name = type(self).__name__
        check_choice(name, "average", self.average, _AVERAGES)
        if self.points < 2:
            raise ValueError(
                f"{name}: points is {self.points}, but must be at least 2, the ends of "
                "the curve. Leave it out for 101."
            )

    def compute(self) -> dict[str, Any]:
        """Return the curve by name of its axes, and `thresholds`; `[..., points]`."""
        xp = namespace(self)
        counts, thresholds = self._chosen_ordering()
        false, true, thresholds = at_or_above(xp, counts, thresholds)
        index = _evenly_spaced(xp, false, true, self.points)
        false, true, thresholds = (
            xp.take_along_axis(x, index, axis=-1) for x in (false, true, thresholds)
        )
        if self.scores == "probs":
            thresholds = probability(xp, thresholds)
        is_empty = false[..., -1:] + true[..., -1:] == 0
        thresholds = xp.where(is_empty, np.nan, thresholds)
        return dict(zip(self._axes, self._rates(false, true)), thresholds=thresholds)

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return the curve, of several classes one each for the first eight."""
        value = self.compute()
        x, y = (np.asarray(value[axis]) for axis in self._axes)
        x, y = (part.reshape(-1, self.points)[:_MAX_CURVES] for part in (x, y))
        lines = {f"class {i}": line for i, line in enumerate(zip(x, y))}
        x_label, y_label = (axis.replace("_", " ") for axis in self._axes)
        title = name or type(self).__name__
        return {title: Curves(lines, x_label, y_label, self._diagonal)}

    def _rates(self, false: Any, true: Any) -> tuple[Any, Any]:
        """Return x and y of the curve; counts at or above each threshold."""
        raise NotImplementedError(f"{type(self).__name__} defines no rates")


class ROC(Curve):
    """Receiver operating characteristic: true against false positive rate.

    The point of a threshold t has the shares of positive and of negative labels whose
    score is at least t. Points are those of thresholds between bins of the histograms
    that `AUROC` keeps (a collection with both stores them once), where both rates are
    exact. scikit-learn's `roc_curve` has one for each score.

    Args:
      points: Number of points, from (0, 0) with the threshold inf to (1, 1), about
        evenly spaced along the curve: neighbours differ by at most 2 / (points - 1) in
        the sum of both rates, where the bins are fine enough. Default 101.
      average: "none" (the default) gives a curve for each class, "micro" ranks the
        scores of all classes together.

    The other arguments are those of `AUROC`; with `exact=True` every score is a
    possible threshold. Without labels of one kind its rate is nan.

    Returns by `compute`: `false_positive_rate`, `true_positive_rate` and `thresholds`,
    each `[points]` or `[classes, points]`, from the highest threshold down. Thresholds
    are in the unit of the scores: logits, in the multiclass task the log odds of a
    class, or probabilities (within 1e-6).

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [3.0, 2.0, 1.0, 0.0], [1, 0, 1, 0]
      >>> curve = jm.evaluate(jm.ROC(points=5), logits=logits, labels=labels)
      >>> curve["false_positive_rate"].tolist(), curve["true_positive_rate"].tolist()
      ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
      >>> curve["thresholds"].tolist()
      [inf, 3.0, 2.0, 1.0, 0.0]
    """

    _axes = ("false_positive_rate", "true_positive_rate")
    _diagonal = True

    def _rates(self, false: Any, true: Any) -> tuple[Any, Any]:
        return tuple(divide(x, x[..., -1:]) for x in (false, true))


class PrecisionRecallCurve(Curve):
    """Precision against recall at many thresholds.

    The point of a threshold t has the precision and the recall of the labels whose
    score is at least t (scikit-learn's `precision_recall_curve`). Points are those of
    thresholds between bins of the histograms that `AveragePrecision` keeps (a
    collection with both stores them once), where both are exact.

    Args:
      points: Number of points, spaced as those of `ROC`. Default 101.
      average: "none" (the default) gives a curve for each class, "micro" ranks the
        scores of all classes together.

    The other arguments are those of `AUROC`; with `exact=True` every score is a
    possible threshold. Without positive labels recall is nan.

    Returns by `compute`: `recall`, `precision` and `thresholds`, each `[points]` or
    `[classes, points]`, from the highest threshold down; scikit-learn has them upside
    down. The first point, at the threshold inf, predicts nothing: recall 0, and
    precision 1 by convention.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [3.0, 2.0, 1.0, 0.0], [1, 0, 1, 0]
      >>> metric = jm.PrecisionRecallCurve(points=5)
      >>> curve = jm.evaluate(metric, logits=logits, labels=labels)
      >>> curve["precision"].round(3).tolist(), curve["recall"].tolist()
      ([1.0, 1.0, 0.5, 0.667, 0.5], [0.0, 0.5, 0.5, 1.0, 1.0])
    """

    _axes = ("recall", "precision")

    def _rates(self, false: Any, true: Any) -> tuple[Any, Any]:
        xp = namespace(self)
        predicted = false + true
        some = xp.where(predicted > 0, predicted, xp.ones_like(predicted))
        precision = xp.where(predicted > 0, true / some, xp.ones_like(true))
        is_empty = predicted[..., -1:] == 0
        precision = xp.where(is_empty, xp.full_like(precision, np.nan), precision)
        return divide(true, true[..., -1:]), precision


def _evenly_spaced(xp: Any, false: Any, true: Any, points: int) -> Any:
    """Return the indices `[..., points]` of points at even steps along the curve.

    Of points with equal counts it is the one of the highest threshold.
    """
    rates = [
        x / xp.where(x[..., -1:] > 0, x[..., -1:], xp.ones_like(x[..., -1:]))
        for x in (false, true)
    ]
    length = rates[0] + rates[1]
    end = length[..., -1:]
    steps = (np.arange(points) - _EARLY) / (points - 1)
    wanted = end * xp.asarray(steps.astype(np.float32))
    wanted = xp.concatenate([wanted[..., :-1], end], axis=-1)
    lead, size = length.shape[:-1], length.shape[-1]
    pairs = length.reshape(-1, size), wanted.reshape(-1, points)
    if xp is np:
        rows = [np.searchsorted(*pair) for pair in zip(*pairs)]
        index = np.stack(rows) if rows else np.zeros((0, points), np.intp)
    else:
        index = jax.vmap(jnp.searchsorted)(*pairs)
    return index.reshape(*lead, points)
