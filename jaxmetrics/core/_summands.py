"""Values that are to be summed: what `total` returns, and each leaf sums in its way."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Self

import jax
import jax.numpy as jnp

from jaxmetrics.core._arithmetic import Pair, pair_add
from jaxmetrics.core._cell_sum import sum_cells
from jaxmetrics.core._pair_sum import as_floats, pair_sum

_MANY = 16  # arrays of a sum that are summed with compensation one by one


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["values", "index"],
    meta_fields=["keep", "shape"],
)
@dataclasses.dataclass(frozen=True, eq=False)
class Summands:
    """The values of a sum, masked and weighted already, but not summed yet.

    A sum leaf adds them with compensation, a reproducible one exactly. Under jit the
    compiler drops whichever of them is not used.

    Attributes:
      values: Arrays `[..., *kept]`, float32, int32 or uint32, whose entries are added;
        entries that do not count are 0.
      keep: Number of trailing axes that are not summed.
      index: Flat index of the cell to which each entry is added, int32 of the shape of
        the values; the entries of a cell that does not exist are dropped. None adds
        all of them.
      shape: Shape of the cells, if there is an index.
    """

    values: tuple[jax.Array, ...]
    keep: int = 0
    index: jax.Array | None = None
    shape: tuple[int, ...] = ()

    def pair(self) -> Pair:
        """Return the compensated sum as (hi, lo), two float32 arrays.

        Of each array the error is at most 9 * 2^-48 of the sum of magnitudes. Of a tree
        of more than 16 arrays each is summed in float32, to about 1e-7, and only their
        sums with compensation: hundreds of compensated sums would compile for minutes.
        """
        if len(self.values) > _MANY and self.index is None:
            sums = [
                values.astype(jnp.float32).sum(self.axes(values))
                for values in self.values
            ]
            return pair_sum((jnp.stack(sums),), (0,))
        return functools.reduce(pair_add, map(self._sum_of, self.values))

    def value(self) -> jax.Array:
        """Return the sum rounded to float32, for arithmetic of your own."""
        hi, lo = self.pair()
        return hi + lo

    def axes(self, values: jax.Array) -> tuple[int, ...]:
        """Return the axes of one of the arrays that are summed."""
        return tuple(range(values.ndim - self.keep))

    def _sum_of(self, values: jax.Array) -> Pair:
        parts = as_floats(values)
        if self.index is None:
            return pair_sum(parts, self.axes(values))
        index, cells = self.index.ravel(), math.prod(self.shape)
        sums = [sum_cells(part.ravel(), index, cells) for part in parts]
        hi, lo = functools.reduce(pair_add, sums)
        return hi.reshape(self.shape), lo.reshape(self.shape)

    def __add__(self, other: Summands) -> Self:
        """Return the values of both sums."""
        return dataclasses.replace(self, values=(*self.values, *other.values))

    def __radd__(self, other: int) -> Self:
        """Return this sum, so that `sum(...)` of several works."""
        return self
