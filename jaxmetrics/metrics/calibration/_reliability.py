"""Reliability curve: accuracy by confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.core import Metric, child, divide, namespace, scores_field
from jaxmetrics.figures import Chart, Curves
from jaxmetrics.metrics.calibration._bins import ConfidenceBins, check_settings


class ReliabilityCurve(Metric):
    """Mean confidence, accuracy and number of labels in each bin of confidence.

    `[3, bins]`: `confidence, accuracy, count = curve.compute()`. Confidence and
    accuracy of an empty bin are nan. In a calibrated model they are equal (DeGroot and
    Fienberg 1983, Niculescu-Mizil and Caruana 2005). As scikit-learn's
    `calibration_curve(strategy="uniform")`, which leaves empty bins out and counts an
    edge to the bin below it; here bins contain their lower edge, and the last one also
    contains 1.0. `plot` draws accuracy over confidence. Shares the counts of
    `ExpectedCalibrationError` of equal bins; the invalid ones are counted in
    `counts.invalid` and never scored.

    Args:
      bins: Number of equal bins over [0, 1]. Default 15.
      task: "multiclass" (the default) takes the top class (`logits`
        `[..., classes]`, integer `labels` `[...]`; ties go to the lower index),
        "binary" the probability of label 1 (both `[...]`), where the accuracy is the
        share of label 1.
      scores: Output that holds the scores, "logits" (the default) or "probs".
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> curve = jm.ReliabilityCurve(2, task="binary", scores="probs")
      >>> value = jm.evaluate(curve, probs=[0.25, 0.5, 0.75, 1.0], labels=[0, 1, 0, 1])
      >>> confidence, accuracy, count = value.round(4).tolist()
      >>> confidence, accuracy, count
      ([0.25, 0.75], [0.0, 0.6667], [1.0, 3.0])
    """

    bins: int = 15
    task: str = "multiclass"
    scores: str = scores_field("logits", "probs", default="logits", narrow=True)
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: ConfidenceBins = child(
        lambda m: ConfidenceBins(m.bins, m.task, m.scores, m.ignore_index, m.weighted)
    )

    def validate(self) -> None:
        """Refuse unknown tasks, and bins below 1."""
        check_settings("ReliabilityCurve", self.bins, self.task)

    def compute(self) -> Any:
        """Return confidence, accuracy and count, `[3, bins]`."""
        xp, bins = namespace(self), self.counts
        count = xp.asarray(bins.count)
        accuracy = divide(bins.hits, count)
        confidence = divide(bins.confidence, count)
        return xp.stack([confidence, accuracy, count.astype(accuracy.dtype)], axis=-2)

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return accuracy over confidence, with the diagonal of a calibrated model."""
        title = name or type(self).__name__
        confidence, accuracy, _ = np.asarray(self.compute())
        drawn = ~np.isnan(confidence)
        lines = {title: (confidence[drawn], accuracy[drawn])}
        return {title: Curves(lines, "confidence", "accuracy", diagonal=True)}
