"""Entropy and largest score of attention, by head."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    MeanMetric,
    Metric,
    as_scores,
    count_leaf,
    count_rows,
    count_where,
    like_values,
    max_leaf,
    maximum,
    namespace,
    scores_field,
    softmax_terms,
)


class AttentionEntropy(MeanMetric, checks_weights=True):
    """Mean entropy of the attention of each head, in nats, `[heads]`.

    `-sum(p log p)` over the keys, from 0 (all attention on one key) to the logarithm of
    the number of keys. A head whose entropy falls to 0 goes with unstable training
    (Zhai et al. 2023, Stabilizing Transformer Training by Preventing Attention Entropy
    Collapse). nan for heads without data.

    Reads `logits`, or `probs`, `[..., heads, queries, keys]`; rename them, as in
    `AttentionEntropy(heads=8).on(logits="attention_logits")`. `mask` has the leading
    axes of the logits, or is an attention mask `[..., heads, queries, keys]` or
    `[..., heads, queries]`, any of whose axes may have the size 1: keys where it is
    False are not attended to, and queries without keys do not count. Keys may also be
    masked by logits of -inf, or of the lowest float as in flax. Queries without a
    largest logit (see `jaxmetrics.metrics`), or with `probs` outside [0, 1], are
    counted in `invalid` and never scored.

    Args:
      heads: Number of heads.
      scores: Output that holds the scores, "logits" (the default) or "probs", which
        are not normalized again.
      weighted: Require `weights` `[...]` or `[..., queries]`, of the queries.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jax.numpy as jnp, jaxmetrics as jm
      >>> logits = jnp.zeros((1, 2, 1, 4)).at[0, 1, 0, 2].set(100.0)
      >>> jm.evaluate(jm.AttentionEntropy(heads=2), logits=logits).round(4)
      array([1.3863, 0.    ])
    """

    heads: int = 1
    scores: str = scores_field("logits", "probs", default="logits", narrow=True)
    invalid: Array = count_leaf()

    @property
    def means(self) -> tuple[int, ...]:
        """Shape of the mean."""
        return (self.heads,)

    def validate(self) -> None:
        """Refuse fewer than one head."""
        _require_heads("AttentionEntropy", self.heads)

    def observe(
        self, *, logits: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return by head the summed entropies and scored queries, and invalid ones."""
        scores, visible = _visible("AttentionEntropy", self.heads, logits, mask)
        if self.scores == "probs":
            p = jnp.where(visible, scores.astype(jnp.float32), 0)
            valid = ((p >= 0) & (p <= 1)).all(axis=-1)
            entropy = -(p * jnp.log(jnp.where(p > 0, p, 1))).sum(axis=-1)
        else:
            entropy, valid, _ = _softmax(scores, visible)
        kept = visible.any(axis=-1)
        # The axes of the weights are leading ones where the heads are last.
        entropy, valid, kept = (_heads_last(x) for x in (entropy, valid, kept))
        wrong = 0
        if weights is not None:
            weights = jnp.asarray(weights)
            shared = like_values(weights, kept)
            wrong = count_rows(kept & jnp.isnan(shared), weights.ndim)
            kept = kept & (shared != 0) & ~jnp.isnan(shared)
        return dict(
            **self.mean_leaves(entropy, valid & kept, weights),
            invalid=wrong + count_where(~valid & kept),
        )


class AttentionMaximum(Metric):
    """Largest attention score of each head, `[heads]`.

    Of `logits` it is the largest attention logit, whose growth goes before divergence
    (Dehghani et al. 2023, Scaling Vision Transformers to 22 Billion Parameters;
    Wortsman et al. 2023); of `probs` the largest probability. nan for heads without
    data. What it reads, `mask` and `invalid` are those of `AttentionEntropy`.

    Args:
      heads: Number of heads.
      scores: Output that holds the scores, "logits" (the default) or "probs".

    Example:
      >>> import jax.numpy as jnp, jaxmetrics as jm
      >>> logits = jnp.zeros((1, 2, 1, 4)).at[0, 1, 0, 2].set(100.0)
      >>> jm.evaluate(jm.AttentionMaximum(heads=2), logits=logits)
      array([  0., 100.])
    """

    heads: int = 1
    scores: str = scores_field("logits", "probs", default="logits", narrow=True)
    largest: Array = max_leaf("heads")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse fewer than one head."""
        _require_heads("AttentionMaximum", self.heads)

    def observe(self, *, logits: Any, mask: Any = None) -> dict[str, Any]:
        """Return by head the largest score, and the number of invalid queries."""
        scores, visible = _visible("AttentionMaximum", self.heads, logits, mask)
        if self.scores == "probs":
            p = jnp.where(visible, scores.astype(jnp.float32), 0)
            valid, top = ((p >= 0) & (p <= 1)).all(axis=-1), p.max(axis=-1)
        else:
            _, valid, top = _softmax(scores, visible)
        kept = visible.any(axis=-1)
        top, scored = (_heads_last(x) for x in (top, valid & kept))
        return dict(
            largest=maximum(top, scored, keep=1), invalid=count_where(~valid & kept)
        )

    def compute(self) -> Any:
        """Return the largest score, `[heads]`."""
        xp = namespace(self)
        largest = xp.asarray(self.largest)
        return xp.where(largest == -np.inf, np.nan, largest)


def _require_heads(owner: str, heads: int) -> None:
    if heads < 1:
        raise ValueError(
            f"{owner}: heads is {heads}, but must be at least 1. Set it to the number "
            "of heads of a layer."
        )


def _visible(owner: str, heads: int, scores: Any, mask: Any) -> tuple[Any, Any]:
    """Return the scores, and which of them count, bool of the same shape."""
    scores = as_scores(scores)
    if scores.ndim < 3 or scores.shape[-3] != heads:
        raise ValueError(
            f"{owner}: the scores have shape {scores.shape}, but must be [..., "
            f"{heads} heads, queries, keys]. Configure heads, or move their axis."
        )
    if mask is None:
        return scores, jnp.ones(scores.shape, bool)
    mask = jnp.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(
            f"{owner}: mask is {mask.dtype}, it must be bool (True counts). Pass "
            "mask > 0."
        )
    # A mask of rows has to have them all: one row would be a mistake.
    spread = {1} if mask.ndim > scores.ndim - 3 else set()
    pairs = zip(mask.shape, scores.shape)
    fits = all(size in {full, *spread} for size, full in pairs)
    if not fits or mask.ndim > scores.ndim:
        raise ValueError(
            f"{owner}: mask has shape {mask.shape}, the scores {scores.shape}; it must "
            "be their leading axes, or an attention mask whose axes may have the size "
            "1. Reshape it, as mask[:, None, None, :] for a mask of keys."
        )
    mask = mask.reshape(*mask.shape, *[1] * (scores.ndim - mask.ndim))
    return scores, jnp.broadcast_to(mask, scores.shape)


def _softmax(logits: Any, visible: Any) -> tuple[Any, Any, Any]:
    """Return entropy, validity and largest logit of each query."""
    logits = jnp.where(visible, logits, logits.dtype.type(-np.inf))
    first = jnp.zeros(logits.shape[:-1], jnp.int32)
    terms = softmax_terms(logits, first)
    return terms.entropy, terms.valid, terms.top


def _heads_last(x: Any) -> Any:
    return jnp.moveaxis(x, -2, -1)
