"""Alignment of two sentences with the fewest edits.

The table of distances is filled along its anti-diagonals, whose cells do not depend on
each other: cell (r, p) is the distance of the first r tokens of the reference from the
first p of the prediction. Beside the distance each cell carries the number of hits on
its path, from which the substitutions, deletions and insertions follow. Both are in one
word, in which the least of three numbers is the path: what a step of the table costs is
a few operations on words.

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
import numpy as np
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
    width = max(preds.shape[-1], references.shape[-1], 1)
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
    index = jnp.clip(index, 0, ids.shape[-1] - 1)
    return jnp.take_along_axis(ids, index, axis=-1)


def _filled(
    preds: jax.Array,
    pred_length: jax.Array,
    references: jax.Array,
    reference_length: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Return hits and distance of two sentences, from their table.

    The axis of the cells of a diagonal is the first one. References end in its last
    row, so that the value of each pair of sentences is there, on diagonal n + m. Cells
    above a reference or before a prediction cost more than any path.
    """
    width = preds.shape[-1]
    packed = width < 1 << _BITS
    offset = width - reference_length
    row = jnp.arange(width + 1, dtype=jnp.int32)
    row = row.reshape(-1, *[1] * reference_length.ndim)
    token_of_row = _tokens_from(references, -1 - offset, width + 1)
    # Along a diagonal the reference goes forwards, the prediction backwards.
    backwards = jnp.flip(_tokens_from(preds, offset - width, 3 * width), 0)
    last = pred_length + reference_length
    delete, substitute = _move(1, 0, packed), _move(1, 1, packed)
    insert, keep = _move(1, 2, packed), _move(0, 3, packed, hits=1)
    far = jnp.full_like(token_of_row, 1 << 31, jnp.uint32)
    rest = () if packed else (jnp.zeros_like(far),)

    def below(cells: jax.Array) -> jax.Array:
        """Move cells to the next row, which has one word more of the reference."""
        return jnp.concatenate([far[:1], cells[:-1]])

    def step(carry: tuple[_Cells, ...], k: jax.Array) -> tuple[tuple, None]:
        diagonal, newer, value = carry
        token = lax.dynamic_slice_in_dim(backwards, 2 * width - k, width + 1)
        match, above = token_of_row == token, tuple(below(x) for x in newer)
        pair = tuple(
            x + jnp.where(match, a, b) for x, a, b in zip(diagonal, keep, substitute)
        )
        best = _least(_least(_added(above, delete), _added(newer, insert)), pair)
        best = (best[0] & ~_move(0, 3, packed)[0], *best[1:])
        value = tuple(jnp.where(last == k, x[-1], y) for x, y in zip(best, value))
        return (above, best, value), None

    start = (jnp.where(row == offset[None], jnp.uint32(0), far), *rest)
    value: _Cells = tuple(x[-1] * jnp.uint32(0) for x in start)
    diagonals = jnp.arange(1, 2 * width + 1, dtype=jnp.int32)
    carry = ((far, *rest), start, value)
    (*_, value), _ = lax.scan(step, carry, diagonals, unroll=2)
    if packed:
        key, hits = value[0] >> _BITS, value[0] & _HITS
    else:
        key, hits = value
    return hits.astype(jnp.int32), (key >> 2).astype(jnp.int32)


_Cells = tuple[jax.Array, ...]
_BITS = 14  # of the hits in a packed cell
_HITS = np.uint32((1 << _BITS) - 1)


def _move(cost: int, order: int, packed: bool, hits: int = 0) -> tuple[np.uint32, ...]:
    """Return what a step adds to a cell.

    A cell holds a key, the distance times 4, and the hits. The path to a cell is that
    of the least key, to which the order of the step is added for the comparison. Cells
    of up to 2^14 tokens are packed, as the key times 2^14 plus the hits, so that one
    comparison chooses both.
    """
    key = 4 * cost + order
    if packed:
        return (np.uint32((key << _BITS) + hits),)
    return np.uint32(key), np.uint32(hits)


def _added(cells: _Cells, move: tuple[np.uint32, ...]) -> _Cells:
    return tuple(x + y for x, y in zip(cells, move))


def _least(a: _Cells, b: _Cells) -> _Cells:
    """Return the cells of the lesser key, the first ones of equal keys."""
    if len(a) == 1:
        return (jnp.minimum(a[0], b[0]),)
    first = a[0] <= b[0]
    return tuple(jnp.where(first, x, y) for x, y in zip(a, b))


def _tokens_from(ids: jax.Array, start: jax.Array, size: int) -> jax.Array:
    """Return ids from an index on, `[size, ...]`; outside of them some id."""
    index = jnp.arange(size, dtype=jnp.int32).reshape(-1, *[1] * start.ndim)
    index = index + start[None]
    index = jnp.clip(index, 0, ids.shape[-1] - 1)
    return jnp.take_along_axis(jnp.moveaxis(ids, -1, 0), index, axis=0)
