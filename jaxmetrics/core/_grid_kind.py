"""Leaf kind of two histograms of scores that widen themselves.

Both histograms have `bins` cells (a power of two, B below) whose edges are dyadic:

- the value grid: cell `floor(x / 2**e)`, fine where scores are spread evenly;
- the key grid: cell `order_key(x) >> s`, eight or more cells for each power of two,
  fine for scores over many magnitudes.

e and s are the least with which all scores between the smallest and the largest one
seen fit into B consecutive cells. They follow from these extremes, and cells of a finer
grid join exactly into cells of a coarser one, `floor(floor(x / 2**e) / 2)` is
`floor(x / 2**(e + 1))`. So the state depends on the multiset of scores only, not on the
order of batches, merges or devices. With B = 4, after the scores 1, 2, 4.5 (e = 0, at
2**-1 they need 8 cells) and then 9 (e = 2, at 2**1 they need 5 cells):

    cell of width 1   0 1 2 3 4          cell of width 4   0 1 2
    count             . 1 1 . 1    ->    count             2 1 1

A cell lies at its index modulo B, so that states with the same e add up without a
shift, wherever their first score is.

Scores equal to the smallest or the largest one, and infinite ones, are counted apart:
such a count surely holds one value. So does a cell of the key grid at s = 0, and one of
the value grid if all scores are multiples of its width, as integers may be.

Magnitudes below 2**-126 (subnormal) count as zero, as devices that flush them do.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arithmetic import (
    bits,
    digits_to_limbs,
    exponent_above,
    floats,
    from_order_key,
    limbs_add,
    limbs_to_digits,
    order_key,
    pair_add,
)
from jaxmetrics.core._arrays import positions
from jaxmetrics.core._cell_count import by_platform, cells_by_product
from jaxmetrics.core._counting import both, count_at
from jaxmetrics.core._kinds import (
    Axes,
    Count,
    Rounds,
    State,
    Sum,
    from_digits,
    hidden_from_folding,
    to_digits,
)
from jaxmetrics.core._mesh import vary, varying

APART = 4  # counts of -inf, of inf, of the smallest and of the largest score
HEADER = 2  # cells at the end that hold the extremes and the finest bit
_FINEST = 1024  # exceeds every exponent; the header holds the difference to it
_SIGN = np.uint32(1 << 31)
_LOWEST = 151  # level 0 of the value grid has cells of the width 2**-151


class GridCounts(NamedTuple):
    """Contribution of a batch to a leaf of grids, made by `grid_counts`: two limbs."""

    low: jax.Array
    high: jax.Array


class GridValue(NamedTuple):
    """Value of a leaf of grids in `compute`.

    Attributes:
      counts: `[..., columns, 2, bins + 4]`, on the last axis by ascending score; the
        value grid first, then the key grid.
      is_one_value: Bool `[..., 2, bins + 4]`: all scores counted there are equal.
      smallest: Smallest finite score `[...]`; inf if there is none.
      largest: Largest finite score; -inf if there is none.
      first: Index of the value grid's cell of the smallest score, int32 `[...]`.
      keys: Order keys of the smallest and the largest score, uint32 `[..., 2]`.
      level: Exponent of the width of the value grid's cells, and s: int32 `[..., 2]`.
    """

    counts: Any
    is_one_value: Any
    smallest: Any
    largest: Any
    first: Any
    keys: Any
    level: Any

    def thresholds(self) -> Any:
        """Return the threshold of each cell `[..., 2, bins + 4]`, ascending.

        The scores at or above it are those of the cell and of all later ones. It lies
        between the smallest and the largest score, or is infinite.
        """
        xp = _namespace(self.first)
        cells = self.counts.shape[-1] - APART
        number = positions(cells, self.first.ndim)
        by_value = self.first[..., None] + number
        by_value = _scaled(xp, by_value, self.level[..., 0, None])
        shift = self.level[..., 1, None].astype(np.uint32)
        least, greatest = (self.keys[..., i, None] >> shift for i in (0, 1))
        by_key = xp.minimum(least + number.astype(np.uint32), greatest)
        smallest, largest = (
            xp.asarray(x)[..., None, None] for x in (self.smallest, self.largest)
        )
        is_used = least + number.astype(np.uint32) <= greatest
        by_key = xp.where(is_used, _float_of(xp, by_key << shift), largest[..., 0])
        edges = xp.stack([by_value, by_key], axis=-2)
        # The smallest score is counted apart, and so is not in its cell.
        after = xp.nextafter(smallest.astype(np.float32), np.float32(np.inf))
        edges = xp.minimum(xp.where(edges > smallest, edges, after), largest)
        ends = [xp.broadcast_to(x, (*edges.shape[:-1], 1)) for x in (smallest, largest)]
        infinite = xp.full_like(ends[0], np.inf)
        return xp.concatenate([-infinite, ends[0], edges, ends[1], infinite], axis=-1)


def grid_counts(
    scores: Any,
    column: Any,
    *,
    bins: int,
    columns: int,
    mask: Any = None,
    weights: Any = None,
    keep: int = 0,
    onto: Any = None,
) -> GridCounts:
    """Return the contribution of a batch of scores to a leaf of grids.

    Args:
      scores: Float `[..., *kept]`; NaN is not counted, infinities are.
      column: Integers of the same shape, from 0 to columns - 1: the label.
      bins: Number of cells of a grid, as the leaf declares it.
      columns: Number of labels.
      mask: Bool, leading axes of the scores.
      weights: Float, leading axes of the scores; 0 removes a score.
      keep: Number of trailing axes of the scores that are axes of the leaf.
      onto: State of the leaf into which the result will be merged, and no other: the
        batch is counted on its grids, which saves making its own grids wider.
    """
    kind = Grid(bins, columns, weights is not None)
    scores = without_subnormals(jnp.asarray(scores).astype(jnp.float32))
    column = jnp.broadcast_to(jnp.asarray(column).astype(jnp.int32), scores.shape)
    valid = both(~jnp.isnan(scores), mask)
    if weights is not None:
        weights = jnp.asarray(weights).astype(jnp.float32)
        weights = weights.reshape(weights.shape + (1,) * (scores.ndim - weights.ndim))
        weights = jnp.broadcast_to(weights, scores.shape)
        valid = valid & (weights != 0)
    leading = scores.ndim - keep
    decomposed = decompose(order_key(scores))
    header = header_of(decomposed, valid & jnp.isfinite(scores), leading)
    if onto is not None:
        total = kind.header(jnp.moveaxis(jnp.asarray(onto), -2 - keep, 0))
        header = Header(*map(jnp.maximum, header, total))
    pair = kind.index(scores, column, decomposed, _leading(header, leading))
    # The rows stay the leading axis, so that a sharded batch stays where it is.
    index = jnp.stack([jnp.where(valid, x, -1) for x in pair], axis=leading)
    if weights is not None:
        weights = jnp.broadcast_to(jnp.expand_dims(weights, leading), index.shape)
    counts = _count(index, kind.cells - HEADER, weights, keep)
    if weights is None:
        counts = Count().encode(counts)
    else:
        counts = tuple(map(bits, counts))
    return GridCounts(*kind.packed(counts, header))


@dataclasses.dataclass(frozen=True)
class Grid:
    """Two grids of `bins` cells for each of several columns, and their extremes.

    The last axis of the leaf holds the value grid and the key grid of each column, then
    the counts apart of each column, then the header.

    Args:
      bins: Number of cells of a grid, a power of two, at least 4.
      columns: Number of labels that are counted separately.
      weighted: Counts are sums of weights, kept as pairs.
    """

    bins: int
    columns: int
    weighted: bool = False

    parts, dtype, fill = 2, np.uint32, 0

    @property
    def cells(self) -> int:
        """Length of the last axis."""
        return self.columns * (2 * self.bins + APART) + HEADER

    def encode(self, value: Any) -> State:
        """Return the state of a contribution made by `grid_counts`."""
        if not isinstance(value, GridCounts):
            raise TypeError(
                f"takes what `grid_counts` returns, got {type(value).__name__}. "
                "Update the metric with scores: grids have no plain values."
            )
        return tuple(value)

    def merge(self, a: State, b: State) -> State:
        """Return the state of both samples, on the grids of their common extremes."""
        if self.weighted:
            a, b = hidden_from_folding(a, b)
        states = vary((a, b), varying((a, b)))
        headers = tuple(map(self.header, states))
        common = Header(*map(jnp.maximum, *headers))

        def on_equal_grids(states: Any) -> Any:
            return self.packed(self._add(*map(self._counts, states)), common)

        def on_different_grids(states: Any) -> Any:
            wide = Header(*(jnp.stack([x, x]) for x in common))
            low, high = self._moved(jnp.stack(states, axis=1), wide)
            counts = self._add((low[0], high[0]), (low[1], high[1]))
            return self.packed(counts, common)

        new = [_differs(header, common) for header in headers]
        new = jnp.stack(new).any()  # seldom, once some batches were counted
        return lax.cond(new, on_different_grids, on_equal_grids, states)

    def decode(self, state: State, host: bool) -> GridValue:
        """Return a GridValue of float64 or int64 on the host, float32 under jit."""
        xp = np if host else jnp
        header, limbs = self.header(state), self._counts(state)
        if self.weighted and host:
            limbs = tuple(np.asarray(x, order="C").view(np.float32) for x in limbs)
        elif self.weighted:
            limbs = tuple(map(floats, limbs))
        counts = (Sum() if self.weighted else Count()).decode(limbs, host)
        grids, apart = self._split(counts)
        with np.errstate(over="ignore"):  # the extremes of no score
            ends = header.ends()
            levels = _levels(*ends, self.bins)
            first = self._origins(ends[0], levels)
        place: Any = first[..., None, :, None] + positions(self.bins, grids.ndim)
        place = xp.broadcast_to(place & np.int32(self.bins - 1), grids.shape)
        grids = xp.take_along_axis(grids, place, axis=-1)
        apart = xp.broadcast_to(apart[..., None, :], (*grids.shape[:-1], APART))
        below, above, least, greatest = (apart[..., i : i + 1] for i in range(APART))
        counts = xp.concatenate([below, least, grids, greatest, above], axis=-1)
        finest = np.int32(_FINEST) - header.finest.astype(np.int32)
        sure = xp.stack([levels.value <= finest, levels.key == 0], axis=-1)[..., None]
        number = positions(self.bins + APART, sure.ndim)
        is_one_value = sure | (number < 2) | (number >= self.bins + 2)
        is_empty = header.greatest == 0
        smallest, largest = (
            xp.where(is_empty, np.float32(empty), _float_of(xp, key))[()]
            for key, empty in ((header.least, np.inf), (header.greatest, -np.inf))
        )
        keys = xp.stack([header.least, header.greatest], axis=-1)
        level = xp.stack([levels.value - np.int32(_LOWEST), levels.key], axis=-1)
        return GridValue(
            counts, is_one_value, smallest, largest, first[..., 0], keys, level
        )

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Agree on the extremes in round one, sum counts on their grids in round two.

        Sums of weights are written as digits below the largest total weight of a
        device, see `Sum.reduce`: a cell of wider grids may hold all of it.
        """
        state = jnp.reshape(state, (2, -1, self.cells))
        header, counts = self.header(state), self._counts(state)
        asked = [("max", jnp.stack(header))]
        if self.weighted:
            hi = floats(counts[0])
            magnitude = jnp.where(jnp.isfinite(hi), jnp.abs(hi), jnp.float32(0))
            asked.append(("max", order_key(magnitude.sum(axis=-1, keepdims=True))))
        keys, *largest = yield asked
        common = Header(*keys)
        counts = self._moved(*vary((state, common), varying((state, common))))
        if not self.weighted:
            (digits,) = yield [("sum", limbs_to_digits(counts))]
            counts = digits_to_limbs(digits)
        else:
            zero = jnp.float32(0)
            e = exponent_above(2 * from_order_key(largest[0]))  # 2: it was rounded
            hi, lo = map(floats, counts)
            finite = jnp.isfinite(hi)
            digits = to_digits(jnp.where(finite, hi, zero), e)
            digits = digits + to_digits(jnp.where(finite, lo, zero), e)
            words = lax.bitcast_convert_type(digits, jnp.uint32)
            special = jnp.where(finite, zero, hi)
            words, special = yield [("sum", words), ("sum", special)]
            hi, lo = from_digits(lax.bitcast_convert_type(words, jnp.int32), e)
            hi = hi + special
            counts = (bits(hi), bits(jnp.where(jnp.isfinite(hi), lo, zero)))
        return tuple(x.ravel() for x in self.packed(counts, common))

    def index(
        self, scores: Any, column: Any, decomposed: Decomposed, header: Header
    ) -> tuple[Any, Any]:
        """Return the cells of each score in the value grid and in the key grid, int32.

        A score that is counted apart has one cell, and then -1.
        """
        place = self._origins(decomposed, _levels(*header.ends(), self.bins))
        place = place & np.int32(self.bins - 1)
        key = decomposed.key
        apart = jnp.where(key == header.greatest, 3, -1)
        apart = jnp.where(key == header.least, 2, apart)
        apart = jnp.where(jnp.isinf(scores), (scores > 0).astype(jnp.int32), apart)
        is_apart = apart >= 0
        apart = 2 * self.bins * self.columns + APART * column + apart
        first = 2 * self.bins * column
        by_value = jnp.where(is_apart, apart, first + place[..., 0])
        by_key = jnp.where(is_apart, -1, first + self.bins + place[..., 1])
        return by_value, by_key

    def packed(self, counts: Any, header: Header) -> State:
        """Return the limbs `[..., cells]` of counts and their header."""
        zero = jnp.zeros_like(header.finest)
        low_end = jnp.stack([header.complement, header.finest], axis=-1)
        high_end = jnp.stack([header.greatest, zero], axis=-1)
        return (
            jnp.concatenate([counts[0], low_end], axis=-1),
            jnp.concatenate([counts[1], high_end], axis=-1),
        )

    def header(self, state: Any) -> Header:
        """Return the header of a state `[2, ..., cells]`."""
        low, high = state[0], state[1]
        return Header(low[..., -2], high[..., -2], low[..., -1])

    def _counts(self, state: Any) -> Any:
        """Return both limbs of the counts, without the header."""
        return tuple(state[i][..., : self.cells - HEADER] for i in (0, 1))

    def _split(self, counts: Any) -> tuple[Any, Any]:
        """Return the grids `[..., columns, 2, bins]`, and the counts apart."""
        lead, end = counts.shape[:-1], 2 * self.bins * self.columns
        grids = counts[..., :end].reshape(*lead, self.columns, 2, self.bins)
        return grids, counts[..., end:].reshape(*lead, self.columns, APART)

    def _add(self, a: Any, b: Any) -> Any:
        if not self.weighted:
            return limbs_add(a, b)
        hi, lo = pair_add((floats(a[0]), floats(a[1])), (floats(b[0]), floats(b[1])))
        return bits(hi), bits(lo)

    def _origins(self, score: Decomposed, levels: _Levels) -> Any:
        """Return the index of the cell of a score in both grids: int32 `[..., 2]`.

        That of the key grid lacks its upper bit, which no caller needs.
        """
        key, mantissa, exponent = score
        xp = _namespace(key)
        shift = xp.clip(levels.value - exponent, np.int32(0), np.int32(31))
        by_key = key >> levels.key.astype(np.uint32) & np.uint32(0x7FFFFFFF)
        return xp.stack([(2 * mantissa) >> shift, by_key.astype(np.int32)], axis=-1)

    def _moved(self, state: Any, common: Header) -> Any:
        """Return the counts of a state on the grids of wider extremes."""
        own, after = self.header(state), _levels(*common.ends(), self.bins)
        ends = own.ends()
        is_empty = own.greatest == 0
        before = zip(_levels(*ends, self.bins), after)
        before = _Levels(*(jnp.where(is_empty, y, x) for x, y in before))
        low, high = map(self._split, self._counts(state))
        grids, apart = (low[0], high[0]), (low[1], high[1])
        # Where in the wider grids the cells of both extremes are.
        last, number = np.int32(self.bins - 1), positions(self.bins, low[0].ndim)
        places = [
            (self._origins(end, after) & last)[..., None, :, None] == number
            for end in ends
        ]
        grids = self._widened(grids, ends[0], places, before, after)
        grids, apart = self._with_extremes(grids, apart, own, common, places)
        lead = own.finest.shape
        return tuple(
            jnp.concatenate([x.reshape(*lead, -1), y.reshape(*lead, -1)], axis=-1)
            for x, y in zip(grids, apart)
        )

    def _with_extremes(
        self, grids: Any, apart: Any, own: Header, common: Header, places: Any
    ) -> tuple[Any, Any]:
        """Return counts where scores that are no extremes any more are in the grids."""
        ends = []  # what is counted for the least and for the greatest score
        keys = (own.least, own.greatest)
        for column, key, place in zip((2, 3), keys, places):
            is_least, is_greatest = key == common.least, key == common.greatest
            count = tuple(x[..., column] for x in apart)
            for stays in (is_least, is_greatest & ~is_least):
                ends.append(tuple(jnp.where(stays[..., None], x, 0) for x in count))
            here = place & ~(is_least | is_greatest)[..., None, None, None]
            inside = tuple(jnp.where(here, x[..., None, None], 0) for x in count)
            grids = self._add(grids, inside)
        least, greatest = self._add(ends[0], ends[2]), self._add(ends[1], ends[3])
        apart = tuple(
            jnp.concatenate([x[..., :2], a[..., None], b[..., None]], axis=-1)
            for x, a, b in zip(apart, least, greatest)
        )
        return grids, apart

    def _widened(
        self, grids: Any, least: Decomposed, places: Any, before: Any, after: Any
    ) -> Any:
        """Return grids with wider cells, if need be.

        Each step halves the number of cells in use. After log2(bins) steps one or two
        cells are left, which a last step moves to their places, however far.
        """
        start, end = (jnp.stack(levels, axis=-1) for levels in (before, after))
        stop = jnp.minimum(end, start + (self.bins.bit_length() - 1))

        def origin_at(level: Any) -> Any:
            levels = _Levels(level[..., 0], level[..., 1])
            return self._origins(least, levels)[..., None, :, None]

        def is_finer(carry: Any) -> Any:
            return (carry[0] < stop).any()

        def halve(carry: Any) -> Any:
            level, grids = carry
            active = level < stop
            halved = self._halved(grids, origin_at(level))
            chosen = active[..., None, :, None]
            grids = tuple(jnp.where(chosen, x, y) for x, y in zip(halved, grids))
            return level + active.astype(jnp.int32), grids

        def jump(grids: Any) -> Any:
            number = positions(self.bins, grids[0].ndim)
            result = tuple(jnp.zeros_like(x) for x in grids)
            origin = origin_at(stop)
            for offset, target in enumerate(places):
                source = (origin + np.int32(offset)) & np.int32(self.bins - 1)
                here = source == number
                count = tuple(_only(x, here, self.weighted) for x in grids)
                moved = tuple(jnp.where(target, x, 0) for x in count)
                result = self._add(result, moved)
            chosen = (end > stop)[..., None, :, None]
            return tuple(jnp.where(chosen, x, y) for x, y in zip(result, grids))

        _, grids = lax.while_loop(is_finer, halve, (start, grids))
        return lax.cond((end > stop).any(), jump, lambda grids: grids, grids)

    def _halved(self, grids: Any, origin: Any) -> Any:
        """Join the cells of indices 2c and 2c + 1, from `origin` on, into cell c.

        Of B cells from an odd origin on, the first and the last lie side by side but
        belong to different cells.
        """
        odd = origin & 1
        number = positions(self.bins, grids[0].ndim)
        # Twice the distance of each joined cell from the first one.
        twice = 2 * ((number - (origin >> 1)) & np.int32(self.bins - 1))
        has_lower = (twice >= odd) & (twice - odd < self.bins)
        has_upper = twice + 1 - odd < self.bins
        halves = []
        for i, has in ((0, has_lower), (1, has_upper)):
            pairs = [x.reshape(*x.shape[:-1], -1, 2)[..., i] for x in grids]
            tiled = [jnp.concatenate([x, x], axis=-1) for x in pairs]
            halves.append(tuple(jnp.where(has, x, 0) for x in tiled))
        return self._add(*halves)


