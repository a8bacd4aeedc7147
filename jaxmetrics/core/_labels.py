"""Labels and scores of classes: padding, validity and ranks.

Labels are integers of any type. They are compared by value: an unsigned byte of 255 is
not -1.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_INT32 = np.iinfo(np.int32)
_MASKED, _FINITE, _INVALID = 0, 1, 2  # a logit of -inf; others; NaN and inf


def not_ignored(labels: Any, ignore_index: int | tuple[int, ...] | None) -> Any:
    """Return where labels do not mark padding; None if no such label is configured.

    Args:
      labels: Integers of any shape.
      ignore_index: Label, or tuple of labels, that mark padding.
    """
    if ignore_index is None:
        return None
    ignored = ignore_index if isinstance(ignore_index, tuple) else (ignore_index,)
    labels = as_32bit_integers(labels)
    limits = jnp.iinfo(labels.dtype)
    kept = jnp.ones(labels.shape, bool)
    for label in ignored:
        if limits.min <= label <= limits.max:
            kept = kept & (labels != np.asarray(label, labels.dtype))
    return kept


def top_class(logits: Any) -> jax.Array:
    """Return the class of the largest logit, int32 `[...]`; ties go to the lower index.

    See `top_and_valid` for rows without a largest logit.
    """
    # Without the barrier the kinds of the logits are left out, see `_over_classes`.
    return lax.optimization_barrier(top_and_valid(logits))[0]


def top_and_valid(logits: Any) -> tuple[jax.Array, jax.Array]:
    """Return the class of the largest logit, and where a row has one.

    Args:
      logits: Scores `[..., classes]`; higher is better.

    Returns:
      top: int32 `[...]`; ties go to the lower index.
      valid: Bool `[...]`, False where a logit is NaN or inf, or all are -inf. A logit
        of -inf masks its class out.
    """
    logits = as_scores(logits)
    best = logits == unfused(logits.max(axis=-1, keepdims=True))
    index = jnp.where(best, class_index(logits), jnp.int32(logits.shape[-1]))
    top, worst = _over_classes(lax.min, _INT32.max, index, _kind(logits))
    return top, worst == _FINITE


def label_rank(logits: Any, labels: Any) -> tuple[jax.Array, jax.Array]:
    """Count the classes that score higher than the label.

    No sort. Ties go to the lower class index. A class with a logit of -inf is masked
    out: as a label it ranks behind all classes.

    Args:
      logits: Scores `[..., classes]`; higher is better.
      labels: Integers `[...]`.

    Returns:
      rank: int32 `[...]`, 0 for the best class; the number of classes for a label that
        is masked out.
      valid: Bool `[...]`, False where the label is out of range, where a logit is NaN
        or inf, or where all logits are -inf.
    """
    logits, labels = as_scores(logits), as_class_numbers(labels)
    require_labels(logits, labels)
    classes = logits.shape[-1]
    inside = in_range(labels, classes)
    label = jnp.where(inside, labels, 0)[..., None]
    own = score_of(logits, label)
    before = (logits > own) | ((logits == own) & (class_index(logits) < label))
    rank, worst = _over_classes(lax.add, 0, before.astype(jnp.int32), _kind(logits))
    rank = jnp.where(own[..., 0] == -jnp.inf, jnp.int32(classes), rank)
    return rank, inside & (worst == _FINITE)


def score_of(logits: jax.Array, label: jax.Array) -> jax.Array:
    """Return the logit of each label `[..., 1]`, which must be in range."""
    return entries_at(logits, label, -1)


def entries_at(scores: jax.Array, index: jax.Array, axis: int) -> jax.Array:
    """Return `jnp.take_along_axis(scores, index, axis)`, without a copy of all."""
    return _gathered(partial(jnp.take_along_axis, axis=axis), scores, index)


def entries_from(scores: jax.Array, first: jax.Array, size: int) -> jax.Array:
    """Return as many scores of each row from the first on, without a copy of all.

    Args:
      scores: Floats `[..., classes]`.
      first: int32 `[..., 1]`.
      size: Number of scores, at most `classes - first`.
    """

    def gathered(x: jax.Array, first: jax.Array) -> jax.Array:
        if x.ndim > 1:
            return jax.vmap(gathered)(x, first)
        return lax.dynamic_slice_in_dim(x, first[0], size)

    return _gathered(gathered, scores, first)


def _gathered(gathered: Any, scores: jax.Array, index: jax.Array) -> jax.Array:
    """Return what a function gathers from scores.

    XLA:CPU would convert all scores of 16 bits to float32 before it gathers a few.
    """

    def as_words(x: jax.Array, index: jax.Array) -> jax.Array:
        words = gathered(lax.bitcast_convert_type(x, jnp.uint16), index)
        return lax.bitcast_convert_type(words, x.dtype)

    if scores.dtype.itemsize != 2:
        return gathered(scores, index)
    return lax.platform_dependent(scores, index, cpu=as_words, default=gathered)


def unfused(rows: jax.Array) -> jax.Array:
    """Return what was reduced to `[..., 1]`; on a CPU through a gather.

    A gather is not fused with what comes before and after it. XLA:CPU otherwise fuses
    a reduction with others that use its result, and then stores their operands, at
    least 4 bytes a logit, without vector instructions. Other platforms need no gather.
    """

    def gathered(x: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x, jnp.zeros(x.shape, jnp.int32), axis=-1)

    return lax.platform_dependent(rows, cpu=gathered, default=lambda x: x)


def class_predictions(
    preds: Any, labels: Any, classes: int | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return predicted classes and labels as int32, and where both are class numbers.

    Args:
      preds: Integers `[...]`.
      labels: Integers `[...]`.
      classes: Number of classes; None if it is unknown.

    Raises:
      TypeError: Predictions or labels are not integers.
      ValueError: Their shapes differ.
    """
    preds, labels = as_class_numbers(preds), as_class_numbers(labels)
    require_integers("preds", preds)
    if preds.shape != labels.shape:
        raise ValueError(
            f"preds have shape {preds.shape} and labels {labels.shape}; the shapes "
            "must be equal. Pass class numbers; where the metric has the option "
            "scores, configure scores='logits' for logits."
        )
    require_labels(preds[..., None], labels)
    end = _INT32.max if classes is None else classes
    return preds, labels, in_range(preds, end) & in_range(labels, end)


