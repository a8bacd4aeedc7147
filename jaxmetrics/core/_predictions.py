"""Checks of settings, and predictions from scores, shared by families of metrics."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._labels import (
    as_class_numbers,
    as_scores,
    class_index,
    class_predictions,
    in_range,
    label_rank,
    require_integers,
    require_labels,
    top_and_valid,
    top_class,
)

TASKS = ("binary", "multiclass", "multilabel")


class Predictions(NamedTuple):
    """Predicted classes beside the labels.

    Args:
      preds: Predicted class, int32.
      labels: Labels, int32, of the same shape.
      valid: Bool, False where the label, the scores or the prediction are invalid.
    """

    preds: jax.Array
    labels: jax.Array
    valid: jax.Array


def check_choice(
    metric: str, setting: str, value: object, choices: tuple[str, ...]
) -> None:
    """Refuse a value that is not one of the choices."""
    if value not in choices:
        raise ValueError(
            f"{metric}: {setting} is {value!r}, but must be one of {choices}. Leave it "
            "out for the default."
        )


def check_task(metric: str, task: str, classes: int | None, threshold: float) -> None:
    """Refuse an unknown task, a number of classes below 1 or an invalid threshold."""
    check_choice(metric, "task", task, TASKS)
    if classes is not None and classes < 1:
        raise ValueError(
            f"{metric}: classes is {classes}, but must be at least 1. Set it to the "
            "length of the last axis of the scores."
        )
    if not 0 < threshold < 1:
        raise ValueError(
            f"{metric}: threshold is {threshold}, but must be a probability between 0 "
            "and 1. For a threshold t of logits pass 1 / (1 + exp(-t))."
        )


def check_bins(metric: str, bins: int) -> None:
    """Refuse a number of bins below 1."""
    if bins < 1:
        raise ValueError(
            f"{metric}: bins is {bins}, but must be at least 1. Leave it out for the "
            "default."
        )


def need_classes(metric: str, setting: str, classes: int | None) -> None:
    """Refuse a configuration whose state has an axis of unknown or no length."""
    if classes is None:
        raise ValueError(
            f"{metric}: {setting} needs the number of classes. Pass classes=..."
        )
    if classes < 1:
        raise ValueError(
            f"{metric}: classes is {classes}, but must be at least 1. Set it to the "
            "number of classes."
        )


def per_class(task: str, classes: int | None) -> tuple[int, ...]:
    """Return the shape of counts by class; the binary task counts the positive one."""
    return () if task == "binary" else (classes or 0,)


def averaged_classes(
    task: str, classes: int | None, ignore_index: int | tuple[int, ...] | None
) -> np.ndarray:
    """Return the classes that enter an average, bool `[classes]`: all not ignored."""
    index = np.arange(classes or 0)
    if task != "multiclass" or ignore_index is None:
        return np.ones_like(index, bool)
    return ~np.isin(index, ignore_index)


def check_top_k(metric: str, k: int) -> None:
    """Refuse k below 1."""
    if k < 1:
        raise ValueError(
            f"{metric}: k is {k}, but must be at least 1. Use k=1 for the largest "
            "logit."
        )


def has_class_axis(task: str, kind: str) -> bool:
    """Return whether the last axis of the scores is the classes."""
    return task == "multilabel" or (task == "multiclass" and kind != "preds")


def require_classes(scores: Any, classes: int | None) -> None:
    """Refuse scores whose last axis is not the configured classes."""
    shape = jnp.shape(scores)
    if shape[-1:] != (classes,):
        remedy = f"Configure classes={shape[-1] if shape else 1}."
        if len(shape) < 2:
            remedy = (
                "If these are predicted classes, configure scores='preds' and pass "
                "them as preds."
            )
        raise ValueError(
            f"scores have shape {shape}, but their last axis must be the {classes} "
            f"classes. {remedy}"
        )


def is_positive(scores: Any, threshold: float, kind: str) -> Any:
    """Return where the probability is at least the threshold.

    Logits are compared with the logit of the threshold: their probabilities would be
    rounded to 1 from a logit of 17 on. Predictions are positive where they are 1.
    """
    if kind == "preds":
        return jnp.asarray(scores).astype(jnp.int32) == 1
    edge = math.log(threshold / (1 - threshold)) if kind == "logits" else threshold
    return as_scores(scores).astype(jnp.float32) >= edge


def valid_binary(scores: Any, labels: Any, kind: str = "logits") -> Any:
    """Return where the label is 0 or 1 and the score is not NaN.

    Logits of infinity are valid. Probabilities are valid in [0, 1], and predictions
    where they are 0 or 1.

    Raises:
      TypeError: The labels are neither integers nor bool.
      ValueError: The labels do not have the shape of the scores.
    """
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    if not _is_integer_or_bool(labels):
        raise TypeError(
            f"labels must be 0 or 1 as integers or bool, got {labels.dtype}. Convert "
            "with .astype(int32)."
        )
    if kind == "preds":
        require_integers("preds", scores)
    if scores.shape != labels.shape:
        remedy = "Reshape one of them."
        if scores.shape[:-1] == labels.shape and scores.ndim == labels.ndim + 1:
            remedy = (
                "Pass scores[..., 0]."
                if scores.shape[-1] == 1
                else "If the last axis of the scores is the classes, configure "
                f"classes={scores.shape[-1]} with task='multiclass'."
            )
        raise ValueError(
            f"scores have shape {scores.shape} and labels {labels.shape}; in the "
            f"binary and multilabel tasks the shapes must be equal. {remedy}"
        )
    if kind == "preds":
        return _zero_or_one(labels) & _zero_or_one(scores)
    scores = as_scores(scores)
    if kind == "probs":
        return _zero_or_one(labels) & (scores >= 0) & (scores <= 1)
    return _zero_or_one(labels) & ~jnp.isnan(scores)


def predicted(
    scores: Any,
    labels: Any,
    task: str,
    threshold: float,
    kind: str,
    classes: int | None = None,
) -> Predictions:
    """Return the predicted class of each label, and where both are valid.

    Args:
      scores: `[..., classes]` in the multiclass task, else the labels' shape; class
        numbers of the labels' shape if the kind is "preds".
      labels: Integers.
      task: One of `TASKS`.
      threshold: Probability from which a binary or multilabel score is positive.
      kind: Kind of the scores, "logits", "probs" or "preds".
      classes: Number of classes, if known, from which predictions are out of range.
    """
    if task != "multiclass":
        valid = valid_binary(scores, labels, kind)
        preds = is_positive(scores, threshold, kind).astype(jnp.int32)
        return Predictions(preds, jnp.asarray(labels).astype(jnp.int32), valid)
    if kind == "preds":
        return Predictions(*class_predictions(scores, labels, classes))
    labels = as_class_numbers(labels)
    require_labels(jnp.asarray(scores), labels)
    preds, valid = top_and_valid(scores)
    return Predictions(preds, labels, valid & in_range(labels, jnp.shape(scores)[-1]))


def hits_of_labels(
    scores: Any,
    labels: Any,
    task: str,
    threshold: float,
    kind: str,
    classes: int | None = None,
) -> Predictions:
    """Return predictions as `predicted`, for metrics that only ask if they are right.

    A wrong prediction of the multiclass task is -1: the predicted class is not looked
    for, so that the scores are read once.
    """
    if task != "multiclass" or kind == "preds":
        return predicted(scores, labels, task, threshold, kind, classes)
    return in_top_k(scores, labels, 1)


def in_top_k(scores: Any, labels: Any, k: int) -> Predictions:
    """Return the label itself as the prediction where it is among the k largest scores.

    Elsewhere the prediction is -1. A class that is masked out is not among them.
    """
    rank, valid = label_rank(scores, labels)
    labels = as_class_numbers(labels)
    hit = rank < min(k, jnp.shape(scores)[-1])
    return Predictions(jnp.where(hit, labels, -1), labels, valid)


def predicted_in_top_k(
    scores: Any, labels: Any, task: str, k: int, kind: str
) -> Predictions:
    """Return the predictions if k of them are allowed.

    Multiclass: the label where it is among the k largest scores, else the class of the
    largest one. Multilabel: 1 for the k labels of the largest scores, else 0.
    """
    if task == "multiclass":
        preds, labels, valid = in_top_k(scores, labels, k)
        return Predictions(
            jnp.where(preds < 0, top_class(scores), preds), labels, valid
        )
    valid = valid_binary(scores, labels, kind)
    preds = _among_largest(as_scores(scores), k).astype(jnp.int32)
    return Predictions(preds, jnp.asarray(labels).astype(jnp.int32), valid)


def _among_largest(scores: jax.Array, k: int) -> jax.Array:
    """Return where a score is among the k largest of its row, without a sort.

    Ties go to the lower index; NaN is below all.
    """
    scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores)
    index = class_index(scores)

    def add_largest(_: Any, chosen: jax.Array) -> jax.Array:
        rest = jnp.where(chosen, -jnp.inf, scores)
        best = ~chosen & (rest == rest.max(axis=-1, keepdims=True))
        lowest = jnp.where(best, index, jnp.int32(scores.shape[-1]))
        return chosen | (index == lowest.min(axis=-1, keepdims=True))

    # Not zeros: inside shard_map the carry must vary over the mesh as the scores do.
    return lax.fori_loop(0, min(k, scores.shape[-1]), add_largest, scores != scores)


def _is_integer_or_bool(x: jax.Array) -> bool:
    return x.dtype == bool or jnp.issubdtype(x.dtype, jnp.integer)


def _zero_or_one(x: jax.Array) -> jax.Array:
    return (x == 0) | (x == 1)
