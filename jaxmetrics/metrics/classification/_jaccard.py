"""Jaccard index."""

from __future__ import annotations

from typing import Any, ClassVar

from jaxmetrics.core import Direction
from jaxmetrics.metrics.classification._class_ratio import ClassRatio, Counts


class Jaccard(ClassRatio):
    """Intersection over union of the predictions and labels of a class; macro.

    `hits / (predictions + labels - hits)`, in [0, 1], higher is better, nan without
    data, as scikit-learn's `jaccard_score` (Jaccard 1901). The counts of all batches
    are pooled: it is not a mean of the ratios of batches or images. The arguments are
    those of `Precision`; `zero_division` applies to a class without labels and
    predictions.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.Jaccard(classes=3, scores="preds", average="none")
      >>> value = jm.evaluate(metric, preds=[0, 1, 2, 2], labels=[0, 1, 1, 2])
      >>> value.tolist()
      [1.0, 0.5, 0.5]
    """

    higher_is_better: ClassVar[Direction] = True

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        return counts.hits, counts.predicted + counts.false_negatives
