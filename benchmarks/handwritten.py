"""Hand-written updates: the fastest forms that we know with the meaning of our metrics.

Each function takes a state and a batch, and returns the state. Ties between classes go
to the lower one; labels out of range and rows with NaN or inf are counted apart; counts
are 64-bit, sums have an error of about 2^-45. Float64 is used where that is fastest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Outputs = dict[str, Any]
Update = Callable[[Any, Outputs], Any]


def sum_of_bytes(state: Any, outputs: Outputs) -> Any:
    """Return the sum of all arrays: the floor of an update that reads them."""
    for x in outputs.values():
        is_float = jnp.issubdtype(x.dtype, jnp.floating)
        total = x.sum(dtype=jnp.float32 if is_float else None)
        state = state + total.astype(jnp.float32)
    return state


def counts(*shape: int) -> jax.Array:
    """Return zeros, each count a low and a high word."""
    return jnp.zeros((*shape, 2), jnp.uint32)


def pairs(*shape: int) -> jax.Array:
    """Return zeros, each sum a high and a low float32."""
    return jnp.zeros((*shape, 2), jnp.float32)


def accuracy(state: Any, outputs: Outputs) -> Any:
    """Count labels that are the first largest logit, valid ones, and others."""
    return _ranked(state, outputs, 1)


def top_5(state: Any, outputs: Outputs) -> Any:
    """Count labels among the five first largest logits."""
    return _ranked(state, outputs, 5)


def cross_entropy(state: Any, outputs: Outputs) -> Any:
    """Sum `-log softmax(logits)[label]`; small losses keep fewer digits than ours."""
    total, numbers = state
    nats, valid = _nats(outputs)
    total = _plus(total, jnp.where(valid, nats, 0))
    return total, _plus_counts(numbers, _many(valid, ~valid))


def f1(classes: int) -> tuple[Update, Any]:
    """Count hits, predictions and labels of each class."""

    def update(state: Any, outputs: Outputs) -> Any:
        cells, numbers = state
        top, valid = _top(outputs)
        labels = outputs["labels"]
        where = jnp.stack(
            [
                jnp.where(valid & (top == labels), labels, 3 * classes),
                jnp.where(valid, top + classes, 3 * classes),
                jnp.where(valid, labels + 2 * classes, 3 * classes),
            ]
        )
        found = _scattered(where, 3 * classes)
        return _plus_counts(cells, found), _plus_counts(numbers, _many(valid, ~valid))

    return update, (counts(3 * classes), counts(2))


def confusion(classes: int) -> tuple[Update, Any]:
    """Count pairs of label and prediction."""

    def update(state: Any, outputs: Outputs) -> Any:
        cells, invalid = state
        top, valid = _top(outputs)
        index = jnp.where(valid, outputs["labels"] * classes + top, classes**2)
        found = _scattered(index, classes**2)
        return _plus_counts(cells, found), _plus_counts(invalid, _many(~valid))

    return update, (counts(classes**2), counts(1))


def calibration(state: Any, outputs: Outputs) -> Any:
    """Count rows and hits, and sum confidences, in 15 bins of confidence."""
    sums, cells, invalid = state
    top, valid = _top(outputs)
    largest = _stored(outputs["logits"].max(-1, keepdims=True))
    logits = lax.optimization_barrier(outputs["logits"])
    weight = jnp.exp(logits.astype(jnp.float32) - largest.astype(jnp.float32))
    confidence = 1 / weight.sum(-1)
    index = jnp.clip((confidence * 15).astype(jnp.int32), 0, 14)
    hit = (top == outputs["labels"]).astype(jnp.int32)
    index = jnp.where(valid, index, 15)
    cells = _plus_counts(cells, _scattered(jnp.where(valid, 2 * index + hit, 30), 30))
    with jax.enable_x64(True):
        total = jnp.zeros(15, jnp.float64)
        total = total.at[index].add(confidence.astype(jnp.float64), mode="drop")
        sums = _added(sums, total)
    return sums, cells, _plus_counts(invalid, _many(~valid))


def mean(state: Any, outputs: Outputs) -> Any:
    """Sum values and count them."""
    total, number = state
    values = outputs["values"]
    return _plus(total, values), _plus_counts(number, jnp.uint32(values.size)[None])


def largest(state: Any, outputs: Outputs) -> Any:
    """Return the largest value; NaN if one is."""
    values = outputs["values"]
    largest = jnp.where(jnp.isnan(values).any(), jnp.nan, values.max())
    return jnp.maximum(state, largest)


def std(state: Any, outputs: Outputs) -> Any:
    """Return count, mean and squared deviations, merged as Chan, Golub and LeVeque."""
    number, mean, squares = state
    values = outputs["values"]
    with jax.enable_x64(True):
        wide = values.astype(jnp.float64)
        batch_mean = wide.sum() / values.size
        deviation = wide - batch_mean
        old_mean, old_squares = mean.astype(jnp.float64).sum(), _wide(squares)
        old = _count(number)
        share = values.size / (old + values.size)
        delta = batch_mean - old_mean
        mean = _narrow(old_mean + delta * share)
        spread = (deviation * deviation).sum() + delta * delta * old * share
        squares = _narrow(old_squares + spread)
    return _plus_counts(number, jnp.uint32(values.size)[None]), mean, squares


def mse(state: Any, outputs: Outputs) -> Any:
    """Sum squared differences and count them."""
    total, number = state
    error = outputs["preds"] - outputs["targets"]
    total = _plus(total, error * error)
    return total, _plus_counts(number, jnp.uint32(error.size)[None])


def histogram(state: Any, outputs: Outputs) -> Any:
    """Count values in 64 bins from -4 to 4, beyond them, and what is no number."""
    values = outputs["values"]
    index = jnp.clip(jnp.floor((values + 4) * 8), -1, 64)
    index = index - (values < index / 8 - 4)  # the sum may have been rounded up
    index = jnp.clip(index, -1, 64).astype(jnp.int32) + 1
    return _plus_counts(state, _scattered(jnp.where(jnp.isnan(values), 66, index), 67))


def _ranked(state: Any, outputs: Outputs, k: int) -> Any:
    logits, labels = outputs["logits"], outputs["labels"]
    number = lax.broadcasted_iota(jnp.int32, logits.shape, 1)
    inside = (labels >= 0) & (labels < logits.shape[-1])
    label = jnp.where(inside, labels, 0)[:, None]
    own = _picked(logits, label)
    before = (logits > own) | ((logits == own) & (number < label))
    good = jnp.isfinite(logits)
    rank, bad = lax.reduce(
        (before.astype(jnp.int32), (~good).astype(jnp.int32)),
        (jnp.int32(0), jnp.int32(0)),
        lambda a, b: (a[0] + b[0], a[1] | b[1]),
        (1,),
    )
    valid = inside & (bad == 0)
    return _plus_counts(state, _many(valid & (rank < k), valid, ~valid))


def _top(outputs: Outputs) -> tuple[Any, Any]:
    logits, labels = outputs["logits"], outputs["labels"]
    number = lax.broadcasted_iota(jnp.int32, logits.shape, 1)
    best = logits == _stored(logits.max(-1, keepdims=True))
    top, bad = lax.reduce(
        (jnp.where(best, number, 2**30), (~jnp.isfinite(logits)).astype(jnp.int32)),
        (jnp.int32(2**30), jnp.int32(0)),
        lambda a, b: (lax.min(a[0], b[0]), a[1] | b[1]),
        (1,),
    )
    return top, (bad == 0) & (labels >= 0) & (labels < logits.shape[-1])


def _nats(outputs: Outputs) -> tuple[Any, Any]:
    logits, labels = outputs["logits"], outputs["labels"]
    inside = (labels >= 0) & (labels < logits.shape[-1])
    largest = _stored(logits.max(-1, keepdims=True)).astype(jnp.float32)
    own = _picked(logits, jnp.where(inside, labels, 0)[:, None])
    logits = lax.optimization_barrier(logits)
    norm = _stored(jnp.exp(logits.astype(jnp.float32) - largest).sum(-1, keepdims=True))
    nats = jnp.log(norm) - (own.astype(jnp.float32) - largest)
    return nats[:, 0], inside & jnp.isfinite(nats[:, 0])


def _picked(logits: Any, label: Any) -> Any:
    """Return the logits of labels; of 16 bits as bits, which XLA does not convert."""
    if logits.dtype.itemsize != 2:
        return jnp.take_along_axis(logits, label, -1)
    words = lax.bitcast_convert_type(logits, jnp.uint16)
    words = jnp.take_along_axis(words, label, -1)
    return lax.bitcast_convert_type(words, logits.dtype)


def _stored(rows: Any) -> Any:
    """Return `[rows, 1]` through a gather, across which XLA does not fuse."""
    return jnp.take_along_axis(rows, jnp.zeros(rows.shape, jnp.int32), -1)


def _scattered(index: Any, cells: int) -> Any:
    return jnp.zeros(cells, jnp.uint32).at[index].add(jnp.uint32(1), mode="drop")


def _many(*conditions: Any) -> Any:
    return jnp.stack([x.sum(dtype=jnp.uint32) for x in conditions])


def _plus_counts(state: Any, found: Any) -> Any:
    low = state[..., 0] + found
    return jnp.stack([low, state[..., 1] + (low < state[..., 0])], -1)


def _count(number: Any) -> Any:
    return number[0, 0].astype(jnp.float64) + number[0, 1].astype(jnp.float64) * 2.0**32


def _plus(state: Any, values: Any) -> Any:
    with jax.enable_x64(True):
        return _added(state, values.astype(jnp.float64).sum())


def _added(state: Any, total: Any) -> Any:
    return _narrow(_wide(state) + total)


def _wide(state: Any) -> Any:
    return state[..., 0].astype(jnp.float64) + state[..., 1].astype(jnp.float64)


def _narrow(total: Any) -> Any:
    high = total.astype(jnp.float32)
    low = (total - high.astype(jnp.float64)).astype(jnp.float32)
    return jnp.stack([high, low], -1)
