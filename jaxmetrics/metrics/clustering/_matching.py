"""Fraction of samples that are right once each cluster stands for a class."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from jaxmetrics.core import Direction, TableMetric, divide, namespace, require_host


class ClusterAccuracy(TableMetric):
    """Accuracy under the best one-to-one assignment of clusters to classes.

    In [0, 1], higher is better, nan without data. The assignment maximizes the number
    of right samples over all that `compute` sees (Hungarian algorithm,
    `scipy.optimize.linear_sum_assignment`); with more clusters than classes some
    clusters are left without a class, and their samples are wrong. As torchmetrics'
    `ClusterAccuracy`. `compute` works on the host only; `Purity` also works under jit.
    Labels and clusters out of range are counted in `table.invalid` and left out.

    Reads `labels` and `preds`, integers of one shape: class and cluster of each sample.

    Args:
      classes: Number of classes.
      clusters: Number of clusters. Default as many as classes.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights`, one for each sample: a weight of 2 is worth two
        samples. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.ClusterAccuracy(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 0, 1], preds=[1, 1, 0, 0])
      >>> float(value)
      0.75
    """

    higher_is_better: ClassVar[Direction] = True

    def compute(self) -> Any:
        """Return the accuracy."""
        require_host(self, "the assignment of clusters to classes is a search")
        from scipy.optimize import linear_sum_assignment

        counts = np.asarray(self.table.counts)
        right = np.zeros(counts.shape[:-2], counts.dtype)
        for i in np.ndindex(right.shape):
            pairs = linear_sum_assignment(counts[i], maximize=True)
            right[i] = counts[i][pairs].sum()
        return divide(right, counts.sum((-2, -1)))


class Purity(TableMetric):
    """Fraction of samples that are of the most frequent class of their cluster.

    `sum over clusters of max over classes / samples`, in [0, 1], higher is better, nan
    without data. It grows with the number of clusters: it is 1 if each sample has one
    of its own. The arguments are those of `ClusterAccuracy`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.Purity(classes=2)
      >>> value = jm.evaluate(metric, labels=[0, 0, 0, 1], preds=[1, 1, 0, 0])
      >>> float(value)
      0.75
    """

    higher_is_better: ClassVar[Direction] = True

    def compute(self) -> Any:
        """Return the fraction."""
        counts = namespace(self).asarray(self.table.counts)
        return divide(counts.max(-2).sum(-1), counts.sum((-2, -1)))
