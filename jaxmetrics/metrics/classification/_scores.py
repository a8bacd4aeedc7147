"""Checks of settings, and predictions from scores, shared by the family."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import label_rank, top_class

TASKS = ("binary", "multiclass", "multilabel")


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
    """Refuse a configuration whose state has an axis of unknown length."""
    if classes is None:
        raise ValueError(
            f"{metric}: {setting} needs the number of classes. Pass classes=..."
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


def require_classes(metric: str, scores: Any, classes: int | None) -> None:
    """Refuse scores whose last axis is not the configured classes."""
    shape = jnp.shape(scores)
    if shape[-1:] != (classes,):
        raise ValueError(
            f"{metric}: scores have shape {shape}, but their last axis must be the "
            f"{classes} classes. Configure classes={shape[-1] if shape else 1}."
        )


def is_positive(scores: Any, threshold: float, kind: str) -> Any:
    """Return where the probability is at least the threshold.

    Logits are compared with the logit of the threshold: their probabilities would be
    rounded to 1 from a logit of 17 on.
    """
    edge = math.log(threshold / (1 - threshold)) if kind == "logits" else threshold
    return jnp.asarray(scores) >= edge


def valid_binary(scores: Any, labels: Any) -> Any:
    """Return where the label is 0 or 1 and the score finite.

    Raises:
      TypeError: The labels are neither integers nor bool.
      ValueError: The labels do not have the shape of the scores.
    """
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    if labels.dtype.kind not in "biu":
        raise TypeError(
            f"labels must be 0 or 1 as integers or bool, got {labels.dtype}. Convert "
            "with .astype(int32)."
        )
    if scores.shape != labels.shape:
        raise ValueError(
            f"scores have shape {scores.shape} and labels {labels.shape}; in the "
            "binary and multilabel tasks the shapes must be equal. Reshape one of them."
        )
    labels = labels.astype(jnp.int32)
    return ((labels == 0) | (labels == 1)) & jnp.isfinite(scores)


def predicted(
    scores: Any, labels: Any, task: str, threshold: float, kind: str
) -> tuple[Any, Any]:
    """Return the predicted class (int32) of each label, and where both are valid.

    Args:
      scores: `[..., classes]` in the multiclass task, else the labels' shape.
      labels: Integers.
      task: One of `TASKS`.
      threshold: Probability from which a binary or multilabel score is positive.
      kind: Kind of the scores, "logits" or "probs".
    """
    if task == "multiclass":
        _, valid = label_rank(scores, labels)
        return top_class(scores), valid
    positive = is_positive(scores, threshold, kind)
    return positive.astype(jnp.int32), valid_binary(scores, labels)
