"""Calibration errors over equal bins of confidence."""

from __future__ import annotations

from typing import Any, ClassVar

from jaxmetrics.core import Direction, Metric, check_choice, child, scores_field
from jaxmetrics.metrics.calibration._bins import (
    NORMS,
    ConfidenceBins,
    calibration_error,
    check_settings,
)


class ExpectedCalibrationError(Metric):
    """Expected difference between confidence and accuracy, over bins of confidence.

    In [0, 1], lower is better; nan without data (Naeini et al. 2015, Guo et al. 2017).
    Each bin's mean confidence and accuracy are exact. Bins are equally wide and contain
    their lower edge; the last bin also contains 1.0. Labels out of range and rows
    without a largest score (or `probs` outside [0, 1]) are counted in `counts.invalid`
    and never scored. `ReliabilityCurve` of equal bins shares the counts.

    Args:
      bins: Number of bins over [0, 1]. Default 15.
      norm: "l1" (the default) is the mean difference (ECE), "l2" the root of the mean
        squared difference, "max" the largest one (MCE); each over non-empty bins.
      task: "multiclass" (the default) scores the top class (`logits`
        `[..., classes]`, integer `labels` `[...]`; ties go to the lower index),
        "binary" the probability of label 1 (both `[...]`).
      scores: Output that holds the scores, "logits" (the default) or "probs".
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> ece = jm.ExpectedCalibrationError(10, task="binary", scores="probs")
      >>> round(float(jm.evaluate(ece, probs=[0.95, 1.0], labels=[1, 0])), 6)
      0.475
    """

    higher_is_better: ClassVar[Direction] = False

    bins: int = 15
    norm: str = "l1"
    task: str = "multiclass"
    scores: str = scores_field("logits", "probs", default="logits", narrow=True)
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: ConfidenceBins = child(
        lambda m: ConfidenceBins(m.bins, m.task, m.scores, m.ignore_index, m.weighted)
    )

    def validate(self) -> None:
        """Refuse unknown norms and tasks, and bins below 1."""
        check_settings("ExpectedCalibrationError", self.bins, self.task)
        check_choice("ExpectedCalibrationError", "norm", self.norm, NORMS)

    def compute(self) -> Any:
        """Return the error."""
        bins = self.counts
        return calibration_error(
            self, bins.count, bins.hits, bins.confidence, self.norm
        )
