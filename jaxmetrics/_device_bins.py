"""Histograms of arrays that lie on devices, of which only the counts are fetched."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.writers._bins import Bins

_BINS = 64


def count(array: jax.Array) -> Callable[[], Bins]:
    """Launch the count of an array, which may be donated right after.

    Values are as float32 holds them. Of an array that lies on other processes too,
    every process calls it.

    Returns:
      What waits for the counts and makes them a histogram.
    """
    counted = _count(array)
    for part in counted:
        part.copy_to_host_async()
    return lambda: _bins(*(np.asarray(part) for part in counted))


@jax.jit
def _count(array: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    # Not ravelled: that would gather an array sharded over several of its axes.
    x = array.astype(jnp.float32)
    good = jnp.isfinite(x)
    low = jnp.min(x, where=good, initial=jnp.inf)
    high = jnp.max(x, where=good, initial=-jnp.inf)
    reach = high / 2 - low / 2  # halves, which do not overflow
    place = jnp.where(reach > 0, (x / 2 - low / 2) / reach, 0.5)
    place = jnp.minimum(jnp.where(good, place * _BINS, -1), _BINS - 1)
    bins = place.astype(jnp.int8)  # a pass over it for each bin: small on purpose
    # Not one comparison with all bins, which not every compiler fuses with its sum.
    counts = jax.lax.map(
        lambda one: (bins == one).sum(dtype=jnp.uint32),
        jnp.arange(_BINS, dtype=jnp.int8),
    )
    kept = jnp.where(good, x, 0)
    sums = jnp.stack([low, high, kept.sum(), (kept * kept).sum()])
    return counts, sums, (~good).sum(dtype=jnp.uint32)


def _bins(counts: np.ndarray, sums: np.ndarray, nonfinite: np.ndarray) -> Bins:
    if not counts.any():
        return Bins(np.zeros(0), np.zeros(0), 0.0, 0.0, 0.0, 0.0, int(nonfinite))
    low, high, total, squares = (float(x) for x in sums)
    around = 0.0 if low < high else 0.5 if abs(low) < 2**40 else abs(low) / 2
    edges = np.linspace(low - around, high + around, _BINS + 1)
    return Bins(
        counts.astype(np.float64), edges, low, high, total, squares, int(nonfinite)
    )
