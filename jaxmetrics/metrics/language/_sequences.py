"""Values of whole sequences, also of several that are packed into one row."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    Metric,
    Statistic,
    as_class_numbers,
    both,
    check_stderr_of_counts,
    count_leaf,
    count_where,
    fraction_of,
    hits_of_labels,
    mask_like,
    not_ignored,
    positions,
    scores_field,
)
from jaxmetrics.metrics.language._ids import require_ids


class SequenceMean(Statistic, MeanMetric):
    """Mean over sequences of the mean of a value over a sequence's tokens.

    Each sequence counts the same, whatever its length, while a mean over tokens
    (`Mean`, `CrossEntropy`) weights sequences by their length. nan without data. A
    token that is NaN makes its sequence, and so the mean, NaN.

    Reads the named output `[batch, tokens]`. Without `segments` a row is a sequence.
    With it `segment_ids` tell apart the sequences that are packed into a row, integers
    `[batch, tokens]`: 1 to `segments` for the sequences of a row, 0 and below for
    padding. A number stands for another sequence in each row; no sequence crosses rows.
    Tokens with a larger number are counted in `invalid` and left out. Masked tokens are
    left out of their sequence, and a sequence without others does not count. A
    sequence's own mean is a float32 mean.

    Args:
      output: Name of the output; its last axis is the tokens.
      segments: Largest number of sequences in a row; None (the default) if rows are
        not packed. The update compares each token with each of these numbers.
      weighted: Require `weights` `[batch]`, of the rows, or `[batch, segments]`.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.SequenceMean("loss", segments=2)
      >>> loss, ids = [[1.0, 3.0, 8.0, 9.0]], [[1, 1, 2, 0]]
      >>> float(jm.evaluate(metric, loss=loss, segment_ids=ids))
      5.0
    """

    segments: int | None = None
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse fewer than one sequence in a row."""
        _check_segments("SequenceMean", self.segments)

    def observe(
        self,
        *,
        values: Any,
        segment_ids: Any = None,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's summed means of sequences, their number, invalid ids."""
        values = jnp.asarray(values).astype(jnp.float32)
        _require_tokens("SequenceMean", "values", values)
        member, invalid = _members(
            "SequenceMean", values, self.segments, segment_ids, mask
        )
        size = member.sum(axis=-1, dtype=jnp.int32)
        sums = jnp.where(member, values[..., None, :], jnp.float32(0)).sum(axis=-1)
        occurs = size > 0
        means = sums / jnp.where(occurs, size, 1).astype(jnp.float32)
        return dict(
            **self.mean_leaves(means, occurs, weights),
            invalid=count_where(invalid),
        )


class SequenceExactMatch(Metric):
    """Fraction of sequences of which every token is predicted correctly.

    In [0, 1], higher is better; nan without data. Without `segments` a row is a
    sequence, as in `ExactMatch(task="multiclass")`. With it `segment_ids` tell apart
    the sequences that are packed into a row, integers `[batch, tokens]`: 1 to
    `segments` for the sequences of a row, 0 and below for padding. A number stands for
    another sequence in each row; no sequence crosses rows.

    Reads `logits` `[batch, tokens, vocabulary]` and integer `labels`
    `[batch, tokens]`. Masked and ignored tokens are left out of their sequence, and a
    sequence without others does not count. A sequence with an invalid token (a label
    out of range, a position without a largest score) is counted in `invalid`, never
    scored; so is each token with a number above `segments`.

    Args:
      segments: Largest number of sequences in a row; None (the default) if rows are
        not packed. The update compares each token with each of these numbers.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted ids, integers `[batch, tokens]`.
      weighted: Require `weights` `[batch]`, of the rows, or `[batch, segments]`.
      stderr: Compute fraction and standard error, as `Mean(stderr=True)`; not with
        weights. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.SequenceExactMatch(segments=2, scores="preds")
      >>> ids, labels, preds = [[1, 1, 2, 2]], [[5, 6, 7, 8]], [[5, 6, 7, 9]]
      >>> float(jm.evaluate(metric, preds=preds, labels=labels, segment_ids=ids))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    segments: int | None = None
    ignore_index: int | tuple[int, ...] | None = None
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    correct: Array = count_leaf(weighted="weighted")
    total: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse fewer than one sequence in a row."""
        _check_segments("SequenceExactMatch", self.segments)
        check_stderr_of_counts(self)

    def observe(
        self,
        *,
        logits: Any,
        labels: Any,
        segment_ids: Any = None,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's correct, scored and invalid sequences."""
        preds, numbers, valid = hits_of_labels(
            logits, labels, "multiclass", 0.5, self.scores
        )
        _require_tokens("SequenceExactMatch", "labels", numbers)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        member, out_of_range = _members(
            "SequenceExactMatch", numbers, self.segments, segment_ids, kept
        )

        def all_tokens(condition: Any) -> Any:
            return (condition[..., None, :] | ~member).all(axis=-1)

        occurs = member.any(axis=-1)
        scored = occurs & all_tokens(valid)
        return dict(
            correct=count_where(all_tokens(preds == numbers), scored, weights),
            total=count_where(scored, weights=weights),
            invalid=count_where(occurs & ~scored) + count_where(out_of_range),
        )

    def compute(self) -> Any:
        """Return the fraction of sequences."""
        return fraction_of(self.correct, self.total, self.stderr)


def _check_segments(metric: str, segments: int | None) -> None:
    if segments is not None and segments < 1:
        raise ValueError(
            f"{metric}: segments is {segments}, but must be at least 1. Leave it out "
            "if a row is one sequence."
        )


def _require_tokens(metric: str, name: str, array: jax.Array) -> None:
    if not array.ndim:
        raise ValueError(
            f"{metric}: {name} are a scalar, but their last axis must be the tokens of "
            "a sequence. Pass them as [batch, tokens]."
        )


def _members(
    metric: str, tokens: jax.Array, segments: int | None, segment_ids: Any, mask: Any
) -> tuple[jax.Array, jax.Array]:
    """Return which tokens belong to each sequence of a row.

    Args:
      metric: Name of the metric, for errors.
      tokens: Any array `[..., tokens]`.
      segments: Largest number of sequences in a row, or None.
      segment_ids: Integers `[..., tokens]`, or None.
      mask: Bool, leading axes of the tokens; None for all.

    Returns:
      member: Bool `[..., segments, tokens]`.
      invalid: Bool `[..., tokens]`, where the number of a sequence is above `segments`.
    """
    kept = mask_like(tokens, mask)
    if segments is None:
        if segment_ids is not None:
            raise TypeError(
                f"{metric}: segment_ids were passed, but rows are taken as one "
                "sequence. Configure segments=... with the largest of them."
            )
        return kept[..., None, :], jnp.zeros_like(kept)
    if segment_ids is None:
        raise TypeError(
            f"{metric}: segments={segments} needs output 'segment_ids'. Pass the "
            "number of each token's sequence, or leave segments out."
        )
    require_ids(metric, "segment_ids", segment_ids)
    ids = as_class_numbers(segment_ids)
    if ids.shape != tokens.shape:
        raise ValueError(
            f"{metric}: segment_ids have shape {ids.shape}, but must have that of the "
            f"tokens, {tokens.shape}. Pass one number for each token."
        )
    numbers = 1 + positions(segments, ids.ndim)
    member = (ids[..., None, :] == numbers[..., None]) & kept[..., None, :]
    # By value: as int32 a uint32 from 2^31 on would be a number of padding.
    return member, kept & (jnp.asarray(segment_ids) > segments)
