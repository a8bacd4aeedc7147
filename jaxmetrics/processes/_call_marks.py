"""Compare the steps and splits of calls between processes, within their reduction.

Processes that reduce deferred metrics in another order, or at other steps, launch the
same program and wait for nothing, but their values are those of different calls. So
each process sends marks of its call along with the reduction, in a row of its own:

    process 0    [[lo, hi, label], [0, 0, 0]]      step 2 of "train"
    process 1    [[0, 0, 0], [lo, hi, label]]      step 2 of "val"
    all          [[lo, hi, label], [lo, hi, label]]

The sum or the maximum over processes has the marks of all of them, and rides in a
collective that takes place anyway. Process 0 compares the rows when it fetches the
values.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

_LOG = logging.getLogger("jaxmetrics")
_WORDS = 3  # of the step the lower and the upper half, and the label of the split
_KNOWN_SPLITS = ("train", "val", "test", "eval")
_MAX_NAMED = 8


class CallMarks:
    """Marks of the calls of this process, and one warning of processes that differ.

    Args:
      process: Index of this process.
      count: Number of processes.
    """

    def __init__(self, process: int, count: int) -> None:
        self._process = process
        self._count = count
        self._placed: dict[Any, Any] = {}
        self._has_warned = False

    def of(self, metrics: Any, step: int | None, split: str) -> Any:
        """Return the marks of a call, to be reduced with its metrics.

        Args:
          metrics: Metrics of the call.
          step: Its step; None leaves the marks of this process empty.
          split: Its split.

        Returns:
          A global array of uint32, `[shards, processes, 3]`; None if the reduction of
          these metrics meets no other process.
        """
        if self._count == 1:
            return None
        from jaxmetrics.core import Deferred

        if not isinstance(metrics, Deferred) or self._is_local(metrics):
            return None
        words = np.zeros((self._count, _WORDS), np.uint32)
        if step is not None:
            words[self._process] = _marks(step, split)
        return self._global(metrics, words)

    def differing(self, marks: np.ndarray, step: int, split: str) -> int:
        """Return how many processes made another call; warn once, naming them.

        Args:
          marks: Marks of all processes, `[processes, 3]`.
          step: Step of the call of this process.
          split: Its split.
        """
        own = _marks(step, split)
        others = [
            process
            for process, words in enumerate(marks)
            if words.any() and (words != own).any()
        ]
        if others and not self._has_warned:
            self._has_warned = True
            _LOG.warning(
                "log_step() of step %d of %r was reduced with %s. Its values mix those "
                "of different calls, and are recorded with health/other_calls. Make "
                "the same calls with metrics= in the same order on every process.",
                step,
                split,
                _calls(marks, others, split),
            )
        return len(others)

    def _is_local(self, metrics: Any) -> bool:
        import jax

        leaves = jax.tree.leaves(metrics.state)
        return not leaves or leaves[0].is_fully_addressable

    def _global(self, metrics: Any, words: np.ndarray) -> Any:
        """Put the words in the first shard of this process, and zeros in the others."""
        import jax
        from jax.sharding import NamedSharding
        from jax.sharding import PartitionSpec as P

        place = metrics.mesh, metrics.axes
        if place not in self._placed:
            sharding = NamedSharding(metrics.mesh, P(metrics.axes))
            shape = (metrics.shards, *words.shape)
            indices = sharding.addressable_devices_indices_map(shape)
            rows = {d: i[0].start or 0 for d, i in indices.items() if i is not None}
            zeros = np.zeros((1, *words.shape), np.uint32)
            first = min(rows.values())
            filled = [d for d, row in rows.items() if row == first]
            empty = [jax.device_put(zeros, d) for d in rows.keys() - {*filled}]
            self._placed[place] = sharding, shape, filled, empty
        sharding, shape, filled, empty = self._placed[place]
        parts = [jax.device_put(words[None], device) for device in filled]
        return jax.make_array_from_single_device_arrays(shape, sharding, parts + empty)


def _marks(step: int, split: str) -> tuple[int, int, int]:
    # A label of 0 would be that of a process without a call.
    return step & 0xFFFFFFFF, step >> 32, zlib.crc32(split.encode()) | 1


def _calls(marks: np.ndarray, processes: Sequence[int], split: str) -> str:
    """Return the calls of some processes as text, with the names of known splits."""
    names = {_marks(0, name)[2]: repr(name) for name in (*_KNOWN_SPLITS, split)}
    parts = []
    for process in processes[:_MAX_NAMED]:
        low, high, label = map(int, marks[process])
        of = names.get(label, "another split")
        parts.append(f"step {low | high << 32} of {of} on process {process}")
    more = len(processes) - len(parts)
    return ", ".join(parts) + (f" and {more} more processes" if more else "")
