"""Matches of n-grams, clipped: one of the prediction uses up one of the reference.

The i-th and the j-th n-gram are equal if their first tokens are and the (n-1)-grams
behind those; so the pairs of equal n-grams follow from the pairs of equal tokens,
without a table of n-grams. An n-gram of the prediction is a match if fewer equal ones
come before it than the reference has. The pairs take tokens x tokens booleans for each
sentence and reference.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import positions


def clipped_matches(
    preds: jax.Array,
    pred_length: jax.Array,
    references: jax.Array,
    reference_length: jax.Array,
    n: int,
) -> jax.Array:
    """Return the clipped matches of 1-grams to n-grams, int32 `[..., n]`.

    Args:
      preds: int32 `[..., tokens]`.
      pred_length: int32 `[...]`, number of tokens that count.
      references: int32 `[..., references, tokens]`; an n-gram matches as often as the
        reference has it that has it most often.
      reference_length: int32 `[..., references]`.
      n: Largest order.
    """
    inside = _inside(preds, pred_length)
    in_reference = _inside(references, reference_length)
    own = (preds[..., :, None] == preds[..., None, :]) & inside[..., None, :]
    before = np.tri(preds.shape[-1], k=-1, dtype=bool)
    before = before.reshape((1,) * (own.ndim - 2) + before.shape)
    other = preds[..., None, :, None] == references[..., None, :]
    other = other & in_reference[..., None, :]
    counts = []
    for order, (own_n, other_n) in enumerate(zip(_longer(own, n), _longer(other, n))):
        earlier = (own_n & before).sum(axis=-1, dtype=jnp.int32)
        available = other_n.sum(axis=-1, dtype=jnp.int32).max(axis=-2)
        starts = _inside(preds, pred_length - order)
        match = starts & (earlier < available)
        counts.append(match.sum(axis=-1, dtype=jnp.int32))
    return jnp.stack(counts, axis=-1)


def ngram_counts(length: jax.Array, n: int) -> jax.Array:
    """Return the number of 1-grams to n-grams of sentences, int32 `[..., n]`."""
    return jnp.maximum(length[..., None] - positions(n, length.ndim + 1), 0)


def longest_common_subsequence(
    preds: jax.Array,
    pred_length: jax.Array,
    references: jax.Array,
    reference_length: jax.Array,
) -> jax.Array:
    """Return the length of the longest common subsequence, int32 `[...]`."""
    references = jnp.where(_inside(references, reference_length), references, -1)
    inside = _inside(preds, pred_length)
    row = jnp.zeros_like(references) + 0 * pred_length[..., None]

    def step(row: jax.Array, token: tuple[jax.Array, jax.Array]) -> tuple:
        ids, counts = token
        match = (references == ids[..., None]) & counts[..., None]
        match = match & _inside(references, reference_length)
        one_less = jnp.concatenate([0 * row[..., :1], row[..., :-1]], axis=-1)
        row = jnp.maximum(row, one_less + match.astype(jnp.int32))
        return jax.lax.cummax(row, axis=row.ndim - 1), None

    by_token = jnp.moveaxis(preds, -1, 0), jnp.moveaxis(inside, -1, 0)
    row, _ = jax.lax.scan(step, row, by_token)
    return row.max(axis=-1, initial=0)


def clipped_union_matches(
    preds: jax.Array,
    pred_length: jax.Array,
    references: jax.Array,
    reference_length: jax.Array,
    separator: int,
) -> jax.Array:
    """Return the clipped size of the unions of common subsequences, int32 `[...]`.

    A token of a reference's sentence is in the union if it is in the longest common
    subsequence with any sentence of the prediction (Lin 2004, 3.2); then a token of the
    prediction matches one of them. Of several longest subsequences it is that of
    rouge_score: from the ends of two sentences backwards equal tokens are taken, and
    else the last token of the reference is left out, unless the subsequence becomes
    shorter than without the last token of the prediction.

    All pairs of sentences share one table of tokens x tokens, in which the row or the
    column of a separator is 0: the border of the tables on both of its sides.

    Args:
      preds: int32 `[..., tokens]`.
      pred_length: int32 `[...]`, number of tokens that count.
      references: int32 `[..., tokens]`; another number of tokens is fine.
      reference_length: int32 `[...]`.
      separator: Id between sentences.
    """
    in_pred = _inside(preds, pred_length) & (preds != separator)
    in_reference = _inside(references, reference_length) & (references != separator)
    ends_pred = in_pred & ~_next(in_pred)
    ends_reference = in_reference & ~_next(in_reference)
    column = jnp.asarray(positions(preds.shape[-1], preds.ndim) + 0 * preds)
    # Sums with the number of the sentence let a running maximum start anew in each.
    offset = jnp.cumsum(~in_pred, axis=-1, dtype=jnp.int32) * (preds.shape[-1] + 1)

    def fill(above: jax.Array, token: tuple[jax.Array, jax.Array]) -> tuple:
        ids, counts = token
        counted = in_pred & counts[..., None]
        match = (preds == ids[..., None]) & counted
        row = jnp.maximum(above, _previous(above) + match.astype(jnp.int32))
        row = jnp.where(counted, row, 0) + offset
        row = jnp.where(counted, jax.lax.cummax(row, axis=row.ndim - 1) - offset, 0)
        return row, (match, match | (_previous(row) <= above) | ~counted)

    def trace(entered: jax.Array, flags: tuple[jax.Array, ...]) -> tuple:
        match, stops, ends, counts = flags
        entered = (entered & counts[..., None]) | (ends_pred & ends[..., None])
        # A path goes left from where it enters to the first cell that stops it.
        nearest = _nearest(entered, column)
        leaves = stops & in_pred & (nearest < _next(_nearest(stops, column), 2**30))
        taken = leaves & match
        up, diagonal = leaves & ~match, _next(taken)
        return (up | diagonal) & in_pred, taken.any(axis=-1)

    by_token = jnp.moveaxis(references, -1, 0), jnp.moveaxis(in_reference, -1, 0)
    _, (match, stops) = jax.lax.scan(fill, 0 * column, by_token)
    flags = match, stops, jnp.moveaxis(ends_reference, -1, 0), by_token[1]
    start = jnp.zeros_like(in_pred) & in_pred
    _, union = jax.lax.scan(trace, start, flags, reverse=True)
    union = jnp.moveaxis(union, 0, -1)
    equal = references[..., :, None] == references[..., None, :]
    before = np.tri(references.shape[-1], k=-1, dtype=bool)
    before = before.reshape((1,) * (equal.ndim - 2) + before.shape)
    earlier = (equal & before & union[..., None, :]).sum(axis=-1, dtype=jnp.int32)
    same = (references[..., :, None] == preds[..., None, :]) & in_pred[..., None, :]
    available = same.sum(axis=-1, dtype=jnp.int32)
    return (union & (earlier < available)).sum(axis=-1, dtype=jnp.int32)


def token_counts(ids: jax.Array, length: jax.Array, separator: int) -> jax.Array:
    """Return the number of tokens that are no separators, int32 `[...]`."""
    counted = _inside(ids, length) & (ids != separator)
    return counted.sum(axis=-1, dtype=jnp.int32)


def _previous(cells: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.zeros_like(cells[..., :1]), cells[..., :-1]], axis=-1)


def _next(cells: jax.Array, last: int = 0) -> jax.Array:
    return jnp.concatenate(
        [cells[..., 1:], jnp.full_like(cells[..., :1], last)], axis=-1
    )


def _nearest(flags: jax.Array, column: jax.Array) -> jax.Array:
    """Return the column of the nearest flag at or after each column."""
    found = jnp.where(flags, column, jnp.int32(2**30))
    return jax.lax.cummin(found, axis=found.ndim - 1, reverse=True)


def _inside(ids: jax.Array, length: jax.Array) -> jax.Array:
    return length[..., None] > positions(ids.shape[-1], ids.ndim)


def _longer(equal: jax.Array, n: int) -> Iterator[jax.Array]:
    """Yield the pairs of equal 1-grams to n-grams, by their first tokens."""
    tokens, grams = equal, equal
    for order in range(n):
        yield grams
        ahead = tokens[..., order + 1 :, order + 1 :]
        missing = [
            (0, size - left) for size, left in zip(equal.shape[-2:], ahead.shape[-2:])
        ]
        before = [(0, 0)] * (equal.ndim - 2)
        grams = grams & jnp.pad(ahead, [*before, *missing])
