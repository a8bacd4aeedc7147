"""Cross entropy and perplexity."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    child,
    count_leaf,
    count_where,
    divide,
    namespace,
    not_ignored,
    require_labels,
    scores_field,
    sum_leaf,
    total,
)


class CrossEntropy(Metric):
    """Mean negative log-likelihood of the labels, in nats; lower is better.

    `-log softmax(logits)[label]`, computed in float32. Labels out of range and rows
    with a score that is not finite are counted in `invalid` and never scored.

    Args:
      scores: Output that holds the scores, "logits" or "probs" (not normalised again),
        both `[..., classes]`; `labels` are integers `[...]`.
      label_smoothing: share of the target spread evenly over all classes, in [0, 1).
      ignore_index: label, or tuple of labels, that mark padding.
      weighted: weigh each label by `weights`, which are then needed.
    """

    scores: str = scores_field("logits", "probs")
    label_smoothing: float = 0.0
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    total: Array = sum_leaf()
    count: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse smoothing outside [0, 1)."""
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"CrossEntropy: label_smoothing is in [0, 1), got "
                f"{self.label_smoothing}."
            )

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Summed loss, scored and invalid labels of the batch."""
        logits, labels = jnp.asarray(logits), jnp.asarray(labels)
        require_labels(logits, labels)
        inside = (labels >= 0) & (labels < logits.shape[-1])
        valid = inside & jnp.isfinite(logits).all(axis=-1)
        if self.scores == "logits":
            normaliser, scores = jax.nn.logsumexp(logits, axis=-1), logits
        else:
            normaliser, scores = jnp.float32(0), jnp.log(logits)
        label = jnp.where(inside, labels, 0).astype(jnp.int32)[..., None]
        mine = jnp.take_along_axis(scores, label, axis=-1)[..., 0]
        if self.label_smoothing:
            even = scores.mean(axis=-1)
            mine = mine + self.label_smoothing * (even - mine)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            total=total(normaliser - mine, scored, weights),
            count=count_where(jnp.ones_like(valid), scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """The loss in nats a label."""
        return divide(self.total, self.count)


class Perplexity(Metric):
    """Exponential of the mean cross entropy of all tokens, at least 1; lower is better.

    Weighted by tokens, not by batches (Jelinek et al. 1977); inf where the exponential
    overflows: log `CrossEntropy` beside it.

    Args:
      scores: Output that holds the scores, "logits" or "probs", both `[..., classes]`.
      ignore_index: label, or tuple of labels, that mark padding.
      weighted: weigh each label by `weights`, which are then needed.
    """

    scores: str = scores_field("logits", "probs")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    loss: CrossEntropy = child(
        lambda m: CrossEntropy(
            scores=m.scores,
            ignore_index=m.ignore_index,
            weighted=m.weighted,
        )
    )

    def compute(self) -> Any:
        """The perplexity."""
        with np.errstate(over="ignore"):
            return namespace(self).exp(self.loss.compute())
