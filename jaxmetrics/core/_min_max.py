"""A metric with its smallest and largest value over single updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmetrics.core._decoding import namespace, on_states
from jaxmetrics.core._inside import one_number
from jaxmetrics.core._leaves import max_leaf, min_leaf
from jaxmetrics.core._merging import refuse_parts
from jaxmetrics.core._mesh import vary, varying
from jaxmetrics.core._metric import Direction, Metric


class MinMax(
    Metric,
    not_deferred="it compares whole batches, and a shard sees only its own rows",
):
    """A metric with its smallest and largest value over single updates.

    `compute` returns `{"value": ..., "min": ..., "max": ...}`. The value is that of all
    data; min and max are over the values that the single updates have by themselves,
    those without data (nan) left out. An update may be a batch, or a whole evaluation
    merged in as one state: `history.merge(history.from_model_output(...))`.

    The extremes depend on how the data was split into updates: under shard_map reduce
    the update and merge the total. The deferred form, which never sees a whole batch,
    is refused. `merge` is commutative and associative.

    Args:
      metric: The metric; its value is one number.

    Example:
      >>> import jaxmetrics as jm
      >>> loss = jm.MinMax(jm.Mean("loss"))
      >>> loss = loss.update(loss=[4.0, 6.0]).update(loss=[1.0]).update(loss=[5.0])
      >>> {name: float(value) for name, value in loss.compute().items()}
      {'value': 4.0, 'min': 1.0, 'max': 5.0}
    """

    metric: Metric
    smallest: Array = min_leaf()  # of the updates that were merged
    largest: Array = max_leaf()
    # 1.0 if `metric` is one update, whose value is not in the extremes yet: that of a
    # batch is known only once its shards are reduced. Else -inf, as max_leaf starts.
    is_single: Array = max_leaf()

    @property
    def higher_is_better(self) -> Direction:  # type: ignore[override]
        """As of the metric inside."""
        return self.metric.higher_is_better

    @on_states
    def compute(self) -> Any:
        """Return the value of all data, and the extremes; nan without data."""
        xp = namespace(self)
        wide = np.float64 if xp is np else np.float32
        value = one_number(self, self.metric.compute(), self.is_single)
        smallest, largest, number = (
            xp.asarray(x, wide) for x in (self.smallest, self.largest, value)
        )
        is_single = xp.asarray(self.is_single) > 0
        update = xp.where(is_single, number, wide(np.nan))
        smallest = xp.where(xp.isposinf(smallest), wide(np.nan), smallest)
        largest = xp.where(xp.isneginf(largest), wide(np.nan), largest)
        low, high = xp.fmin(smallest, update), xp.fmax(largest, update)
        return {"value": value, "min": low, "max": high}

    def merge(self, other: Any) -> Self:
        """Return the state of both samples, with the values of single updates noted."""
        self._refuse_other(other)
        refuse_parts(self, other)
        smallest, largest = self._extremes()
        other_smallest, other_largest = other._extremes()
        is_single = jnp.minimum(self.is_single, other.is_single)
        return self.with_fields(
            metric=self.metric.merge(other.metric),
            smallest=jnp.minimum(smallest, other_smallest),
            largest=jnp.maximum(largest, other_largest),
            is_single=jnp.minimum(is_single, -jnp.inf),
        )

    def contribution(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state of one batch, without a check of the outputs' names."""
        metric = self.metric.contribution(outputs)
        update = self.identity().with_fields(metric=metric).replace(is_single=1.0)
        return vary(update, varying(metric))

    def _extremes(self) -> tuple[Any, Any]:
        """Return the smallest and the largest value, that of a single update too."""
        value = one_number(self, _computed(self.metric), self.is_single)
        value = jnp.asarray(value).astype(jnp.float32)
        counts = (self.is_single > 0) & ~jnp.isnan(value)
        return (
            jnp.minimum(self.smallest, jnp.where(counts, value, jnp.inf)),
            jnp.maximum(self.largest, jnp.where(counts, value, -jnp.inf)),
        )


@jax.jit
def _computed(metric: Metric) -> Any:
    return metric.compute()
