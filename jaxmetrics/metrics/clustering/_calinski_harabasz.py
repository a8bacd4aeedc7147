"""Separation of clusters by the variance between and within them."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    as_class_numbers,
    both,
    count_leaf,
    count_where,
    divide,
    in_range,
    moments,
    moments_leaf,
    namespace,
    positions,
    require_labels,
    variance_or_nan,
)


class CalinskiHarabasz(Metric):
    """Ratio of the variance between clusters to the variance within them.

    `(B / (k - 1)) / (W / (n - k))` for n samples in k clusters that have samples, with
    the sums B and W of squared distances of cluster means from the mean of all, and of
    samples from the mean of their cluster. At least 0, higher is better. nan without
    data, with one cluster, and with one sample in each cluster (where scikit-learn's
    `calinski_harabasz_score` raises); 1 if W is 0, as there. The variances are merged
    from moments, so that a large mean costs no precision. nan where float32 does not
    hold W, of deviations that are all below 1e-16 and not 0, or of some above 1e18.

    Reads `values`, real `[..., size]`, and `preds`, integers `[...]`: the cluster of
    each sample. A sample with a NaN or an infinity, or with a cluster out of range, is
    counted in `invalid` and left out. The state takes `24 clusters size` bytes, and an
    update does work for each sample and each cluster.

    Args:
      clusters: Number of clusters.
      size: Length of the last axis of `values`.
      weighted: Require `weights` `[...]`: numbers of samples, whose sum is n.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.CalinskiHarabasz(clusters=2, size=1)
      >>> values = [[0.0], [2.0], [10.0], [12.0]]
      >>> float(jm.evaluate(metric, values=values, preds=[0, 0, 1, 1]))
      50.0
    """

    higher_is_better: ClassVar[Direction] = True

    clusters: int | None = None
    size: int | None = None
    weighted: bool = False
    moments: Any = moments_leaf("clusters size", weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a missing number of clusters, and sizes below 1."""
        for name, size in (("clusters", self.clusters), ("size", self.size)):
            if size is None or size < 1:
                raise ValueError(
                    f"CalinskiHarabasz: {name} is {size}, but must be at least 1. Pass "
                    "the number of clusters and the length of the values' last axis."
                )

    def observe(
        self, *, values: Any, preds: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's moments of each cluster, and invalid samples."""
        values, preds = jnp.asarray(values), as_class_numbers(preds)
        if values.shape[-1:] != (self.size,):
            raise ValueError(
                f"CalinskiHarabasz: values have shape {values.shape}, but their last "
                f"axis must have length {self.size}. Set size=... to its length."
            )
        require_labels(values, preds)
        clusters = self.clusters or 0
        valid = in_range(preds, clusters) & jnp.isfinite(values).all(-1)
        member = preds[..., None] == positions(clusters, preds.ndim + 1)
        member = both(member, both(valid, mask))
        shape = (*preds.shape, clusters, values.shape[-1])
        spread = jnp.broadcast_to(values[..., None, :], shape)
        return dict(
            moments=moments(spread, member, weights, keep=2),
            invalid=count_where(~valid, mask),
        )

    def compute(self) -> Any:
        """Return the ratio."""
        xp, state = namespace(self), self.moments
        n = xp.asarray(state.n)
        mean, squares = (
            xp.where(n > 0, x, 0) for x in (state.mean, n * state.variance)
        )
        within = squares.sum((-2, -1))
        n = n[..., :1]
        samples = n.sum(-2)
        centre = divide((n * mean).sum(-2), samples)
        apart = xp.where(n > 0, mean - centre[..., None, :], 0)
        between = (n * apart**2).sum((-2, -1))
        samples = samples[..., 0]
        occupied = (n > 0).sum((-2, -1)).astype(n.dtype)
        ratio = divide(between * (samples - occupied), within * (occupied - 1))
        ratio = xp.where(within == 0, 1.0, ratio)
        lost = ~(variance_or_nan(divide(within, samples), samples) < np.inf)
        defined = (occupied > 1) & (samples > occupied) & ~lost
        return xp.where(defined, ratio, np.nan)[()]
