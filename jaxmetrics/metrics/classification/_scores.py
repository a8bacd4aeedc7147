"""How scores become predictions: tasks, thresholds, which labels are valid."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import label_rank, top_class

TASKS = ("binary", "multiclass", "multilabel")


def check_task(who: str, task: str, classes: int | None, threshold: float) -> None:
    """Refuse an unknown task, missing classes or a threshold outside (0, 1)."""
    if task not in TASKS:
        raise ValueError(f"{who}: task is one of {TASKS}, got {task!r}.")
    if classes is not None and classes < 1:
        raise ValueError(f"{who}: classes is at least 1, got {classes}.")
    if not 0 < threshold < 1:
        raise ValueError(
            f"{who}: threshold is a probability between 0 and 1, got {threshold}."
        )


def need_classes(who: str, what: str, classes: int | None) -> None:
    """Refuse a configuration whose state has an axis of unknown length."""
    if classes is None:
        raise ValueError(f"{who}: {what} needs the number of classes: classes=...")


def check_average(who: str, average: str, known: tuple[str, ...]) -> None:
    """Refuse an unknown average."""
    if average not in known:
        raise ValueError(f"{who}: average is one of {known}, got {average!r}.")


def per_class(task: str, classes: int | None) -> tuple[int, ...]:
    """The shape of counts of each class; the binary task counts the positive one."""
    return () if task == "binary" else (classes or 0,)


def entering(
    task: str, classes: int | None, ignore_index: int | tuple[int, ...] | None
) -> np.ndarray:
    """Which classes enter an average, bool `[classes]`: those that are not ignored."""
    index = np.arange(classes or 0)
    if task != "multiclass" or ignore_index is None:
        return np.ones_like(index, bool)
    return ~np.isin(index, ignore_index)


def require_classes(scores: Any, classes: int | None) -> None:
    """Refuse scores whose last axis is not the configured classes."""
    shape = jnp.shape(scores)
    if shape[-1:] != (classes,):
        raise ValueError(
            f"scores have shape {shape}, but their last axis is to be the {classes} "
            f"classes. Configure classes={shape[-1] if shape else 1}."
        )


def above(scores: Any, threshold: float, kind: str) -> Any:
    """Where the probability is at least the threshold, compared without saturation."""
    edge = math.log(threshold / (1 - threshold)) if kind == "logits" else threshold
    return jnp.asarray(scores) >= edge


def valid_binary(scores: Any, labels: Any) -> Any:
    """Where the label is 0 or 1 and the score finite.

    Raises:
      TypeError, ValueError: if labels are not integers of the scores' shape.
    """
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    if labels.dtype.kind not in "biu":
        raise TypeError(
            f"labels are 0 or 1 as integers or bool, got {labels.dtype}. Convert with "
            ".astype(int32)."
        )
    if scores.shape != labels.shape:
        raise ValueError(
            f"scores have shape {scores.shape} and labels {labels.shape}; in the "
            "binary and multilabel tasks they are alike."
        )
    labels = labels.astype(jnp.int32)
    return ((labels == 0) | (labels == 1)) & jnp.isfinite(scores)


def predicted(
    scores: Any, labels: Any, task: str, threshold: float, kind: str
) -> tuple[Any, Any]:
    """The predicted class (int32) of each label, and where both are valid."""
    if task == "multiclass":
        _, valid = label_rank(scores, labels)
        return top_class(scores), valid
    hit = above(scores, threshold, kind)
    return hit.astype(jnp.int32), valid_binary(scores, labels)