class Header(NamedTuple):
    """Order keys of the extremes, and the finest bit; each of the batch's shape.

    The least key is stored as its complement and the exponent of the finest bit as a
    difference, so that all three are maxima, and 0 without scores.
    """

    complement: Any
    greatest: Any
    finest: Any

    @property
    def least(self) -> Any:
        """Order key of the smallest score."""
        return ~self.complement

    def ends(self) -> tuple[Decomposed, Decomposed]:
        """Return the smallest and the largest score."""
        return decompose(self.least), decompose(self.greatest)


class Decomposed(NamedTuple):
    """Scores `mantissa * 2**(exponent - 150)`, int32, and their order keys."""

    key: Any
    mantissa: Any
    exponent: Any


class _Levels(NamedTuple):
    """Exponents of the widths of cells, int32: e + 151 of the value grid, and s."""

    value: Any
    key: Any


def header_of(score: Decomposed, finite: jax.Array, leading: int) -> Header:
    """Return the header of a batch whose `leading` axes are reduced."""
    key, mantissa, exponent = score
    magnitude = jnp.abs(mantissa).astype(jnp.uint32)
    lowest = magnitude & (~magnitude + np.uint32(1))
    zeros = lax.population_count(lowest - np.uint32(1)).astype(jnp.int32)
    finest = jnp.where(mantissa == 0, 0, _FINEST - 1 - exponent - zeros)
    words = (~key, key, finest.astype(jnp.uint32))
    words = tuple(jnp.where(finite, x, np.uint32(0)) for x in words)
    # One reduction of three operands: XLA:CPU runs it ten times as fast as three.
    return Header(
        *lax.reduce(
            words,
            (np.uint32(0),) * 3,
            lambda a, b: tuple(map(lax.max, a, b)),
            tuple(range(leading)),
        )
    )


