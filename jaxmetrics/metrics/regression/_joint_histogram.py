"""Joint histogram of predictions and targets, the state of rank correlations."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    count_at,
    count_leaf,
    count_where,
)
from jaxmetrics.metrics.regression._series import paired


class JointHistogram(Metric):
    """Counts of predictions and targets in bins of equal width, `[bins, bins]`.

    The state of `SpearmanCorrelation` and `KendallTau`; see there.
    """

    low: float = 0.0
    high: float = 1.0
    target_low: float = 0.0
    target_high: float = 1.0
    bins: int = 64
    counts: Array = count_leaf("bins bins")
    invalid: Array = count_leaf()

    def observe(self, *, preds: Any, targets: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's counts, and the number of entries with a NaN."""
        preds, targets, _ = paired(preds, targets, None)
        invalid = jnp.isnan(preds) | jnp.isnan(targets)
        index = (
            self._bin(preds, self.low, self.high),
            self._bin(targets, self.target_low, self.target_high),
        )
        valid = both(~invalid, mask)
        return dict(
            counts=count_at(index, (self.bins, self.bins), valid),
            invalid=count_where(invalid, mask),
        )

    def compute(self) -> Any:
        """Return the counts."""
        return self.counts

    def _bin(self, values: Any, low: float, high: float) -> Any:
        """Return the bin of each value; those outside are in the first or last."""
        place = (values - jnp.float32(low)) * jnp.float32(self.bins / (high - low))
        return jnp.clip(jnp.floor(place), 0, self.bins - 1).astype(jnp.int32)