def require_integers(name: str, preds: Any) -> None:
    """Refuse predictions that are scores."""
    if not (preds.dtype == bool or jnp.issubdtype(preds.dtype, jnp.integer)):
        raise TypeError(
            f"{name} are class numbers, got {preds.dtype}{list(preds.shape)}. Pass "
            "integers; where the metric has the option scores, configure "
            "scores='logits' or 'probs' for scores."
        )


def in_range(labels: jax.Array, classes: int) -> jax.Array:
    """Return where class numbers are at least 0 and below the number of classes."""
    return (labels >= 0) & (labels < classes)


def class_index(logits: jax.Array) -> jax.Array:
    """Return the class numbers of the last axis, int32 `[1, ..., 1, classes]`."""
    shape = (1,) * (logits.ndim - 1) + logits.shape[-1:]
    return jnp.arange(logits.shape[-1], dtype=jnp.int32).reshape(shape)


def as_scores(scores: Any) -> jax.Array:
    """Return scores as floats of any precision, other types as float32."""
    scores = jnp.asarray(scores)
    floats = jnp.issubdtype(scores.dtype, jnp.floating)
    return scores if floats else scores.astype(jnp.float32)


def as_class_numbers(labels: Any) -> Any:
    """Return integers as int32; a number beyond that stays out of range.

    Arrays of other types are returned as they are, for `require_labels` to refuse.
    """
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        return jnp.asarray(labels)
    return as_32bit_integers(labels).astype(jnp.int32)


def as_32bit_integers(labels: Any) -> jax.Array:
    """Return integers or booleans as int32, uint32 as it is.

    Those of 64 bits that int32 does not hold become its limits.
    """
    if not isinstance(labels, jax.Array):
        labels = np.asarray(labels)
        if labels.dtype.itemsize == 8:  # jax would cut them
            labels = labels.clip(_INT32.min, _INT32.max)
    labels = jnp.asarray(labels)
    if labels.dtype == jnp.uint32:
        return labels
    if labels.dtype.itemsize == 8:
        labels = labels.clip(_INT32.min, _INT32.max)
    return labels.astype(jnp.int32)


def require_labels(logits: Any, labels: Any) -> None:
    """Refuse labels that are no integers, or of another shape than the logits."""
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        one_hot = labels.shape == logits.shape and labels.ndim > 1
        remedy = (
            f" for logits of shape {logits.shape}. Pass labels.argmax(-1) if they are "
            "one-hot."
            if one_hot
            else ". Convert with .astype(int32)."
        )
        raise TypeError(
            f"labels are integer class numbers, got {labels.dtype}"
            f"{list(labels.shape)}{remedy}"
        )
    shape = logits.shape[:-1]
    if labels.shape == shape:
        return
    if labels.shape == logits.shape and labels.ndim == 1:
        remedy = (
            "If these are predicted classes, configure scores='preds' and pass them "
            "as preds."
        )
    elif labels.shape == logits.shape:
        remedy = "Pass labels.argmax(-1) if they are one-hot."
    elif labels.ndim and math.prod(labels.shape) == math.prod(shape):
        remedy = f"Pass labels.reshape({shape})."
    else:
        remedy = "Pass one label for each row of logits."
    raise ValueError(
        f"labels have shape {labels.shape} and logits {logits.shape}; labels need "
        f"the logits' shape without the last axis (the classes), {shape}. {remedy}"
    )


def _kind(logits: jax.Array) -> jax.Array:
    """Return the kind of each logit; the largest in a row is that of the row."""
    kind = (logits > -jnp.inf).astype(jnp.int32)
    return jnp.where(logits < jnp.inf, kind, jnp.int32(_INVALID))


def _over_classes(
    combine: Any, start: int, numbers: jax.Array, kind: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the combined numbers and the largest kind of each row.

    One reduction of two operands reads the logits once and stores nothing of their
    size. XLA:CPU would store the operand of a reduction of one, here 4 bytes a logit.
    """
    return lax.reduce(
        (numbers, kind),
        (jnp.int32(start), jnp.int32(_MASKED)),
        lambda a, b: (combine(a[0], b[0]), lax.max(a[1], b[1])),
        (numbers.ndim - 1,),
    )
