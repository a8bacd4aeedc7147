"""Alignment of two sentences with the fewest edits.

The table of distances is filled along its anti-diagonals, whose cells do not depend on
each other: cell (r, p) is the distance of the first r tokens of the reference from the
first p of the prediction. Beside the distance each cell carries the number of hits on
its path, from which the substitutions, deletions and insertions follow.

Several paths may have the fewest edits but different hits: "a b" becomes "b a" with
two substitutions, or with a deletion, a hit and an insertion. The path is that of
RapidFuzz, and so of jiwer: a common beginning and then a common end are set aside;
traced back from the end, a deletion comes before an insertion, and an insertion before
a substitution.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.core import positions


class Edits(NamedTuple):
    """Numbers of a path with the fewest edits, int32 `[...]`.

    Args:
      hits: Tokens of the reference that are in the prediction.
      substitutions: Tokens of the reference in whose place there is another.
      deletions: Tokens of the reference that are missing.
      insertions: Tokens of the prediction that are in the reference's place of none.
    """

    hits: jax.Array
    substitutions: jax.Array
    deletions: jax.Array
    insertions: jax.Array


def align(
    preds: jax.Array,
    pred_length: jax.Array,
    references: jax.Array,
    reference_length: jax.Array,
) -> Edits:
    """Return the edits that make the prediction of the reference.

    Args:
      preds: int32 `[..., tokens]`.
      pred_length: int32 `[...]`, number of tokens that count.
      references: int32 `[..., tokens]`; another number of tokens is fine.
      reference_length: int32 `[...]`.
    """
    width = max(preds.shape[-1], references.shape[-1])
    preds, references = _widened(preds, width), _widened(references, width)
    shorter = jnp.minimum(pred_length, reference_length)
    start = _leading_matches(preds == references, shorter)
    end = _leading_matches(
        _at(preds, pred_length, -1) == _at(references, reference_length, -1),
        shorter - start,
    )
    aside = start + end
    hits, distance = _filled(
        _at(preds, start, 1),
        pred_length - aside,
        _at(references, start, 1),
        reference_length - aside,
    )
    hits = hits + aside
    # n = hits + substitutions + deletions, m = hits + substitutions + insertions,
    # and the distance is the sum of the three kinds of edits.
    substitutions = pred_length + reference_length - 2 * hits - distance
    return Edits(
        hits,
        substitutions,
        reference_length - hits - substitutions,
        pred_length - hits - substitutions,
    )


def _widened(ids: jax.Array, width: int) -> jax.Array:
    before = [(0, 0)] * (ids.ndim - 1)
    return jnp.pad(ids, [*before, (0, width - ids.shape[-1])])


def _leading_matches(match: jax.Array, limit: jax.Array) -> jax.Array:
    """Return the number of matches before the first other pair, at most the limit."""
    index = positions(match.shape[-1], match.ndim)
    end = jnp.where(match, jnp.int32(match.shape[-1]), index)
    return jnp.minimum(end.min(axis=-1, initial=match.shape[-1]), limit)


def _at(ids: jax.Array, offset: jax.Array, step: int) -> jax.Array:
    """Return the ids from an offset on (step 1), or before it, backwards (step -1)."""
    index = positions(ids.shape[-1], ids.ndim)
    index = offset[..., None] + (index if step == 1 else -1 - index)
    index = jnp.clip(index, 0, max(ids.shape[-1] - 1, 0))
    return jnp.take_along_axis(ids, index, axis=-1) if ids.shape[-1] else ids


def _filled(
    preds: jax.Array,
    pred_length: jax.Array,
    references: jax.Array,
    reference_length: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Return hits and distance of two sentences, from their table."""
    width = preds.shape[-1]
    # Along a diagonal the reference goes forwards, the prediction backwards.
    backwards = jnp.pad(
        jnp.flip(preds, -1), [*[(0, 0)] * (preds.ndim - 1), (width, width)]
    )
    row = positions(width + 1, preds.ndim)
    last = pred_length + reference_length
    ends = row == reference_length[..., None]
    zero = jnp.zeros_like(ends, jnp.int32)

    def above(cells: jax.Array) -> jax.Array:
        """Return the cells of one row less of the same diagonal."""
        return jnp.concatenate([zero[..., :1], cells[..., :-1]], axis=-1)

    def step(carry: tuple[jax.Array, ...], k: jax.Array) -> tuple[tuple, None]:
        older, newer, older_hits, newer_hits, hits, distance = carry
        token = lax.dynamic_slice_in_dim(backwards, 2 * width - k + 1, width, axis=-1)
        match = jnp.concatenate([zero[..., :1] > 0, references == token], axis=-1)
        diagonal, deletion, insertion = above(older), above(newer), newer
        match_cost = jnp.where(match, 0, 1)
        best = jnp.minimum(jnp.minimum(deletion, insertion) + 1, diagonal + match_cost)
        deletes = best == deletion + 1
        inserts = insertion < diagonal
        kept = jnp.where(
            deletes,
            above(newer_hits),
            jnp.where(inserts, newer_hits, above(older_hits) + (1 - match_cost)),
        )
        border = (row == 0) | (row == k)
        best = jnp.where(border, k, best)
        kept = jnp.where(border, 0, kept)
        done = ends & (last[..., None] == k)
        hits = hits + jnp.where(done, kept, 0).sum(axis=-1, dtype=jnp.int32)
        distance = distance + jnp.where(done, best, 0).sum(axis=-1, dtype=jnp.int32)
        return (newer, best, newer_hits, kept, hits, distance), None

    none = jnp.zeros_like(last)
    start = (zero, zero, zero, zero, none, none)
    diagonals = jnp.arange(1, 2 * width + 1, dtype=jnp.int32)
    (*_, hits, distance), _ = lax.scan(step, start, diagonals)
    return hits, distance
