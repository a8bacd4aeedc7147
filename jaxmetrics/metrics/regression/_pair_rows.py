"""Predictions and targets kept entry by entry, the state of exact rank correlations."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    buffer_leaf,
    count_leaf,
    count_where,
    namespace,
)
from jaxmetrics.metrics.regression._series import paired


class PairRows(Metric):
    """Predictions and targets of up to `capacity` entries in all.

    The state of `SpearmanCorrelation` and `KendallTau` with `exact=True`.
    """

    capacity: int = 1
    rows: Array = buffer_leaf("capacity", "2")
    invalid: Array = count_leaf()

    def observe(self, *, preds: Any, targets: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's rows, and the number of entries with a NaN."""
        preds, targets, _ = paired(preds, targets, None)
        invalid = jnp.isnan(preds) | jnp.isnan(targets)
        valid = both(~invalid, mask)
        rows = jnp.stack([preds, targets], axis=-1)
        return dict(rows=(rows, valid), invalid=count_where(invalid, mask))

    def compute(self) -> Any:
        """Return the rows `[rows, 2]`."""
        return self.rows

    def columns(self) -> tuple[Any, Any]:
        """Return predictions and targets `[..., rows]`, padded with nan."""
        xp = namespace(self)
        rows = xp.moveaxis(xp.asarray(self.rows), 0, -1)
        return rows[..., 0, :], rows[..., 1, :]
