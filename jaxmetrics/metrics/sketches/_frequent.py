"""How often items occur, and which occur most."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import Array, Statistic, count_leaf, count_where, namespace
from jaxmetrics.metrics.sketches._cells import count_bits, count_cells, kept
from jaxmetrics.metrics.sketches._hashing import mix, require_integers, salted, words

_HALF = 16  # bits of a hash that choose its bucket


class CountMin(Statistic):
    """How often given integers occurred in an output, never too low.

    The count-min sketch (Cormode and Muthukrishnan 2005): of n values, an estimate is
    too high by more than `e n / width` with a probability of at most `exp(-depth)`,
    0.13 % of n and 1.8 % by default. Merging adds counts: no split of the data changes
    a bit. The default state takes 64 kB.

    Args:
      output: the output's name; `values` are integers of any shape.
      queries: the integers that `compute` tells; `estimate` tells others.
      width: buckets a row, at most 65,536.
      depth: rows, each with a hash of its own.

    Returns by `compute`: an estimate for each query, by its digits.

    Example:
      >>> import jaxmetrics as jm
      >>> ends = jm.CountMin("tokens", queries=(2,))
      >>> found = jm.evaluate(ends, tokens=[5, 7, 2, 2])
      >>> int(found["2"])
      2
    """

    queries: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)
    width: int = dataclasses.field(default=2048, kw_only=True)
    depth: int = dataclasses.field(default=4, kw_only=True)
    table: Array = count_leaf("depth width")

    def validate(self) -> None:
        """Refuse a table without cells, and queries that are no integers."""
        _check_table("CountMin", self.width, self.depth)
        given = self.queries
        if not (
            isinstance(given, tuple) and all(type(query) is int for query in given)
        ):
            raise ValueError(
                f"CountMin: queries is a tuple of integers, got {given!r}. Write one "
                "as (7,)."
            )

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The batch's counts by row and bucket."""
        values = jnp.asarray(values)
        require_integers("CountMin", "values", values)
        valid = kept(values, mask)
        rows = _buckets(words(values), self.width, self.depth)
        return dict(
            table=jnp.stack([count_cells(row, self.width, valid) for row in rows])
        )

    def compute(self) -> dict[str, Any]:
        """The estimates by query."""
        if not self.queries:
            return {}
        found = _least(namespace(self), self.table, _words_of(self.queries))
        return {str(query): found[..., i][()] for i, query in enumerate(self.queries)}

    def estimate(self, items: Any) -> Any:
        """Estimates for integers of any shape; int64 outside jit.

        Args:
          items: plain integers or a NumPy array.
        """
        wanted = np.asarray(items)
        require_integers("CountMin.estimate", "items", wanted)
        table = self.plain()["table"]
        found = _least(namespace(self), table, _words_of(wanted.ravel()))
        return found.reshape(*table.shape[:-2], *wanted.shape)


