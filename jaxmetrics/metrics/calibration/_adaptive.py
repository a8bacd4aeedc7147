"""Calibration error over bins of equal mass."""

from __future__ import annotations

from typing import Any, ClassVar

from jaxmetrics.core import (
    Direction,
    Metric,
    check_choice,
    child,
    divide,
    namespace,
    positions,
    scores_field,
)
from jaxmetrics.metrics.calibration._bins import (
    NORMS,
    ConfidenceBins,
    calibration_error,
    check_settings,
)


class AdaptiveCalibrationError(Metric):
    """Expected difference between confidence and accuracy, over bins of equal mass.

    As `ExpectedCalibrationError`, but each bin has the same number of labels: the
    confidences of a model crowd near 1, where equally wide bins resolve little (Nguyen
    and O'Connor 2015; adaptive calibration error of Nixon et al. 2019 for the top
    class). In [0, 1], lower is better; nan without data. Equal confidences are in one
    bin.

    Approximate in the edges alone: confidences are counted in `cells` equal cells over
    [0, 1], and a cell is in the bin of its middle label as a whole. So an edge is off
    by less than `1 / cells`, and the error (`norm="l1"`) differs from that of exact
    edges by at most twice the share of labels in the cells in which an edge lies. A
    bin's mean confidence and accuracy are exact.

    Args:
      bins: Number of bins. Default 15.
      norm: "l1" (the default), "l2" or "max", as in `ExpectedCalibrationError`.
      task: "multiclass" (the default) scores the top class (`logits`
        `[..., classes]`, integer `labels` `[...]`; ties go to the lower index),
        "binary" the probability of label 1 (both `[...]`).
      cells: Number of cells, at least the bins. Default 4096.
      scores: Output that holds the scores, "logits" (the default) or "probs".
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights`, weight each label by them, and divide their sum
        among the bins.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.AdaptiveCalibrationError(2, task="binary", scores="probs")
      >>> probs, labels = [0.95, 0.96, 0.97, 0.98], [0, 1, 1, 1]
      >>> round(float(jm.evaluate(metric, probs=probs, labels=labels)), 4)
      0.24
    """

    higher_is_better: ClassVar[Direction] = False

    bins: int = 15
    norm: str = "l1"
    task: str = "multiclass"
    cells: int = 4096
    scores: str = scores_field("logits", "probs", default="logits", narrow=True)
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: ConfidenceBins = child(
        lambda m: ConfidenceBins(m.cells, m.task, m.scores, m.ignore_index, m.weighted)
    )

    def validate(self) -> None:
        """Refuse unknown norms and tasks, bins below 1 and fewer cells than bins."""
        name = "AdaptiveCalibrationError"
        check_settings(name, self.bins, self.task)
        check_choice(name, "norm", self.norm, NORMS)
        if self.cells < self.bins:
            raise ValueError(
                f"{name}: cells is {self.cells}, but must be at least the {self.bins} "
                "bins. Leave it out for 4096."
            )

    def compute(self) -> Any:
        """Return the error."""
        xp, cells = namespace(self), self.counts
        count = xp.asarray(cells.count)
        total = count.sum(-1, keepdims=True)
        middle = 2 * xp.cumsum(count, axis=-1) - count  # twice the labels before it
        number = xp.floor(divide(middle * self.bins, 2 * total))
        bins = positions(self.bins, number.ndim + 1).astype(number.dtype)
        in_bin = number[..., None] == bins
        count, hits, confidence = (
            xp.where(in_bin, xp.asarray(x)[..., None], 0).sum(-2)
            for x in (count, cells.hits, cells.confidence)
        )
        return calibration_error(self, count, hits, confidence, self.norm)
