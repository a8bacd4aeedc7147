"""Occurrences of integers, and the most frequent ones, by count-min sketches."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Statistic,
    count_cells,
    count_leaf,
    count_where,
    mask_like,
    namespace,
)
from jaxmetrics.metrics.sketches._cells import count_bits
from jaxmetrics.metrics.sketches._hashing import (
    is_int32,
    is_uint32,
    mix,
    require_int32,
    require_integers,
    salted,
    words,
)

_HALF_BITS = 16  # upper bits of a hash, which choose its bucket


class CountMin(Statistic):
    """Number of occurrences of chosen integers in an output, never too low.

    A count-min sketch (Cormode and Muthukrishnan 2005): of n values, an estimate is too
    high by more than `e n / width` with a probability of at most `exp(-depth)`; by
    default these are 0.13 % of n and 1.8 %. Merging adds counts: any split of the data
    gives the same bits. The default state takes 64 kB.

    Args:
      output: Name of the output; integers of any shape.
      queries: Integers whose estimates `compute` returns; `estimate` takes others.
      width: Buckets per row, at most 65,536.
      depth: Number of rows, each with its own hash.

    Returns by `compute`: an estimate by query, keyed by the integer as a string.

    Example:
      >>> import jaxmetrics as jm
      >>> ends = jm.CountMin("tokens", queries=(2,))
      >>> counts = jm.evaluate(ends, tokens=[5, 7, 2, 2])
      >>> int(counts["2"])
      2
    """

    queries: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)
    width: int = dataclasses.field(default=2048, kw_only=True)
    depth: int = dataclasses.field(default=4, kw_only=True)
    table: Array = count_leaf("depth width")

    def validate(self) -> None:
        """Refuse a table without cells, and queries that no value can equal."""
        _check_table("CountMin", self.width, self.depth)
        _words_of("CountMin: queries", self.queries)

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's counts by row and bucket."""
        values = jnp.asarray(values)
        require_integers("CountMin", "values", values)
        valid = mask_like(values, mask) & (is_int32(values) | is_uint32(values))
        rows = _buckets(words(values), self.width, self.depth)
        return dict(
            table=jnp.stack([count_cells(row, self.width, valid) for row in rows])
        )

    def compute(self) -> dict[str, Any]:
        """Return the estimates by query."""
        if not self.queries:
            return {}
        counts = _estimates(
            namespace(self), self.table, _words_of("CountMin: queries", self.queries)
        )
        return {str(query): counts[..., i][()] for i, query in enumerate(self.queries)}

    def estimate(self, items: Any) -> Any:
        """Return estimates for integers of any shape; int64 outside jit.

        Args:
          items: Integers, as a number, a sequence or a NumPy array.
        """
        items = np.asarray(items)
        require_integers("CountMin.estimate", "items", items)
        table = self.plain()["table"]
        word = _words_of("CountMin.estimate: items", items.ravel())
        counts = _estimates(namespace(self), table, word)
        return counts.reshape(*table.shape[:-2], *items.shape)


