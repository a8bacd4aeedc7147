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
