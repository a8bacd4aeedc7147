"""Mutual information of labels and clusters, and scores derived from it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from jaxmetrics.core import (
    Direction,
    TableMetric,
    check_choice,
    divide,
    namespace,
    require_host,
)

_AVERAGES = ("arithmetic", "geometric", "min", "max")
_TERMS = 4096  # of the expectation of one cell


class MutualInformation(TableMetric):
    """Mutual information of labels and clusters, in nats.

    `sum p(i, j) log(p(i, j) / (p(i) p(j)))` over classes i and clusters j, from 0 to
    the smaller of the two entropies; higher is better. nan without data. As
    scikit-learn's `mutual_info_score`. Labels and clusters out of range are counted in
    `table.invalid` and left out. Under jit it is computed in float32, with an error of
    about 1e-6.

    Reads `labels` and `preds`, integers of one shape: class and cluster of each sample.

    Args:
      classes: Number of classes.
      clusters: Number of clusters. Default as many as classes.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights`, one for each sample: a weight of 2 is worth two
        samples. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.MutualInformation(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[1, 1, 0, 0])
      >>> round(float(value), 4)
      0.6931
    """

    higher_is_better: ClassVar[Direction] = True

    def compute(self) -> Any:
        """Return the mutual information, in nats."""
        return _information(namespace(self), self.table.counts)[0]


class NormalizedMutualInformation(TableMetric):
    """Mutual information divided by a mean of the entropies of labels and clusters.

    In [0, 1], higher is better, nan without data; 1 if there is one class and one
    cluster only, 0 if only one of the entropies is zero. As scikit-learn's
    `normalized_mutual_info_score`, and torchmetrics'. The other arguments are those of
    `MutualInformation`.

    Args:
      average_method: Mean of the two entropies: "arithmetic" (the default),
        "geometric", "min" or "max".

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.NormalizedMutualInformation(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[1, 1, 0, 0])
      >>> round(float(value), 4)
      1.0
    """

    higher_is_better: ClassVar[Direction] = True

    average_method: str = "arithmetic"

    def validate(self) -> None:
        """Refuse an unknown mean, and a missing number of classes."""
        super().validate()
        name = type(self).__name__
        check_choice(name, "average_method", self.average_method, _AVERAGES)

    def compute(self) -> Any:
        """Return the score."""
        xp, counts = namespace(self), self.table.counts
        information, a, b = _information(xp, counts)
        mean = _mean(xp, a, b, self.average_method)
        undivided = xp.where(_is_single(xp, counts), 1.0, 0.0)
        score = xp.where(mean > 0, divide(information, mean), undivided)
        return xp.where(xp.isnan(information), np.nan, score)[()]


class AdjustedMutualInformation(NormalizedMutualInformation):
    """Mutual information above its expectation by chance, relative to the possible.

    `(MI - E) / (mean - E)` with the mean of the two entropies and the expectation E of
    the information of random clusterings with the same sizes (hypergeometric model).
    At most 1, about 0 for random clusters, higher is better; nan without data; 1 if
    there is one class and one cluster only, 0 if there is one of either. As
    scikit-learn's `adjusted_mutual_info_score`. The arguments are those of
    `NormalizedMutualInformation`.

    `compute` works on the host only, in float64: the expectation sums over as many
    terms as the clusters have samples. Where they are more than 4096 for a pair of a
    class and a cluster, that many are sampled evenly over 12 standard deviations
    around the mean, with an error of the expectation below 1e-10. It takes no weights:
    the expectation is over permutations of whole samples.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.AdjustedMutualInformation(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[1, 1, 0, 0])
      >>> round(float(value), 4)
      1.0
    """

    higher_is_better: ClassVar[Direction] = True

    whole_samples = "the expectation is over permutations of samples"

    def compute(self) -> Any:
        """Return the score."""
        require_host(self, "the expected information has as many terms as samples")
        counts = np.asarray(self.table.counts)
        information, a, b = _information(np, counts)
        mean = _mean(np, a, b, self.average_method)
        tables = counts.reshape(-1, *counts.shape[-2:])
        expectation = np.array([_expected_information(table) for table in tables])
        expectation = expectation.reshape(np.shape(information))
        above, possible = information - expectation, mean - expectation
        # All pairs of clusterings of these sizes are as informative: 0 / 0.
        undefined = np.abs(possible) < 1e-14
        score = np.where(undefined, 1.0, above / np.where(undefined, 1, possible))
        undivided = np.minimum(*((counts.sum(axis) > 0).sum(-1) for axis in (-1, -2)))
        score = np.where(undivided == 1, 0.0, score)
        score = np.where(_is_single(np, counts), 1.0, score)
        return np.where(np.isnan(information), np.nan, score)[()]


class Homogeneity(TableMetric):
    """Degree to which each cluster holds samples of one class only.

    `1 - H(classes | clusters) / H(classes)`, in [0, 1], higher is better; 1 if there is
    one class, nan without data. As scikit-learn's `homogeneity_score`; it is also
    Theil's U of the labels, given the clusters. The arguments are those of
    `MutualInformation`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.Homogeneity(classes=2, clusters=3)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[0, 1, 2, 2])
      >>> round(float(value), 4)
      1.0
    """

    higher_is_better: ClassVar[Direction] = True

    def compute(self) -> Any:
        """Return the score."""
        return _shares(namespace(self), self.table.counts)[0]


class Completeness(TableMetric):
    """Degree to which all samples of a class are in one cluster.

    `1 - H(clusters | classes) / H(clusters)`, in [0, 1], higher is better; 1 if there
    is one cluster, nan without data. As scikit-learn's `completeness_score`. The
    arguments are those of `MutualInformation`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.Completeness(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[0, 0, 0, 0])
      >>> round(float(value), 4)
      1.0
    """

    higher_is_better: ClassVar[Direction] = True

    def compute(self) -> Any:
        """Return the score."""
        return _shares(namespace(self), self.table.counts)[1]


class VMeasure(TableMetric):
    """Weighted harmonic mean of homogeneity h and completeness c.

    `(1 + beta) h c / (beta h + c)`, in [0, 1], higher is better; 0 if both are 0, nan
    without data. As scikit-learn's `v_measure_score`; with `beta=1` it is the
    `NormalizedMutualInformation` with the arithmetic mean. The other arguments are
    those of `MutualInformation`.

    Args:
      beta: Weight of completeness: above 1 it counts more than homogeneity. Default 1.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.VMeasure(classes=2, clusters=3)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[0, 1, 2, 2])
      >>> round(float(value), 4)
      0.8
    """

    higher_is_better: ClassVar[Direction] = True

    beta: float = 1.0

    def validate(self) -> None:
        """Refuse a beta that is not positive and finite."""
        super().validate()
        if not 0 < self.beta < math.inf:
            raise ValueError(
                f"VMeasure: beta is {self.beta}, but must be positive and finite. Use "
                "1 to weight homogeneity and completeness equally."
            )

    def compute(self) -> Any:
        """Return the score."""
        xp = namespace(self)
        h, c = _shares(xp, self.table.counts)
        mean = divide((1 + self.beta) * h * c, self.beta * h + c)
        return xp.where(h + c == 0, 0.0, mean)[()]


def _information(xp: Any, counts: Any) -> tuple[Any, Any, Any]:
    """Return the mutual information, and the entropies of classes and of clusters."""
    counts = xp.asarray(counts)
    total = counts.sum((-2, -1), keepdims=True)
    joint = divide(counts, total)
    by_class = divide(counts.sum(-1, keepdims=True), total)
    by_cluster = divide(counts.sum(-2, keepdims=True), total)
    log_ratio = _log(xp, joint) - _log(xp, by_class) - _log(xp, by_cluster)
    information = (joint * xp.where(counts > 0, log_ratio, 0)).sum((-2, -1))
    entropies = (-(p * _log(xp, p)).sum((-2, -1)) for p in (by_class, by_cluster))
    return (xp.maximum(information, 0), *entropies)


def _log(xp: Any, p: Any) -> Any:
    return xp.log(xp.where(p > 0, p, 1.0))


def _is_single(xp: Any, counts: Any) -> Any:
    """Return where all samples are of one class and in one cluster."""
    return (xp.asarray(counts) > 0).sum((-2, -1)) == 1


def _mean(xp: Any, a: Any, b: Any, method: str) -> Any:
    match method:
        case "arithmetic":
            return (a + b) / 2
        case "geometric":
            return xp.sqrt(a * b)
        case "min":
            return xp.minimum(a, b)
        case _:
            return xp.maximum(a, b)


def _shares(xp: Any, counts: Any) -> tuple[Any, Any]:
    """Return homogeneity and completeness: the information by each entropy."""
    information, *entropies = _information(xp, counts)
    missing = xp.isnan(information)
    shares = (
        xp.where(entropy > 0, divide(information, entropy), 1.0)
        for entropy in entropies
    )
    homogeneity, completeness = (
        xp.where(missing, np.nan, xp.minimum(share, 1.0))[()] for share in shares
    )
    return homogeneity, completeness


def _expected_information(counts: np.ndarray) -> float:
    """Return the mutual information that is expected of random clusters.

    The number of samples in class i and cluster j is hypergeometric. Its log
    probabilities are needed up to a constant only: they are normalized by their sum.
    """
    from scipy.special import gammaln

    rows, columns = (counts.sum(axis).astype(float) for axis in (1, 0))
    rows, columns = rows[rows > 0], columns[columns > 0]
    total = rows.sum()
    expectation = 0.0
    for a in rows:
        b = columns[:, None]
        mean = a * b / total
        variance = mean * (total - a) * (total - b) / (total * max(total - 1, 1))
        reach = 12 * np.sqrt(variance) + 64
        low = np.maximum(np.maximum(a + b - total, 0), np.floor(mean - reach))
        high = np.minimum(np.minimum(a, b), np.ceil(mean + reach))
        step = np.maximum(1, np.ceil((high - low) / _TERMS))
        n = low + step * np.arange(int(((high - low) // step).max()) + 1)
        inside = n <= high
        n = np.where(inside, n, low)
        log_p = -(
            gammaln(n + 1)
            + gammaln(a - n + 1)
            + gammaln(b - n + 1)
            + gammaln(total - a - b + n + 1)
        )
        log_p = np.where(inside, log_p, -np.inf)
        p = np.exp(log_p - log_p.max(1, keepdims=True))
        information = n / total * np.log(np.where(n > 0, n, 1) * total / (a * b))
        expectation += float(((p * information).sum(1) / p.sum(1)).sum())
    return expectation
