"""A row of the metric cases, and functions that draw example outputs.

A draw function takes `(rng, rows)` and returns outputs by name, each with a leading
axis of rows. Scores are rounded, so that ties and scores at the threshold occur.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

import jaxmetrics as jm

CLASSES, LABELS = 5, 4
NAN = float("nan")


@dataclasses.dataclass(frozen=True)
class Case:
    """One row.

    Args:
      name: Unique name, which identifies the row in failures.
      metric: The empty metric.
      outputs: Draw function that returns float32, int32 or bool arrays.
      reference: Function that returns the value from the outputs by name, floats as
        float64.
      exact: True if all leaves are counts or extremes, so that any split of the data
        gives the same bits. Other states agree within `tolerance`.
      tolerance: Relative and absolute tolerance of the value against the reference,
        and of float leaves.
      reason: Reason for the tolerance.
      empty: Value of the empty metric.
      by_value: True if states are compared by the values that they compute, not by
        their leaves.
      reads: Arguments of `observe` that read an output of another name.
      without: Laws that do not hold, each with the reason; "jit" of a metric that
        computes on the host only.
    """

    name: str
    metric: jm.Metric
    outputs: Callable[[np.random.Generator, int], dict[str, np.ndarray]]
    reference: Callable[..., Any]
    exact: bool = False
    tolerance: float = 1e-6
    reason: str = "a batch's own sum is a float32 sum"
    empty: float = NAN
    by_value: bool = False
    reads: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without: Mapping[str, str] = dataclasses.field(default_factory=dict)


def values(rng, rows):
    return dict(values=rng.normal(2, 3, (rows, 3)).astype(np.float32))


def series(rng, rows):
    targets = rng.normal(1, 2, (rows, 3)).astype(np.float32)
    preds = targets + rng.normal(0, 1, (rows, 3)).astype(np.float32)
    return dict(preds=preds, targets=targets)


def multiclass(rng, rows):
    logits = rng.normal(0, 2, (rows, CLASSES)).round().astype(np.float32)
    return dict(logits=logits, labels=_integers(rng, CLASSES, rows))


def binary(rng, rows):
    logits = rng.normal(0, 1, rows).round().astype(np.float32)
    return dict(logits=logits, labels=_integers(rng, 2, rows))


def multilabel(rng, rows):
    logits = rng.normal(0, 1, (rows, LABELS)).round().astype(np.float32)
    return dict(logits=logits, labels=_integers(rng, 2, (rows, LABELS)))


def tokens(rng, rows):
    logits = rng.normal(0, 2, (rows, 6, CLASSES)).round().astype(np.float32)
    return dict(logits=logits, labels=_integers(rng, CLASSES, (rows, 6)))


def weighted(draw):
    """Return a draw function that adds a weight for each row."""

    def outputs(rng, rows):
        weights = rng.uniform(0.1, 2, rows).astype(np.float32)
        return dict(draw(rng, rows), weights=weights)

    return outputs


def with_probs(draw):
    """Return a draw function that has probabilities in place of logits."""

    def outputs(rng, rows):
        drawn = draw(rng, rows)
        logits = drawn.pop("logits")
        multiclass = logits.ndim > drawn["labels"].ndim
        if multiclass:
            probs = scipy.special.softmax(logits, axis=-1)
        else:
            probs = scipy.special.expit(logits)
        return dict(drawn, probs=probs.astype(np.float32))

    return outputs


def with_preds(draw):
    """Return a draw function that has predicted classes in place of logits."""

    def outputs(rng, rows):
        drawn = draw(rng, rows)
        logits = drawn.pop("logits")
        multiclass = logits.ndim > drawn["labels"].ndim
        preds = logits.argmax(-1) if multiclass else logits >= 0
        return dict(drawn, preds=preds.astype(np.int32))

    return outputs


def with_losses(draw):
    """Return a draw function that has the losses of the labels in place of logits."""

    def outputs(rng, rows):
        drawn = draw(rng, rows)
        scores = scipy.special.log_softmax(np.float64(drawn.pop("logits")), -1)
        labels = drawn["labels"][..., None]
        losses = -np.take_along_axis(scores, labels, -1)[..., 0]
        return dict(drawn, losses=losses.astype(np.float32))

    return outputs


def with_masked(draw, classes):
    """Return a draw function with classes that are masked out by logits of -inf."""

    def outputs(rng, rows):
        drawn = draw(rng, rows)
        shape = (*drawn["logits"].shape[:-1], classes)
        masked = np.full(shape, -np.inf, np.float32)
        return dict(drawn, logits=np.concatenate([drawn["logits"], masked], -1))

    return outputs


def weights_like(weights, array):
    """Return weights of rows broadcast to the shape of an array."""
    return np.broadcast_to(weights.reshape(-1, *[1] * (array.ndim - 1)), array.shape)


def in_top_k(logits, labels, k):
    """Return where the label is among the k largest logits; ties to the lower class."""
    best = np.argsort(-logits, axis=-1, kind="stable")[..., :k]
    return (best == labels[..., None]).any(-1)


def as_one_array(value):
    """Stack the parts of a computed value along a new last axis."""
    computed = list(value.values())
    xp = jnp if any(isinstance(x, jax.Array) for x in computed) else np
    return xp.stack([xp.asarray(x) for x in computed], -1)


def _integers(rng, below, shape):
    return rng.integers(0, below, shape).astype(np.int32)
