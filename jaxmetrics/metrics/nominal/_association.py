"""Association of two nominal variables, from their contingency table."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxmetrics.core import TableMetric, divide, namespace


class CramersV(TableMetric):
    """Association of two nominal variables, from the chi-squared statistic.

    `sqrt(phi2 / min(r - 1, c - 1))` with `phi2 = chi2 / n` for n samples and r labels
    and c predictions that occur. In [0, 1]; 0 for independent variables, 1 if one
    determines the other. nan without data, and if one of the variables is constant. As
    scipy's `stats.contingency.association(method="cramer")`. Values out of range are
    counted in `table.invalid` and left out. Under jit it is computed in float32, with
    an error of about 1e-6.

    Reads `labels` and `preds`, integers of one shape: two properties of each sample.

    Args:
      classes: Number of different labels.
      clusters: Number of different predictions. Default as many as classes.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights`, one for each sample: a weight of 2 is worth two
        samples. Default False.
      bias_correction: Subtract from phi2 its expectation `(r - 1) (c - 1) / (n - 1)`
        for independent variables, and correct r and c (Bergsma, 2013); nan for one
        sample. Default False, as in scipy; torchmetrics' default is True, which for
        tables of 2 by 2 also applies Yates' correction (here not). It needs the number
        of samples, and takes no weights.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.CramersV(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[1, 1, 0, 0])
      >>> round(float(value), 4)
      1.0
    """

    bias_correction: bool = False

    def validate(self) -> None:
        """Refuse weights where the number of samples is needed."""
        super().validate()
        if self.weighted and self.bias_correction:
            raise ValueError(
                f"{type(self).__name__}: weighted=True does not go with "
                "bias_correction=True, which needs the number of samples. Leave one "
                "of them out."
            )

    def compute(self) -> Any:
        """Return the association."""
        xp = namespace(self)
        phi2, rows, columns = _corrected(xp, self.table.counts, self.bias_correction)
        return _root(xp, divide(phi2, xp.minimum(rows, columns) - 1))


class TschuprowsT(CramersV):
    """Association of two nominal variables, 1 only if each determines the other.

    `sqrt(phi2 / sqrt((r - 1) (c - 1)))`, in [0, 1]; for a table with as many rows as
    columns it is `CramersV`, else smaller. As scipy's
    `stats.contingency.association(method="tschuprow")`. The arguments, and where it is
    nan, are those of `CramersV`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.TschuprowsT(classes=2, clusters=3)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[0, 1, 2, 2])
      >>> round(float(value), 4)
      0.8409
    """

    def compute(self) -> Any:
        """Return the association."""
        xp = namespace(self)
        phi2, rows, columns = _corrected(xp, self.table.counts, self.bias_correction)
        freedom = xp.maximum((rows - 1) * (columns - 1), 0)
        return _root(xp, divide(phi2, xp.sqrt(freedom)))


class ContingencyCoefficient(TableMetric):
    """Pearson's contingency coefficient of two nominal variables.

    `sqrt(phi2 / (1 + phi2))`, from 0 for independent variables to
    `sqrt(1 - 1 / min(r, c))`, below 1; nan without data, 0 if one of the variables is
    constant. As scipy's `stats.contingency.association(method="pearson")`. The
    arguments and `phi2` are those of `CramersV`, without the correction of the bias.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.ContingencyCoefficient(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[1, 1, 0, 0])
      >>> round(float(value), 4)
      0.7071
    """

    def compute(self) -> Any:
        """Return the coefficient."""
        xp = namespace(self)
        phi2, _, _ = _corrected(xp, self.table.counts, False)
        return xp.sqrt(divide(phi2, 1 + phi2))[()]


class TheilsU(TableMetric):
    """Share of the entropy of the predictions that the labels explain.

    `(H(preds) - H(preds | labels)) / H(preds)`, the uncertainty coefficient of preds
    given labels: 0 for independent variables, 1 if the label determines the prediction.
    It is not symmetric: for labels given preds, exchange them with
    `.on(labels="preds", preds="labels")`. nan without data, and if the predictions are
    constant (where torchmetrics' `TheilsU`, otherwise equal, gives 0). The arguments
    are those of `CramersV`, without the correction of the bias.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.TheilsU(classes=2, clusters=3)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[0, 1, 2, 2])
      >>> round(float(value), 4)
      0.6667
    """

    def compute(self) -> Any:
        """Return the coefficient."""
        xp = namespace(self)
        joint, by_label, by_pred = _fractions(xp, self.table.counts)
        uncertain = -(by_pred * _log(xp, by_pred)).sum((-2, -1))
        log_ratio = _log(xp, joint) - _log(xp, by_label) - _log(xp, by_pred)
        explained = (joint * xp.where(joint > 0, log_ratio, 0)).sum((-2, -1))
        return divide(xp.maximum(explained, 0), uncertain)


def _fractions(xp: Any, counts: Any) -> tuple[Any, Any, Any]:
    """Return the fractions of pairs, of labels and of predictions."""
    counts = xp.asarray(counts)
    total = counts.sum((-2, -1), keepdims=True)
    sums = (counts, counts.sum(-1, keepdims=True), counts.sum(-2, keepdims=True))
    joint, by_label, by_pred = (divide(x, total) for x in sums)
    return joint, by_label, by_pred


def _log(xp: Any, p: Any) -> Any:
    return xp.log(xp.where(p > 0, p, 1.0))


def _corrected(xp: Any, counts: Any, correct_bias: bool) -> tuple[Any, Any, Any]:
    """Return phi2 and the numbers of labels and predictions that occur.

    phi2 is summed from differences to independence: it does not cancel.
    """
    joint, by_label, by_pred = _fractions(xp, counts)
    independent = by_label * by_pred
    difference = joint - independent
    possible = xp.where(independent > 0, independent, 1.0)
    phi2 = xp.where(independent == 0, 0.0, difference * difference / possible)
    n = xp.asarray(counts).sum((-2, -1))
    phi2 = xp.where(n > 0, phi2.sum((-2, -1)), np.nan)
    rows, columns = (
        (x > 0).sum((-2, -1)).astype(phi2.dtype) for x in (by_label, by_pred)
    )
    if correct_bias:
        phi2 = phi2 - divide((rows - 1) * (columns - 1), n - 1)
        phi2 = xp.maximum(phi2, 0)
        rows = rows - divide((rows - 1) ** 2, n - 1)
        columns = columns - divide((columns - 1) ** 2, n - 1)
    return phi2, rows, columns


def _root(xp: Any, square: Any) -> Any:
    return xp.sqrt(xp.minimum(square, 1.0))[()]
