"""Bins of magnitudes of nearly constant ratio.

The bin of a magnitude is read from the bits of its float32, so that every device bins
alike: the exponent is the octave `[2^e, 2^(e + 1))`, and the leading part of the
fraction is one of `parts` equal divisions of the octave. With 10 parts, 5.1 = 2^2 *
1.275 is in part 2 of the octave of 4, `[4.8, 5.2)`. A bin `[a, b)` is represented by
`2ab / (a + b)`, from which both edges have the same relative error; the first bin of an
octave is the widest.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_EXPONENT_BIAS = 127  # of float32
_FRACTION_BITS = 23  # of float32
_MAX_PARTS = 512  # of an octave, so that a fraction times them is below 2^32


@dataclasses.dataclass(frozen=True)
class OctaveBins:
    """Bins of magnitudes, in ascending order: one of zero, `count`, and one beyond.

    Args:
      relative_error: Bound of the relative error of the value of a bin.
      low: Magnitude of the first octave with bins; smaller ones count as zero.
      high: Magnitude of the last octave with bins.
    """

    relative_error: float
    low: float
    high: float

    def check(self, metric: str) -> None:
        """Refuse an error bound or a range that are impossible."""
        if not (0 < self.relative_error < 1 and self.parts <= _MAX_PARTS):
            raise ValueError(
                f"{metric}: relative_error must be at least 0.001 and below 1, got "
                f"{self.relative_error}. Write 1 % as 0.01."
            )
        if not 2.0**-126 <= self.low < self.high < 2.0**127:
            raise ValueError(
                f"{metric}: needs 1.2e-38 <= low < high < 1.7e38, got "
                f"low={self.low}, high={self.high}. These are magnitudes: negative "
                "values have their own bins."
            )

    @property
    def parts(self) -> int:
        """Number of bins in an octave; the first, of ratio 1 + 1 / parts, is widest."""
        return math.ceil((1 / self.relative_error - 1) / 2)

    @property
    def octaves(self) -> tuple[int, int]:
        """Exponents of the first octave with bins, and of the one after the last."""
        return math.frexp(self.low)[1] - 1, math.frexp(self.high)[1]

    @property
    def count(self) -> int:
        """Number of bins between those of zero and of magnitudes beyond."""
        first, end = self.octaves
        return (end - first) * self.parts

    def index(self, values: jax.Array) -> jax.Array:
        """Return the bin of the magnitude of float32, int32: 0 to `count + 1`."""
        first, end = self.octaves
        word = lax.bitcast_convert_type(values, jnp.uint32)
        magnitude = word & 0x7FFFFFFF
        exponent = (magnitude >> _FRACTION_BITS).astype(jnp.int32) - _EXPONENT_BIAS
        fraction = magnitude & ((1 << _FRACTION_BITS) - 1)
        part = ((fraction * np.uint32(self.parts)) >> _FRACTION_BITS).astype(jnp.int32)
        index = 1 + (exponent - first) * self.parts + part
        index = jnp.where(exponent < first, 0, index)
        return jnp.where(exponent >= end, self.count + 1, index)

    def edges(self) -> np.ndarray:
        """Return the edges of the bins, float64 `[count + 3]`: from 0 to infinity."""
        first, end = self.octaves
        octave = 2.0 ** np.arange(first, end)[:, None]
        inner = octave * (1 + np.arange(self.parts) / self.parts)
        return np.concatenate([[0], inner.ravel(), [2.0**end, np.inf]])

    def representatives(self) -> np.ndarray:
        """Return the value of each bin, float64 `[count + 2]`: from 0 to infinity."""
        inner = self.edges()[1:-1]
        left, right = inner[:-1], inner[1:]
        return np.concatenate([[0], 2 * left * (right / (left + right)), [np.inf]])