def _differs(own: Header, common: Header) -> Any:
    """Return whether any extremes differ from those of a state with scores."""
    differs = [x != y for x, y in zip(own[:2], common)]
    return ((differs[0] | differs[1]) & (own.greatest != 0)).any()


def _levels(least: Decomposed, greatest: Decomposed, bins: int) -> _Levels:
    """Return the least widths with which the extremes lie within `bins` cells.

    The value grid starts at half an ulp of the larger extreme, where all indices are
    int32: 2m >> (y - x) is the index of m * 2**(x - 150) in cells of 2**(y - 151).
    """
    (key0, m0, x0), (key1, m1, x1) = least, greatest
    xp = _namespace(key1)
    largest = xp.maximum(x0, x1)
    first, last = (
        (2 * m) >> xp.minimum(largest - x, np.int32(31))
        for m, x in ((m0, x0), (m1, x1))
    )
    value = largest + _doublings(xp, first, last, bins)
    return _Levels(value, _doublings(xp, key0, key1, bins))


def _doublings(xp: Any, first: Any, last: Any, bins: int) -> Any:
    """Return how often cells double until first and last are less than bins apart.

    Indices 3 and 8 are 5 apart; after one doubling 1 and 4, which 4 cells hold.
    """
    length = _bit_length((last - first).astype(np.uint32))
    step = xp.maximum(length - np.int32(bins.bit_length() - 1), np.int32(0))
    shift = step.astype(first.dtype)
    is_wide = (last >> shift) - (first >> shift) >= bins
    return step + is_wide.astype(np.int32)


