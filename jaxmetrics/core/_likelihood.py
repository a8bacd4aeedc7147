"""Negative log-likelihood of integer labels, shared by metrics of several families."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core._counting import require_labels


def negative_log_likelihood(
    scores: Any, labels: Any, *, probs: bool = False, label_smoothing: float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """Return the loss of each label, `-log softmax(logits)[label]`, and its validity.

    Args:
      scores: Logits `[..., classes]`, or probabilities if `probs` is true.
      labels: Integers `[...]`.
      probs: Take the scores as probabilities and do not normalize them.
      label_smoothing: Share of the target that is spread evenly over all classes,
        in [0, 1).

    Returns:
      nats: Float `[...]`, the loss in nats; undefined where `valid` is False.
      valid: Bool `[...]`, False where the label is out of range or a score of the
        row is not finite.

    Raises:
      TypeError: The labels are not integers.
      ValueError: The labels do not have the shape of the scores without the classes.
    """
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    require_labels(scores, labels)
    in_range = (labels >= 0) & (labels < scores.shape[-1])
    valid = in_range & jnp.isfinite(scores).all(axis=-1)
    if probs:
        normalizer, scores = jnp.float32(0), jnp.log(scores)
    else:
        normalizer = jax.nn.logsumexp(scores, axis=-1)
    index = jnp.where(in_range, labels, 0).astype(jnp.int32)[..., None]
    label_score = jnp.take_along_axis(scores, index, axis=-1)[..., 0]
    if label_smoothing:
        mean_score = scores.mean(axis=-1)
        label_score = label_score + label_smoothing * (mean_score - label_score)
    return normalizer - label_score, valid
