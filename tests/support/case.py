"""A metric as a row, and example outputs that rows draw.

`outputs(rng, rows)` draws with a leading axis of rows. Scores are rounded, so that
ties and scores at the threshold occur.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.special

import jaxmetrics as jm

CLASSES, LABELS = 5, 4
NAN = float("nan")


@dataclasses.dataclass(frozen=True)
class Case:
    """One row.

    Args:
      name: names the row in failures; unique.
      metric: the empty metric.
      outputs: draws float32, int32 or bool arrays from (generator, rows).
      reference: the value, from the outputs by name (floats as float64).
      exact: all leaves are counts or extremes: the same bits under any split. Others
        agree within `tolerance`, relative and absolute.
      tolerance: of the value against the reference, and of float leaves.
      reason: why the tolerance is what it is.
      empty: the value of nothing.
      by_value: two states are one sample if they compute the same value.
      reads: arguments of `observe` that read an output of another name.
      without: laws that do not hold, each with the reason.
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
    """The outputs of `draw` with a weight for each row."""

    def outputs(rng, rows):
        weights = rng.uniform(0.1, 2, rows).astype(np.float32)
        return dict(draw(rng, rows), weights=weights)

    return outputs


def with_probs(draw):
    """The outputs of `draw` with probabilities in place of logits."""

    def outputs(rng, rows):
        given = draw(rng, rows)
        logits = given.pop("logits")
        several = logits.ndim > given["labels"].ndim
        probs = scipy.special.softmax(logits, -1) if several else _sigmoid(logits)
        return dict(given, probs=probs.astype(np.float32))

    return outputs


def _integers(rng, below, shape):
    return rng.integers(0, below, shape).astype(np.int32)


def _sigmoid(logits):
    return scipy.special.expit(logits)