class TopItems(Statistic):
    """Most frequent integers of an output, and their counts.

    Group testing on a count-min sketch (Cormode and Muthukrishnan 2005): each bucket
    also counts, for every bit, the values that have it set, so that an item which makes
    up more than half of its bucket can be read from the bits that more than half of the
    values have. Of n values, an item that occurs `s n` times is missed in one row with
    a probability of at most `1 / (s width)`, in all rows with that to the power of
    `depth`: by default items above 0.5 % of n are found with 99.2 %. A count is never
    too low, and too high as in `CountMin`. Merging adds counts: any split of the data
    gives the same bits.

    The state takes `8 depth width (bits + 1)` bytes, 811 kB by default; for token ids
    below 2^17, `bits=17` takes 442 kB. On a TPU the update is a matrix product.

    Args:
      output: Name of the output; integers of any shape.
      k: Number of items to return. Default 10.
      bits: Bits of an item. 32 (the default) takes every int32, also negative ones, and
        no uint32. With fewer, values outside [0, 2^bits) are not counted, except in
        `outside`; see `metric.plain()`. So are int64 that are no int32.
      width: Buckets per row, at most 65,536.
      depth: Number of rows, each with its own hash.

    Returns by `compute`: `items` [k] and `counts` [k], the most frequent first, ties
    by the smaller item. Missing items are -1 with a count of 0.

    Example:
      >>> import jaxmetrics as jm
      >>> top = jm.evaluate(jm.TopItems("tokens", k=2), tokens=[5, 7, 2, 7, 2, 7])
      >>> top["items"].tolist(), top["counts"].tolist()
      ([7, 2], [3, 2])
    """

    k: int = dataclasses.field(default=10, kw_only=True)
    bits: int = dataclasses.field(default=32, kw_only=True)
    width: int = dataclasses.field(default=1024, kw_only=True)
    depth: int = dataclasses.field(default=3, kw_only=True)
    counts: Array = count_leaf("depth width columns")
    outside: Array = count_leaf()

    @property
    def columns(self) -> int:
        """Number of counts in a bucket: one of its values, and one of each bit."""
        return 1 + self.bits

    def validate(self) -> None:
        """Refuse a table without cells, and bits or k out of range."""
        _check_table("TopItems", self.width, self.depth)
        if not 1 <= self.bits <= 32:
            raise ValueError(
                f"TopItems: bits is {self.bits}, but must be from 1 to 32. Leave it "
                "out to take every integer."
            )
        if not 1 <= self.k <= self.width * self.depth:
            raise ValueError(
                f"TopItems: k is {self.k}, but must be from 1 to width * depth = "
                f"{self.width * self.depth}. Set a larger width for more items."
            )

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's counts by row, bucket and column (values, then bits)."""
        values = jnp.asarray(values)
        require = require_int32 if self.bits == 32 else require_integers
        require("TopItems", "values", values)
        valid = mask_like(values, mask)
        word = words(values)
        in_range = is_int32(values)
        if self.bits < 32:
            in_range = in_range & (word < np.uint32(1 << self.bits))
        counted, word = (valid & in_range).ravel(), word.ravel()
        tables = [
            count_bits(row, word, self.width, self.bits, counted)
            for row in _buckets(word, self.width, self.depth)
        ]
        return dict(
            counts=jnp.stack(tables),
            outside=count_where(~in_range, valid),
        )

    def compute(self) -> dict[str, Any]:
        """Return the items and their counts.

        Every bucket proposes one item, the bits that more than half of its values
        have. A proposal counts only if the item hashes to that bucket, and only in the
        first row that proposes it.
        """
        xp = namespace(self)
        counts = xp.asarray(self.counts)
        table = counts[..., 0]
        bit_is_set = 2 * counts[..., 1:] > table[..., None]
        powers = np.uint32(1) << np.arange(self.bits, dtype=np.uint32)
        proposed = xp.where(bit_is_set, powers, np.uint32(0)).sum(-1, dtype=np.uint32)
        word = proposed.reshape(*proposed.shape[:-2], -1)
        own_row = np.arange(self.depth, dtype=np.int32).repeat(self.width)
        own_bucket = np.tile(np.arange(self.width, dtype=np.int32), self.depth)
        # Before its own row: proposed by an earlier one. From it on: to be returned.
        flag = xp.zeros(word.shape, bool)
        for row, bucket in enumerate(_buckets(word, self.width, self.depth)):
            proposed_here = xp.take_along_axis(proposed[..., row, :], bucket, -1)
            flag = xp.where(own_row == row, ~flag & (bucket == own_bucket), flag)
            flag = xp.where(own_row > row, flag | (proposed_here == word), flag)
        estimate = xp.where(flag, _estimates(xp, table, word), 0)
        item = word.astype(np.int32)
        order = xp.lexsort((item, -estimate), axis=-1)[..., : self.k]
        estimate = xp.take_along_axis(estimate, order, -1)
        item = xp.take_along_axis(item, order, -1)
        item = item.astype(np.int64) if xp is np else item
        return dict(items=xp.where(estimate > 0, item, -1), counts=estimate)


def _check_table(metric: str, width: int, depth: int) -> None:
    if not (1 <= width <= 1 << _HALF_BITS and depth >= 1):
        raise ValueError(
            f"{metric}: width must be from 1 to 65536 and depth at least 1, got "
            f"width={width}, depth={depth}. Leave both out for the default error."
        )


def _buckets(word: Any, width: int, depth: int) -> list[Any]:
    """Return the bucket of each word in every row, int32; for NumPy or jax arrays."""
    hashed = mix(word)
    halves = [salted(hashed, row + 1) >> _HALF_BITS for row in range(depth)]
    return [
        ((half * np.uint32(width)) >> _HALF_BITS).astype(np.int32) for half in halves
    ]


def _estimates(xp: Any, table: Any, word: Any) -> Any:
    """Return the smallest count of each word `[..., n]` over the rows of a table."""
    *_, depth, width = table.shape
    shape = (*table.shape[:-2], word.shape[-1])
    rows = [
        xp.take_along_axis(table[..., row, :], xp.broadcast_to(bucket, shape), -1)
        for row, bucket in enumerate(_buckets(word, width, depth))
    ]
    return xp.stack(rows).min(0)


def _words_of(caller: str, items: Any) -> np.ndarray:
    """Return integers of 32 bits, signed or not, as words; refuse larger ones."""
    wide = [item for item in map(int, items) if not -(2**31) <= item < 2**32]
    if wide:
        raise ValueError(
            f"{caller} hold {wide[0]}, but values have 32 bits. Pass integers from "
            "-2^31 to 2^32 - 1."
        )
    return (np.asarray(items, np.int64) & 0xFFFFFFFF).astype(np.uint32)
