"""Contribution of scores that each belong to one of a leaf's pairs of histograms.

`grid_counts` with `keep=1` compares every score with every member of the leaf. Here a
score names its member, such as a class, and the work does not grow with their number.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core._arithmetic import order_key
from jaxmetrics.core._arrays import positions
from jaxmetrics.core._cell_count import by_platform, one_hot_rows, product_over_rows
from jaxmetrics.core._counting import both, count_at
from jaxmetrics.core._grid_kind import (
    APART,
    HEADER,
    Decomposed,
    Grid,
    GridCounts,
    Header,
    decompose,
    header_of,
    without_subnormals,
)
from jaxmetrics.core._kinds import Count

_LOW_CELLS = 64  # values of the lower digit of a cell


def grid_counts_by_member(
    scores: Any,
    member: Any,
    hits: Any,
    *,
    members: int,
    bins: int,
    mask: Any = None,
    onto: Any = None,
) -> GridCounts:
    """Return the contribution of a batch to a leaf of grids `[members]`.

    Args:
      scores: Float `[...]`; NaN is not counted, infinities are.
      member: Integers of the same shape, the member that a score belongs to. Scores of
        members out of range are not counted.
      hits: Bool `[..., columns]`: in which columns a score is counted, none or several.
      members: Number of members.
      bins: Number of cells of a grid, as the leaf declares it.
      mask: Bool, leading axes of the scores.
      onto: State of the leaf into which the result will be merged, and no other, see
        `grid_counts`.
    """
    hits = jnp.asarray(hits)
    columns = hits.shape[-1]
    kind = Grid(bins, columns)
    scores = without_subnormals(jnp.asarray(scores).astype(jnp.float32))
    member = jnp.asarray(member).astype(jnp.int32)
    valid = both(~jnp.isnan(scores) & (member >= 0) & (member < members), mask)
    own = (member[..., None] == positions(members, member.ndim + 1)) & valid[..., None]
    decomposed = decompose(order_key(scores))
    finite = own & (jnp.isfinite(scores) & hits.any(-1))[..., None]
    of_members = (jnp.broadcast_to(x[..., None], own.shape) for x in decomposed)
    header = header_of(Decomposed(*of_members), finite, scores.ndim)
    if onto is not None:
        total = kind.header(jnp.moveaxis(jnp.asarray(onto), -3, 0))
        header = Header(*map(jnp.maximum, header, total))
    own_header = Header(*(jnp.where(own, x, 0).max(-1) for x in header))
    # One column of a leaf with one column: its grids and counts apart lie in a row.
    width = 2 * bins + APART
    column = jnp.zeros_like(member)
    pair = Grid(bins, 1).index(scores, column, decomposed, own_header)
    cell = [jnp.where(valid & (x >= 0), member * width + x, -1) for x in pair]
    cell = jnp.stack(cell, axis=-1)
    counts = _counts(cell, hits, members * width).reshape(members, width, columns)
    counts = jnp.moveaxis(counts, -1, -2)
    grids, apart = counts[..., : 2 * bins], counts[..., 2 * bins :]
    counts = [x.reshape(members, -1) for x in (grids, apart)]
    encoded = Count().encode(jnp.concatenate(counts, axis=-1))
    assert encoded[0].shape[-1] == kind.cells - HEADER
    return GridCounts(*kind.packed(encoded, header))


def _counts(cell: jax.Array, hits: jax.Array, cells: int) -> jax.Array:
    """Return how often each cell is hit in each column, uint32 `[cells, columns]`.

    Args:
      cell: int32 `[..., 2]`, cells of each score; a negative one is not counted.
      hits: Bool `[..., columns]`.
      cells: Number of cells.
    """
    columns = hits.shape[-1]
    hits = jnp.broadcast_to(hits[..., None, :], (*cell.shape, columns))

    def by_scatter(cell: Any, hits: Any) -> Any:
        named = (cell[..., None] >= 0) & hits
        column = positions(columns, named.ndim)
        flat = jnp.where(named, cell[..., None] * columns + column, -1)
        return count_at(flat, (cells * columns,)).reshape(cells, columns)

    def by_product(cell: Any, hits: Any) -> Any:
        rows = cell.reshape(-1)
        hits = hits.reshape(rows.shape[0], 1, columns).astype(jnp.bfloat16)
        upper = one_hot_rows(rows // _LOW_CELLS, -(-cells // _LOW_CELLS))
        lower = one_hot_rows(rows % _LOW_CELLS, _LOW_CELLS)
        lower = (lower[:, :, None] * hits).reshape(rows.shape[0], _LOW_CELLS * columns)
        return product_over_rows(upper, lower).reshape(-1, columns)[:cells]

    return by_platform(by_scatter, by_product, cell, hits)
