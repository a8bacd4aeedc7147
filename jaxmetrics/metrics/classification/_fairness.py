"""Fairness between groups: counts, demographic parity, equal opportunity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.core import Metric, check_task, child, divide, namespace, scores_field
from jaxmetrics.figures import Chart
from jaxmetrics.metrics.classification._class_ratio import chart_of_counts, counts_of
from jaxmetrics.metrics.classification._group_counts import GroupCounts


class GroupFairness(Metric):
    """Base of the metrics of counts by group."""

    groups: int = 2
    threshold: float = 0.5
    scores: str = scores_field("logits", "probs", "preds", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: GroupCounts = child(
        lambda m: GroupCounts(
            m.groups, m.threshold, m.scores, m.ignore_index, m.weighted
        )
    )

    def validate(self) -> None:
        """Refuse less than one group, and an invalid threshold."""
        name = type(self).__name__
        check_task(name, "binary", None, self.threshold)
        if self.groups < 1:
            raise ValueError(
                f"{name}: groups is {self.groups}, but must be at least 1. Set it to "
                "the number of groups."
            )


class GroupStatScores(GroupFairness):
    """Counts of true and false positives and negatives of each group.

    `[groups, 5]`, the last axis `[tp, fp, tn, fn, labels]` as in `StatScores`; 0
    without data. The counts are exact, and float64 if they are sums of weights. Groups
    out of range, labels other than 0 and 1 and NaN are counted in `counts.invalid` and
    never scored. Any other metric of each group is `ByGroup`.

    Args:
      groups: Number of groups. Reads the output `groups`, integers below it of the
        shape of the `labels` and scores, `[...]`. Default 2.
      threshold: Probability from which a score is positive, also for logits. Default
        0.5.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predictions, integers 0 or 1.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.GroupStatScores(groups=2, scores="preds")
      >>> outputs = dict(preds=[1, 1, 0, 0], labels=[1, 0, 0, 1], groups=[0, 0, 1, 1])
      >>> jm.evaluate(metric, **outputs).tolist()
      [[1, 1, 0, 0, 1], [0, 0, 1, 1, 1]]
    """

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return the counts by name, a heatmap over the groups."""
        return {name or type(self).__name__: chart_of_counts(self.compute(), "group")}

    def compute(self) -> Any:
        """Return the counts, `[groups, 5]`."""
        return counts_of(self.counts, one_class_each=False).stat_scores


class DemographicParity(GroupFairness):
    """Smallest divided by largest rate of positive predictions of the groups.

    In [0, 1], 1 if all groups have the same rate, higher is fairer; nan without data or
    positive predictions. As torchmetrics' `BinaryFairness` (the ratio of
    `demographic_parity`), but a group without labels is left out, where torchmetrics
    takes its rate as 0. Invalid rows are counted in `counts.invalid` and never scored.
    The arguments are those of `GroupStatScores`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.DemographicParity(groups=2, scores="preds")
      >>> outputs = dict(preds=[1, 1, 0, 1], labels=[1, 0, 0, 1], groups=[0, 0, 1, 1])
      >>> float(jm.evaluate(metric, **outputs))
      0.5
    """

    def compute(self) -> Any:
        """Return the ratio of the rates."""
        return _smallest_to_largest(self, self.counts.predicted, self.counts.total)


class EqualOpportunity(GroupFairness):
    """Smallest divided by largest recall of the positive labels of the groups.

    In [0, 1], 1 if all groups have the same recall, higher is fairer; nan without
    positive labels or hits (Hardt et al. 2016). As torchmetrics' `BinaryFairness` (the
    ratio of `equal_opportunity`), but a group without positive labels is left out,
    where torchmetrics takes its recall as 0. Invalid rows are counted in
    `counts.invalid` and never scored. The arguments are those of `GroupStatScores`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.EqualOpportunity(groups=2, scores="preds")
      >>> outputs = dict(preds=[1, 1, 0, 1], labels=[1, 0, 1, 1], groups=[0, 0, 1, 1])
      >>> float(jm.evaluate(metric, **outputs))
      0.5
    """

    def compute(self) -> Any:
        """Return the ratio of the recalls."""
        return _smallest_to_largest(self, self.counts.hits, self.counts.support)


def _smallest_to_largest(metric: Metric, part: Any, whole: Any) -> Any:
    """Return the ratio of the extreme rates of the groups that have one."""
    xp = namespace(metric)
    rates, has_rate = divide(part, whole), xp.asarray(whole) > 0
    smallest = xp.where(has_rate, rates, np.inf).min(-1)
    largest = xp.where(has_rate, rates, 0).max(-1)
    return divide(smallest, largest)
