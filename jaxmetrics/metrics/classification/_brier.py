"""Brier score."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
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
    not_ignored,
    require_labels,
    scores_field,
    top_and_valid,
    valid_binary,
)

_TASKS = ("multiclass", "binary")


class BrierScore(MeanMetric):
    """Mean squared difference of probabilities and labels; lower is better.

    Binary: `(p - label)^2`, in [0, 1]. Multiclass: the sum over classes of
    `(p - one_hot(label))^2`, in [0, 2] (Brier 1950). Nan without data. As
    scikit-learn's `brier_score_loss` with its default `scale_by_half="auto"`. A proper
    score: the true probabilities minimize its expectation. Labels out of range, rows
    without a largest logit (see `jaxmetrics.metrics`) and `probs` outside [0, 1] are
    counted in `invalid` and never scored.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`) or "binary" (`logits` and `labels` `[...]`).
      scores: Output that holds the scores, "logits" (the default) or "probs", which
        are not normalized again.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.BrierScore(task="binary", scores="probs")
      >>> float(jm.evaluate(metric, probs=[0.5, 1.0], labels=[0, 1]))
      0.125
    """

    higher_is_better: ClassVar[Direction] = False

    task: str = "multiclass"
    scores: str = scores_field("logits", "probs", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse an unknown task."""
        check_choice("BrierScore", "task", self.task, _TASKS)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed squares, scored labels and invalid labels."""
        logits, labels = jnp.asarray(logits).astype(jnp.float32), jnp.asarray(labels)
        if self.task == "binary":
            valid = valid_binary(logits, labels)
            own, squash = labels.astype(jnp.int32) == 1, jax.nn.sigmoid
        else:
            labels = as_class_numbers(labels)
            require_labels(logits, labels)
            valid = top_and_valid(logits)[1] & in_range(labels, logits.shape[-1])
            own, squash = class_index(logits) == labels[..., None], jax.nn.softmax
        probs = squash(logits) if self.scores == "logits" else logits
        inside = (probs >= 0) & (probs <= 1)
        error = jnp.square(jnp.where(own, 1 - probs, probs))
        if self.task == "multiclass":
            inside, error = inside.all(axis=-1), error.sum(axis=-1)
        valid = valid & inside
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            **self.mean_leaves(error, scored, weights),
            invalid=count_where(~valid, kept),
        )