def _bit_length(x: Any) -> Any:
    """Return the number of bits of uint32, int32."""
    if _namespace(x) is jnp:
        return np.int32(32) - lax.clz(x).astype(jnp.int32)
    bit = np.arange(32, dtype=np.uint32)
    return ((x[..., None] >> bit) != 0).sum(axis=-1, dtype=np.int32)


def decompose(key: Any) -> Decomposed:
    """Return the scores that have some order keys."""
    xp = _namespace(key)
    word = xp.where(key >> 31 == 1, key ^ _SIGN, ~key)
    exponent = (word >> 23 & np.uint32(0xFF)).astype(np.int32)
    fraction = (word & np.uint32(0x7FFFFF)).astype(np.int32)
    mantissa = xp.where(exponent > 0, fraction | np.int32(1 << 23), np.int32(0))
    mantissa = xp.where(word >> 31 == 1, -mantissa, mantissa)
    return Decomposed(key, mantissa, xp.maximum(exponent, np.int32(1)))


def _float_of(xp: Any, key: Any) -> Any:
    if xp is jnp:
        return from_order_key(key)
    word = np.where(key >> 31 == 1, key ^ _SIGN, ~key).astype(np.uint32)
    return word.view(np.float32).astype(np.float64)


def _scaled(xp: Any, index: Any, exponent: Any) -> Any:
    """Return `index * 2**exponent`, float64 on the host."""
    if xp is np:
        return np.ldexp(index.astype(np.float64), exponent)
    x, half = index.astype(jnp.float32), exponent // 2
    return jnp.ldexp(jnp.ldexp(x, half), exponent - half)


