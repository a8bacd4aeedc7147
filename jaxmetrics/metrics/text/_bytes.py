"""Bits per byte of text."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    count_leaf,
    count_where,
    divide,
    not_ignored,
    require_labels,
    sum_leaf,
    total,
)


class BitsPerByte(Metric):
    """Bits that a model needs for a byte of text; at least 0, lower is better.

    The summed negative log-likelihood of the tokens in bits, over the summed bytes of
    the same tokens (Gao et al. 2020, The Pile): unlike perplexity it does not depend
    on the tokenizer. Ids out of range, negative `bytes` and positions with a logit
    that is not finite are counted in `invalid`: neither their bits nor their bytes
    count. Tokens that stand for no text (0 bytes) add their bits: mask or ignore them
    where they are not predicted from text.

    Args:
      ignore_index: id, or tuple of ids, that mark padding.

    It reads `logits` `[batch, tokens, vocabulary]`, integer `labels`
    `[batch, tokens]`, and `bytes`, integers of the labels' shape: how many UTF-8
    bytes each label stands for, as a table looked up by id, `bytes_of_id[labels]`.

    Example:
      >>> import jaxmetrics as jm, numpy as np
      >>> uniform = np.zeros((1, 2, 16))  # 4 bits for each of two tokens
      >>> found = jm.evaluate(
      ...     jm.BitsPerByte(), logits=uniform, labels=[[3, 5]], bytes=[[1, 3]]
      ... )
      >>> round(float(found), 6)
      2.0
    """

    ignore_index: int | tuple[int, ...] | None = None
    nats: Array = sum_leaf()
    bytes: Array = count_leaf()
    invalid: Array = count_leaf()

    def observe(
        self, *, logits: Any, labels: Any, bytes: Any, mask: Any = None
    ) -> dict[str, Any]:
        """Summed loss in nats, bytes of the scored tokens, and invalid tokens."""
        logits, labels, size = (jnp.asarray(x) for x in (logits, labels, bytes))
        require_labels(logits, labels)
        if size.dtype.kind not in "iu" or size.shape != labels.shape:
            raise ValueError(
                f"bytes are {size.dtype}{list(size.shape)}; they must be integers of "
                f"the labels' shape {labels.shape}. Look them up: bytes_of_id[labels]."
            )
        inside = (labels >= 0) & (labels < logits.shape[-1])
        valid = inside & (size >= 0) & jnp.isfinite(logits).all(axis=-1)
        label = jnp.where(inside, labels, 0).astype(jnp.int32)[..., None]
        mine = jnp.take_along_axis(logits, label, axis=-1)[..., 0]
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            nats=total(jax.nn.logsumexp(logits, axis=-1) - mine, scored),
            bytes=jnp.where(scored, size, 0).sum(dtype=jnp.uint32),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """The ratio in bits a byte."""
        return divide(self.nats, self.bytes) / math.log(2)
