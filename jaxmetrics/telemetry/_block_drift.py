"""Distance of parameters from stored ones, computed on the host block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxmetrics.processes import process_index
from jaxmetrics.telemetry._group_sums import GroupSums
from jaxmetrics.telemetry._groups import Groups, float_leaves, resolve_groups

Index = tuple[slice, ...]

_CHUNK_SIZE = 2**20  # values that are subtracted at a time


class BlockDrift:
    """Distances of parameters from stored ones, with no array on a device.

    A process compares the blocks of sharded arrays that lie on it, each of which counts
    on one process only: the squares of all processes add up to those of the whole tree.
    They are computed in float64.

    Args:
      params: Parameters on devices or the host.
      groups: Groups of arrays, as in `norms`.

    Attributes:
      arrays: Real and complex arrays by name, which is their path.
      suffixes: Suffix of the key of each distance: `""`, then `"/head"`.

    Raises:
      ValueError: A glob matches nothing.

    >>> drift = BlockDrift({"w": np.ones((2, 2)), "b": np.ones(3)}, {"bias": "b"})
    >>> drift.squares(lambda name, index: np.zeros_like(drift.arrays[name][index]))
    {'': 7.0, '/bias': 3.0}
    """

    def __init__(self, params: Any, groups: Groups = None) -> None:
        leaves = float_leaves(params)
        self._sums = GroupSums.of(leaves, resolve_groups(params, groups))
        self.suffixes: tuple[str, ...] = self._sums.suffixes
        self.arrays: dict[str, Any] = {}
        for leaf in leaves:
            name = leaf.path or "value"
            while name in self.arrays:  # {"a/b": x, "a": {"b": y}}
                name += "'"
            self.arrays[name] = leaf.value

    def blocks(self) -> Iterator[tuple[str, Index, np.ndarray]]:
        """Yield name, index and values of each block that counts on this process.

        An array that is equal on all processes counts on the first.
        """
        for name, x in self.arrays.items():
            for index, block in _blocks(x):
                yield name, index, block

    def squares(self, read: Callable[[str, Index], np.ndarray]) -> dict[str, float]:
        """Return the squares of the distances by suffix, those of this process.

        Args:
          read: Function of a name and an index that returns the stored block.
        """
        starts = np.cumsum([0, *(layers or 1 for layers in self._sums.parts)])
        partial = np.zeros(starts[-1])
        numbers = {name: i for i, name in enumerate(self.arrays)}
        for name, index, block in self.blocks():
            number = numbers[name]
            is_stacked = bool(self._sums.parts[number])
            rows = len(block) if is_stacked else 1
            first = starts[number] + (index[0].start or 0 if is_stacked else 0)
            pairs = zip(block.reshape(rows, -1), read(name, index).reshape(rows, -1))
            for row, (x, y) in enumerate(pairs, first):
                partial[row] += _squared_distance(x, y)
        return {
            suffix: float(partial[list(members)].sum())
            for suffix, members in zip(self.suffixes, self._sums.members)
        }


def _blocks(x: Any) -> Iterator[tuple[Index, np.ndarray]]:
    is_shared = isinstance(x, jax.Array) and not x.is_fully_addressable
    if process_index() and not is_shared:
        return
    if not isinstance(x, jax.Array):
        array = np.asarray(x)
        yield (slice(None),) * array.ndim, array
        return
    for shard in x.addressable_shards:
        if shard.replica_id == 0 and math.prod(shard.data.shape):
            yield shard.index, np.asarray(shard.data)


def _squared_distance(x: np.ndarray, y: np.ndarray) -> float:
    is_complex = "c" in (x.dtype.kind, y.dtype.kind)
    dtype = np.complex128 if is_complex else np.float64
    total = 0.0
    with np.errstate(all="ignore"):
        for start in range(0, x.size, _CHUNK_SIZE):
            chunk = slice(start, start + _CHUNK_SIZE)
            difference = x[chunk].astype(dtype) - y[chunk].astype(dtype)
            # Not vdot, which depends on where in memory an array begins.
            parts = (difference.real, difference.imag) if is_complex else (difference,)
            total += sum(float(np.square(part).sum()) for part in parts)
    return total