def without_subnormals(x: jax.Array) -> jax.Array:
    """Return 0 where the magnitude is below 2**-126, and for -0."""
    word = bits(x)
    return floats(jnp.where(word & np.uint32(0x7F800000) == 0, np.uint32(0), word))


def _only(x: jax.Array, here: jax.Array, is_float: bool) -> jax.Array:
    """Return the one element that may differ from zero, where `here` is true."""
    chosen = jnp.where(here, x, 0)
    if is_float:  # of -0 the bits differ from zero
        return bits(floats(chosen).sum(axis=-1, keepdims=True))
    return chosen.sum(axis=-1, keepdims=True, dtype=jnp.uint32)


def _count(index: jax.Array, cells: int, weights: Any, keep: int) -> Any:
    """Count how often each cell is named: `[*kept, cells]` of indices `[..., *kept]`.

    A negative index is not counted. A TPU runs a scatter one row after another; there
    the matrix unit multiplies one-hot rows instead.
    """
    kept = index.shape[index.ndim - keep :]
    members = math.prod(kept)

    def by_scatter(index: Any) -> Any:
        flat = index.reshape(*index.shape[: index.ndim - keep], members)
        member = jnp.broadcast_to(positions(members, flat.ndim), flat.shape)
        rows = None if weights is None else weights.reshape(flat.shape)
        counts = count_at((member, flat), (members, cells), None, rows)
        return counts if rows is None else counts.pair()

    def by_product(index: Any) -> Any:
        of_member = index.reshape(-1, members).T
        return lax.map(functools.partial(cells_by_product, cells=cells), of_member)

    if weights is None:
        counts = by_platform(by_scatter, by_product, index, keep=keep)
    else:
        counts = by_scatter(index)
    return jax.tree.map(lambda x: x.reshape(*kept, cells), counts)


def _leading(header: Header, axes: int) -> Header:
    """Return the header with more leading axes."""
    return Header(*(x.reshape((1,) * axes + x.shape) for x in header))


def _namespace(x: Any) -> Any:
    return np if isinstance(x, np.ndarray | np.generic) else jnp
