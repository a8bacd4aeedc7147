"""A metric with a configuration and two kinds of leaf, for tests of the core."""

import jax.numpy as jnp

import jaxmetrics as jm


class Positives(jm.Metric):
    """Number of values above a threshold, and root of the largest."""

    threshold: float = 0.0
    count: jm.Array = jm.count_leaf()
    largest: jm.Array = jm.max_leaf()

    def observe(self, *, values, mask=None):
        values = jnp.asarray(values)
        return dict(
            count=jm.count_where(values > self.threshold, mask),
            largest=jm.maximum(values, mask),
        )

    def compute(self):
        xp = jm.namespace(self)
        return {"count": self.count, "root": xp.sqrt(self.largest)}
