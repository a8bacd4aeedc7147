"""Hinge loss."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    as_class_numbers,
    both,
    check_choice,
    class_index,
    count_leaf,
    count_where,
    in_range,
    need_classes,
    not_ignored,
    require_classes,
    require_labels,
    top_and_valid,
    valid_binary,
)

_TASKS = ("multiclass", "binary")
_MODES = ("crammer_singer", "one_vs_rest")


class HingeLoss(MeanMetric):
    """Mean hinge loss of decision values, `max(0, 1 - margin)`; lower is better.

    At least 0; nan without data. As scikit-learn's `hinge_loss` and Keras' (binary,
    with labels -1 and 1 there). `logits` are decision values as they are: none is
    turned into a probability, which torchmetrics does if one of a batch is outside
    [0, 1]. Labels out of range, and rows without a largest logit (see
    `jaxmetrics.metrics`), are counted in `invalid` and never scored. A class with a
    logit of -inf is masked out, and the loss of a label that is masked out is inf.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`) or "binary" (`logits` and `labels` `[...]`; the margin is the logit of
        label 1, and minus the logit of label 0).
      mode: Margin of several classes: "crammer_singer" (the default) is the logit of
        the label minus the largest other one (Crammer and Singer 2001; scikit-learn);
        "one_vs_rest" takes each class as a binary task and gives `[classes]` losses
        (torchmetrics' "one-vs-all").
      classes: Number of classes, required for "one_vs_rest".
      squared: Square the loss of each label. Default False.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[2.0, 1.5], [0.0, 3.0]], [0, 1]
      >>> float(jm.evaluate(jm.HingeLoss(), logits=logits, labels=labels))
      0.25
    """

    higher_is_better: ClassVar[Direction] = False

    task: str = "multiclass"
    mode: str = "crammer_singer"
    classes: int | None = None
    squared: bool = False
    ignore_index: int | tuple[int, ...] | None = None
    invalid: Array = count_leaf()

    @property
    def means(self) -> tuple[int, ...]:
        """Shape of the mean."""
        return self.losses

    @property
    def losses(self) -> tuple[int, ...]:
        """Shape of the value: one loss for each class if they are binary tasks."""
        apart = self.task == "multiclass" and self.mode == "one_vs_rest"
        return (self.classes or 0,) if apart else ()

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        check_choice("HingeLoss", "task", self.task, _TASKS)
        check_choice("HingeLoss", "mode", self.mode, _MODES)
        if self.classes is not None and self.classes < 1:
            raise ValueError(
                f"HingeLoss: classes is {self.classes}, but must be at least 1. Set it "
                "to the length of the last axis of the logits."
            )
        if self.task == "binary" and self.mode != "crammer_singer":
            raise ValueError(
                f"HingeLoss: mode={self.mode!r} is for several classes, but the task "
                "is binary. Leave it out."
            )
        if self.mode == "one_vs_rest":
            need_classes("HingeLoss", "mode='one_vs_rest'", self.classes)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed loss, scored labels and invalid labels."""
        logits, labels = jnp.asarray(logits).astype(jnp.float32), jnp.asarray(labels)
        if self.task == "binary":
            valid = valid_binary(logits, labels)
            margin = jnp.where(labels.astype(jnp.int32) == 1, logits, -logits)
        else:
            margin, valid = self._margins(logits, labels)
        loss = jnp.maximum(1 - margin, 0)
        if self.squared:
            loss = loss * loss
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            **self.mean_leaves(loss, scored, weights),
            invalid=count_where(~valid, kept),
        )

    def _margins(self, logits: Any, labels: Any) -> tuple[Any, Any]:
        labels = as_class_numbers(labels)
        require_labels(logits, labels)
        if self.classes:
            require_classes(logits, self.classes)
        valid = top_and_valid(logits)[1] & in_range(labels, logits.shape[-1])
        own = class_index(logits) == labels[..., None]
        if self.losses:
            return jnp.where(own, logits, -logits), valid
        label = jnp.where(own, logits, -jnp.inf).max(axis=-1)
        return label - jnp.where(own, -jnp.inf, logits).max(axis=-1), valid
