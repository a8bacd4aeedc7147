"""Agreement of labels and clusters on pairs of samples."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from jaxmetrics.core import Direction, TableMetric, divide, namespace

_WHOLE_SAMPLES = "it counts pairs of samples, and half a sample makes none"


class RandIndex(TableMetric):
    """Fraction of the pairs of samples on which labels and clusters agree.

    They agree on a pair if both put it together, or both apart. In [0, 1], higher is
    better; nan without data, 1 for a single sample. As scikit-learn's `rand_score`.
    Labels and clusters out of range are counted in `table.invalid` and left out.
    Numbers of pairs are exact integers on the host; under jit they are computed in
    float32, with a relative error of about 1e-6. It takes no weights: half a sample
    makes no pair.

    Reads `labels` and `preds`, integers of one shape: class and cluster of each sample.

    Args:
      classes: Number of classes.
      clusters: Number of clusters. Default as many as classes.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.RandIndex(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[0, 0, 0, 1])
      >>> float(value)
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    whole_samples = _WHOLE_SAMPLES

    def compute(self) -> Any:
        """Return the fraction."""
        xp = namespace(self)
        together, by_class, by_cluster, everything, n = _pairs(xp, self.table.counts)
        agreeing = everything - by_class - by_cluster + 2 * together
        return _ratio(xp, agreeing, everything, n, 1.0)


class AdjustedRandIndex(TableMetric):
    """Rand index above its expectation by chance, relative to the possible.

    `(index - E) / (max - E)` with the number of pairs together in a class and in a
    cluster as the index (Hubert and Arabie, 1985). At most 1, about 0 for random
    clusters, at least -0.5; higher is better. nan without data; 1 where all clusterings
    of these sizes agree, as for one class and one cluster. As scikit-learn's
    `adjusted_rand_score`. The arguments are those of `RandIndex`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.AdjustedRandIndex(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[1, 1, 0, 0])
      >>> float(value)
      1.0
    """

    higher_is_better: ClassVar[Direction] = True

    whole_samples = _WHOLE_SAMPLES

    def compute(self) -> Any:
        """Return the adjusted index."""
        xp = namespace(self)
        together, by_class, by_cluster, everything, n = _pairs(xp, self.table.counts)
        # Multiplied by 2 * everything, so that integers stay integers.
        expected = 2 * by_class * by_cluster
        index = 2 * everything * together - expected
        largest = everything * (by_class + by_cluster) - expected
        return _ratio(xp, index, largest, n, 1.0)


class FowlkesMallows(TableMetric):
    """Geometric mean of precision and recall over the pairs of samples.

    `together / sqrt(pairs within classes * pairs within clusters)`, where `together`
    counts the pairs that are in one class and in one cluster. In [0, 1], higher is
    better; 0 without such a pair, nan without data. As scikit-learn's
    `fowlkes_mallows_score`. The arguments are those of `RandIndex`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.FowlkesMallows(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 1, 1], preds=[0, 0, 0, 1])
      >>> round(float(value), 4)
      0.4082
    """

    higher_is_better: ClassVar[Direction] = True

    whole_samples = _WHOLE_SAMPLES

    def compute(self) -> Any:
        """Return the score."""
        xp = namespace(self)
        together, by_class, by_cluster, _, n = _pairs(xp, self.table.counts)
        precision = _ratio(xp, together, by_cluster, n, 0.0)
        recall = _ratio(xp, together, by_class, n, 0.0)
        return xp.sqrt(precision * recall)[()]


def _pairs(xp: Any, counts: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return ordered pairs of different samples, and the number of samples.

    The pairs within a cell of the table, within a class, within a cluster, and all:
    Python integers of any size on the host, fractions of all pairs under jit.
    """
    counts = xp.asarray(counts)
    n = counts.sum((-2, -1))
    if xp is np:
        exact = counts.astype(object)
        sums = (exact, exact.sum(-1), exact.sum(-2), exact.sum((-2, -1)))
        pairs = [np.asarray(x, object) * (x - 1) for x in sums]
        axes: list[Any] = [(-2, -1), -1, -1, ()]
        together, by_class, by_cluster, everything = (
            np.asarray(np.sum(x, axis), object) for x, axis in zip(pairs, axes)
        )
        return together, by_class, by_cluster, everything, n
    size = n[..., None, None]
    sums = (counts, counts.sum(-1, keepdims=True), counts.sum(-2, keepdims=True))
    pairs = [divide(x, size) * divide(xp.maximum(x - 1, 0), size - 1) for x in sums]
    together, by_class, by_cluster = (xp.nan_to_num(x.sum((-2, -1))) for x in pairs)
    return together, by_class, by_cluster, xp.where(n > 1, 1.0, 0.0), n


def _ratio(xp: Any, numerator: Any, denominator: Any, n: Any, undefined: float) -> Any:
    """Return the ratio, `undefined` where the denominator is 0, nan without samples."""
    if xp is np:
        quotient = np.frompyfunc(lambda a, b: a / b if b else undefined, 2, 1)
        ratio = np.asarray(quotient(numerator, denominator), np.float64)
    else:
        ratio = xp.where(denominator == 0, undefined, divide(numerator, denominator))
    return xp.where(n > 0, ratio, np.nan)[()]
