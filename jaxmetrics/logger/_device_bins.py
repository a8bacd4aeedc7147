"""Histograms of arrays on devices: counted there, only the counts are fetched."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.record import Bins
from jaxmetrics.telemetry import HistogramCounts, histogram


def count(array: jax.Array) -> Callable[[], Bins]:
    """Launch the count of an array, which may be donated right after.

    Values are counted as float32. For an array that spans several processes, every
    process makes the call.

    Returns:
      A function that waits for the counts and returns the histogram.
    """
    counted = _count(array)
    for leaf in jax.tree.leaves(counted):
        leaf.copy_to_host_async()
    return lambda: _bins(*jax.tree.map(np.asarray, counted))


@jax.jit
def _count(array: jax.Array) -> tuple[HistogramCounts, jax.Array]:
    x = array.astype(jnp.float32)
    finite = jnp.where(jnp.isfinite(x), x, 0)
    return histogram(x), jnp.stack([finite.sum(), (finite * finite).sum()])


def _bins(counted: HistogramCounts, sums: np.ndarray) -> Bins:
    nonfinite = int(counted.nonfinite)
    if not counted.counts.any():
        return Bins(np.zeros(0), np.zeros(0), 0.0, 0.0, 0.0, 0.0, nonfinite)
    counts, edges = (np.asarray(x, float) for x in (counted.counts, counted.edges))
    low, high, total, squares = map(float, (counted.low, counted.high, *sums))
    return Bins(counts, edges, low, high, total, squares, nonfinite)
