"""Contingency table: the state that metrics of clusterings and associations share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.core._counting import both, count_at, count_where
from jaxmetrics.core._declaration import child
from jaxmetrics.core._labels import class_predictions, in_range, not_ignored
from jaxmetrics.core._leaves import count_leaf
from jaxmetrics.core._metric import Metric
from jaxmetrics.core._predictions import need_classes
from jaxmetrics.figures import Chart, Heatmap


class ContingencyTable(Metric):
    """Number of samples with each pair of a label and a prediction.

    The state that metrics of clusterings and of nominal association share.

    Args:
      classes: Number of values of `labels`, the rows of the table.
      clusters: Number of values of `preds`, its columns. Default as many as classes.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and count each sample by its weight.
    """

    classes: int | None = None
    clusters: int | None = None
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: Any = count_leaf("cells", weighted="weighted")
    invalid: Any = count_leaf()

    @property
    def cells(self) -> tuple[int, int]:
        """Shape of the table."""
        classes = self.classes or 0
        return (classes, classes if self.clusters is None else self.clusters)

    def validate(self) -> None:
        """Refuse missing and impossible numbers of rows and columns."""
        check_table("ContingencyTable", self.classes, self.clusters)

    def observe(
        self, *, preds: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's counts of pairs, and of invalid samples."""
        kept = both(not_ignored(labels, self.ignore_index), mask)
        preds, labels, _ = class_predictions(preds, labels)
        rows, columns = self.cells
        valid = in_range(labels, rows) & in_range(preds, columns)
        return dict(
            counts=count_at((labels, preds), self.cells, both(valid, kept), weights),
            invalid=count_where(~valid, kept),
        )

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return a heatmap whose axes are the prediction and the label."""
        table = Heatmap(np.asarray(self.compute()), "prediction", "label")
        return {name or type(self).__name__: table}

    def compute(self) -> Any:
        """Return the counts, `[classes, clusters]`."""
        return self.counts


class TableMetric(Metric):
    """Base of metrics that are computed from a contingency table.

    A subclass computes from `self.table.counts`, `[..., classes, clusters]`. With
    `weighted=True` each sample counts as often as its weight says: a weight of 2 is
    worth two samples, 0 removes one. A subclass whose formula needs a whole number of
    samples says why in `whole_samples`, and refuses weights.
    """

    classes: int | None = None
    clusters: int | None = None
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    table: ContingencyTable = child(
        lambda m: ContingencyTable(m.classes, m.clusters, m.ignore_index, m.weighted)
    )

    whole_samples = ""

    def validate(self) -> None:
        """Refuse impossible numbers of rows and columns, and weights of no meaning."""
        check_table(type(self).__name__, self.classes, self.clusters)
        if self.weighted and self.whole_samples:
            raise ValueError(
                f"{type(self).__name__}: weighted=True is not possible: "
                f"{self.whole_samples}. Leave weighted out, or repeat the samples."
            )


def check_table(metric: str, classes: int | None, clusters: int | None) -> None:
    """Refuse a table without a number of classes, or without rows or columns."""
    need_classes(metric, "the contingency table", classes)
    for name, size in (("classes", classes), ("clusters", clusters)):
        if size is not None and size < 1:
            raise ValueError(
                f"{metric}: {name} is {size}, but must be at least 1. Pass the number "
                f"of different {'labels' if name == 'classes' else 'preds'}."
            )
