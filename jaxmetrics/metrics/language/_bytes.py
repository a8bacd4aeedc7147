"""Bits per byte of text and per token."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    Metric,
    both,
    count_leaf,
    count_where,
    divide,
    negative_log_likelihood,
    not_ignored,
    scores_field,
    sum_leaf,
    total,
)


class BitsPerByte(Metric):
    """Bits that a language model needs per byte of text; at least 0, lower is better.

    Summed negative log-likelihood of the tokens in bits, divided by the summed bytes
    of the same tokens (Gao et al. 2020, The Pile). Unlike perplexity it does not
    depend on the tokenizer.

    Reads `logits` `[batch, tokens, vocabulary]`, integer `labels` `[batch, tokens]`
    and `bytes`, integers `[batch, tokens]`: the number of UTF-8 bytes that each label
    stands for, as a table looked up by id, `bytes_of_id[labels]`.

    Ids out of range, negative `bytes` and positions without a largest score (see
    `jaxmetrics.metrics`) are counted in `invalid`; neither their bits nor their bytes
    count. A logit of -inf masks an id out; as a label it costs inf. Tokens that
    stand for no text (0 bytes) add their bits: mask or ignore them where they are not
    predicted from text. nan without data.

    Args:
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      scores: Output that holds the scores: "logits" (the default), "probs", which are
        not normalized again, or "losses" `[batch, tokens]`, the negative
        log-likelihoods that `jm.losses.chunked_cross_entropy` returns.
      weighted: Require `weights` and weight each token by them: its bits and its bytes.

    Example:
      >>> import jaxmetrics as jm, numpy as np
      >>> uniform = np.zeros((1, 2, 16))  # 4 bits for each of two tokens
      >>> value = jm.evaluate(
      ...     jm.BitsPerByte(), logits=uniform, labels=[[3, 5]], bytes=[[1, 3]]
      ... )
      >>> round(float(value), 6)
      2.0
    """

    higher_is_better: ClassVar[Direction] = False

    ignore_index: int | tuple[int, ...] | None = None
    scores: str = scores_field(
        "logits", "probs", "losses", default="logits", narrow=True
    )
    weighted: bool = False
    nats: Array = sum_leaf()
    bytes: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def observe(
        self,
        *,
        logits: Any,
        labels: Any,
        bytes: Any,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's summed loss, bytes and invalid tokens."""
        labels, byte_counts = jnp.asarray(labels), jnp.asarray(bytes)
        nats, valid = negative_log_likelihood(logits, labels, kind=self.scores)
        if byte_counts.dtype.kind not in "iu" or byte_counts.shape != labels.shape:
            raise ValueError(
                f"BitsPerByte: bytes are {byte_counts.dtype}{list(byte_counts.shape)}; "
                f"they must be integers of the labels' shape {list(labels.shape)}. "
                "Look them up: bytes_of_id[labels]."
            )
        valid = valid & (byte_counts >= 0)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            nats=total(nats, scored, weights),
            bytes=total(byte_counts.astype(jnp.int32), scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the bits per byte."""
        return divide(self.nats, self.bytes) / math.log(2)


class BitsPerToken(MeanMetric):
    """Mean negative log-likelihood of the tokens in bits; at least 0, lower is better.

    The logarithm of `Perplexity` to base 2, and `CrossEntropy` divided by log(2): bits
    that a code made from the model needs for a token. It depends on the tokenizer,
    unlike `BitsPerByte`.

    Reads `logits` `[batch, tokens, vocabulary]` and integer `labels`
    `[batch, tokens]`. Ids out of range and positions without a largest score (see
    `jaxmetrics.metrics`) are counted in `invalid`, never scored. A logit of -inf masks
    an id out; as a label it costs inf. nan without data.

    Args:
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      scores: Output that holds the scores: "logits" (the default), "probs", which are
        not normalized again, or "losses" `[batch, tokens]`, the negative
        log-likelihoods that `jm.losses.chunked_cross_entropy` returns.
      weighted: Require `weights` and weight each token by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm, numpy as np
      >>> uniform = np.zeros((1, 2, 16))
      >>> value = jm.evaluate(jm.BitsPerToken(), logits=uniform, labels=[[3, 5]])
      >>> round(float(value), 6)
      4.0
    """

    higher_is_better: ClassVar[Direction] = False

    ignore_index: int | tuple[int, ...] | None = None
    scores: str = scores_field(
        "logits", "probs", "losses", default="logits", narrow=True
    )
    invalid: Array = count_leaf()

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed loss, scored tokens and invalid tokens."""
        nats, valid = negative_log_likelihood(logits, labels, kind=self.scores)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            **self.mean_leaves(nats, scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the bits per token, or these and their standard error."""
        nats = super().compute()
        if self.stderr:
            return {name: x / math.log(2) for name, x in nats.items()}
        return nats / math.log(2)