class TopItems(Statistic):
    """The integers that occurred most in an output, and how often.

    Group testing on a count-min sketch (Cormode and Muthukrishnan 2005): each bucket
    also counts, for every bit, the values that have it set, so that an item which
    makes up more than half of its bucket spells itself. Of n values, an item that
    occurs `s n` times is missed in one row with a probability of at most
    `1 / (s width)`, in all with that to the power of `depth`: items above
    0.5 % of n are found with 99.2 % by default. A count is never too low, and too high
    as `CountMin` says. Merging adds counts: no split of the data changes a bit.

    The state takes `8 depth width (bits + 1)` bytes, 811 kB by default; token ids
    below 2^17 with `bits=17` take 442 kB. On a TPU the update is a matrix product.

    Args:
      output: the output's name; `values` are integers of any shape.
      k: how many items are told.
      bits: of an item; 32 takes every integer, negative ones too. With fewer, values
        outside [0, 2^bits) are left out and counted in `outside`; see
        `metric.plain()`.
      width: buckets a row, at most 65,536.
      depth: rows, each with a hash of its own.

    Returns by `compute`: `items` [k] and `counts` [k], the most frequent first, of
    equal ones the smallest item. Where fewer items were found a count is 0, its
    item -1.

    Example:
      >>> import jaxmetrics as jm
      >>> found = jm.evaluate(jm.TopItems("tokens", k=2), tokens=[5, 7, 2, 7, 2, 7])
      >>> found["items"].tolist(), found["counts"].tolist()
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
        """How many counts a bucket has: of its values, and of each bit."""
        return 1 + self.bits

    def validate(self) -> None:
        """Refuse a table without cells, bits that are out of range, and k below 1."""
        _check_table("TopItems", self.width, self.depth)
        if not 1 <= self.bits <= 32:
            raise ValueError(f"TopItems: bits is from 1 to 32, got {self.bits}.")
        if not 1 <= self.k <= self.width * self.depth:
            raise ValueError(
                f"TopItems: k is from 1 to width x depth = {self.width * self.depth}, "
                f"got {self.k}."
            )

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The batch's counts by row and bucket, of values and of each of their bits."""
        values = jnp.asarray(values)
        require_integers("TopItems", "values", values)
        valid = kept(values, mask)
        word = words(values)
        small = jnp.ones(word.shape, bool)
        if self.bits < 32:
            small = word < np.uint32(1 << self.bits)
        inside, word = (valid & small).ravel(), word.ravel()
        tables = [
            count_bits(row, word, self.width, self.bits, inside)
            for row in _buckets(word, self.width, self.depth)
        ]
        return dict(
            counts=jnp.stack(tables),
            outside=count_where(~small, valid),
        )

    def compute(self) -> dict[str, Any]:
        """The items and their counts."""
        xp = namespace(self)
        counts = xp.asarray(self.counts)
        table = counts[..., 0]
        set_bits = 2 * counts[..., 1:] > table[..., None]
        powers = np.uint32(1) << np.arange(self.bits, dtype=np.uint32)
        spelled = xp.where(set_bits, powers, np.uint32(0)).sum(-1, dtype=np.uint32)
        word = spelled.reshape(*spelled.shape[:-2], -1)
        home = np.arange(self.depth, dtype=np.int32).repeat(self.width)
        place = np.tile(np.arange(self.width, dtype=np.int32), self.depth)
        there = xp.zeros(word.shape, bool)
        for row, bucket in enumerate(_buckets(word, self.width, self.depth)):
            # in this row too, or spelled by an earlier row already
            its = xp.take_along_axis(spelled[..., row, :], bucket, -1)
            there = xp.where(home == row, ~there & (bucket == place), there)
            there = xp.where(home > row, there | (its == word), there)
        found = xp.where(there, _least(xp, table, word), 0)
        item = word.astype(np.int32)
        best = xp.lexsort((item, -found), axis=-1)[..., : self.k]
        found = xp.take_along_axis(found, best, -1)
        item = xp.take_along_axis(item, best, -1)
        item = item.astype(np.int64) if xp is np else item
        return dict(items=xp.where(found > 0, item, -1), counts=found)


def _check_table(who: str, width: int, depth: int) -> None:
    if not (1 <= width <= 1 << _HALF and depth >= 1):
        raise ValueError(
            f"{who}: width is from 1 to 65536 and depth at least 1, got width={width}, "
            f"depth={depth}."
        )


def _buckets(word: Any, width: int, depth: int) -> list[Any]:
    """The bucket of each word in every row, int32; NumPy or jax arrays alike."""
    hashed = mix(word)
    halves = [salted(hashed, row + 1) >> _HALF for row in range(depth)]
    return [((half * np.uint32(width)) >> _HALF).astype(np.int32) for half in halves]


def _least(xp: Any, table: Any, word: Any) -> Any:
    """The smallest count of the words `[..., n]` over the rows of a table."""
    *_, depth, width = table.shape
    shape = (*table.shape[:-2], word.shape[-1])
    rows = [
        xp.take_along_axis(table[..., row, :], xp.broadcast_to(bucket, shape), -1)
        for row, bucket in enumerate(_buckets(word, width, depth))
    ]
    return xp.stack(rows).min(0)


def _words_of(items: Any) -> np.ndarray:
    return (np.asarray(items, np.int64) & 0xFFFFFFFF).astype(np.uint32)
