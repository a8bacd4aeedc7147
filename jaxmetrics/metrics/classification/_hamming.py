"""Hamming distance."""

from __future__ import annotations

from typing import Any, ClassVar

from jaxmetrics.core import (
    Direction,
    Metric,
    check_choice,
    check_task,
    child,
    scores_field,
)
from jaxmetrics.metrics.classification._accuracy import Accuracy

_AVERAGES = ("micro", "macro", "none")


class Hamming(Metric):
    """Fraction of labels that are predicted wrongly: one minus `Accuracy`.

    In [0, 1], lower is better; nan without data. In the multilabel task it is
    scikit-learn's `hamming_loss`, the fraction of all labels of all rows; `ExactMatch`
    asks for whole rows. Invalid rows are counted in `accuracy.invalid` and never
    scored. The arguments are those of `Accuracy`, whose state is shared.

    Args:
      task: "multilabel" (the default; `logits` and `labels` `[..., classes]`),
        "multiclass" or "binary".

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.Hamming(scores="preds")
      >>> float(jm.evaluate(metric, preds=[[1, 0], [1, 1]], labels=[[1, 0], [0, 1]]))
      0.25
    """

    higher_is_better: ClassVar[Direction] = False

    task: str = "multilabel"
    average: str = "micro"
    classes: int | None = None
    threshold: float = 0.5
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    accuracy: Accuracy = child(
        lambda m: Accuracy(
            m.task,
            m.average,
            m.classes,
            m.threshold,
            m.scores,
            m.ignore_index,
            m.weighted,
        )
    )

    def validate(self) -> None:
        """Refuse unknown tasks and averages."""
        check_task("Hamming", self.task, self.classes, self.threshold)
        check_choice("Hamming", "average", self.average, _AVERAGES)

    def compute(self) -> Any:
        """Return the fraction, or `[classes]` of them."""
        return 1 - self.accuracy.compute()
