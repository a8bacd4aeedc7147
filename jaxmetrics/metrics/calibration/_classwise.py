"""Calibration error of the probability of each class."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    as_class_numbers,
    averaged_classes,
    both,
    check_bins,
    check_choice,
    class_index,
    count_at,
    count_leaf,
    count_where,
    divide,
    in_range,
    namespace,
    need_classes,
    not_ignored,
    require_classes,
    require_labels,
    scores_field,
    sum_leaf,
    top_and_valid,
)
from jaxmetrics.metrics.calibration._bins import (
    NORMS,
    bin_of,
    calibration_error,
    weighted_confidence,
)

_AVERAGES = ("macro", "none")


class ClasswiseCalibrationError(Metric):
    """Mean over classes of the calibration error of the probability of each class.

    For each class, all rows fall into bins by the probability of that class, and its
    mean in a bin is compared with the share of labels of the class there. In [0, 1],
    lower is better; nan without data (classwise ECE, Kull et al. 2019; static
    calibration error, Nixon et al. 2019). `ExpectedCalibrationError` asks for the top
    class only. Labels out of range, rows without a largest logit (see
    `jaxmetrics.metrics`) and `probs` outside [0, 1] are counted in `invalid` and never
    scored. Reads `logits` `[..., classes]` and integer `labels` `[...]`.

    Args:
      classes: Number of classes.
      bins: Number of equal bins over [0, 1], as in `ExpectedCalibrationError`. Default
        15.
      norm: "l1" (the default), "l2" or "max", as in `ExpectedCalibrationError`.
      average: "macro" (the default) is the mean over classes, also those without
        labels; "none" gives `[classes]`.
      scores: Output that holds the scores, "logits" (the default) or "probs".
      ignore_index: Label, or tuple of labels, that mark padding. An ignored class is
        not in the mean (nan in "none"). Default none.
      weighted: Require `weights` and weight each row by them.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.ClasswiseCalibrationError(classes=2, scores="probs")
      >>> probs, labels = [[0.75, 0.25], [0.75, 0.25]], [0, 1]
      >>> float(jm.evaluate(metric, probs=probs, labels=labels))
      0.25
    """

    higher_is_better: ClassVar[Direction] = False

    classes: int | None = None
    bins: int = 15
    norm: str = "l1"
    average: str = "macro"
    scores: str = scores_field("logits", "probs", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    count: Array = count_leaf("classes bins", weighted="weighted")
    hits: Array = count_leaf("classes bins", weighted="weighted")
    confidence: Array = sum_leaf("classes bins")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse unknown settings, bins below 1 and a missing number of classes."""
        name = "ClasswiseCalibrationError"
        check_bins(name, self.bins)
        check_choice(name, "norm", self.norm, NORMS)
        check_choice(name, "average", self.average, _AVERAGES)
        need_classes(name, "its state", self.classes)
        if self.classes is not None and self.classes < 1:
            raise ValueError(
                f"{name}: classes is {self.classes}, but must be at least 1. Set it to "
                "the length of the last axis of the scores."
            )

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's counts by class and bin, and invalid labels."""
        logits = jnp.asarray(logits).astype(jnp.float32)
        labels = as_class_numbers(labels)
        require_labels(logits, labels)
        require_classes(logits, self.classes)
        probs = jax.nn.softmax(logits) if self.scores == "logits" else logits
        inside = ((probs >= 0) & (probs <= 1)).all(axis=-1)
        valid = top_and_valid(logits)[1] & in_range(labels, self.classes or 0) & inside
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        number = jnp.broadcast_to(class_index(probs), probs.shape)
        index, shape = (
            (number, bin_of(probs, self.bins)),
            (self.classes or 0, self.bins),
        )
        own = number == labels[..., None]
        shared = weighted_confidence(probs, weights)
        return dict(
            count=count_at(index, shape, scored, weights),
            hits=count_at(index, shape, both(own, scored), weights),
            confidence=count_at(index, shape, scored, weights=shared),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the mean error, or `[classes]` of them."""
        xp = namespace(self)
        error = calibration_error(
            self, self.count, self.hits, self.confidence, self.norm
        )
        averaged = averaged_classes("multiclass", self.classes, self.ignore_index)
        if self.average == "none":
            return xp.where(averaged, error, np.nan)
        return divide(xp.where(averaged, error, 0).sum(-1), averaged.sum())
