"""The best value of a metric over single updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmetrics.core._decoding import namespace, on_states
from jaxmetrics.core._inside import one_number
from jaxmetrics.core._leaves import max_leaf
from jaxmetrics.core._merging import refuse_parts
from jaxmetrics.core._mesh import vary, varying
from jaxmetrics.core._metric import Metric


class BestOf(
    Metric,
    not_deferred="it compares whole batches, and a shard sees only its own rows",
):
    """The best value of a metric over single updates, each taken whole.

    An update may be a batch, or a whole evaluation merged in as one state. The best
    depends on how the data was split into updates: under shard_map reduce the update
    and merge the total. The deferred form, which never sees a whole batch, is refused.

    Args:
      metric: The metric; its value is one number.
      mode: "max" or "min".
    """

    metric: Metric
    mode: str = "max"
    best: Array = max_leaf()  # of merged updates; negated if mode is "min"
    # 1.0 if `metric` is one update, whose value is not in `best` yet; else -inf, as
    # max_leaf starts.
    is_single: Array = max_leaf()

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """True if the mode is `"max"`."""
        return self.mode == "max"

    def validate(self) -> None:
        """Refuse a mode that is neither."""
        if self.mode not in ("max", "min"):
            raise ValueError(f"BestOf: mode is 'max' or 'min', got {self.mode!r}.")

    @on_states
    def compute(self) -> Any:
        """Return the best value; nan without data."""
        xp = namespace(self)
        wide = np.float64 if xp is np else np.float32
        value = one_number(self, self.metric.compute(), self.best)
        best, value = (xp.asarray(x, wide) for x in (self.best, value))
        best = xp.where(xp.isneginf(best), wide(np.nan), best)
        update = xp.where(xp.asarray(self.is_single) > 0, value, wide(np.nan))
        return self._sign * xp.fmax(best, self._sign * update)

    def merge(self, other: Any) -> Self:
        """Return the better of both: the values of single updates move into `best`."""
        self._refuse_other(other)
        refuse_parts(self, other)
        is_single = jnp.minimum(self.is_single, other.is_single)
        return self.with_fields(
            metric=self.metric.merge(other.metric),
            best=jnp.maximum(self._best_with_update(), other._best_with_update()),
            is_single=jnp.minimum(is_single, -jnp.inf),
        )

    def contribution(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state of one batch, without a check of the outputs' names."""
        metric = self.metric.contribution(outputs)
        update = self.identity().with_fields(metric=metric).replace(is_single=1.0)
        return vary(update, varying(metric))

    @property
    def _sign(self) -> int:
        return 1 if self.mode == "max" else -1

    def _best_with_update(self) -> Any:
        value = one_number(self, jax.jit(_computed)(self.metric), self.best)
        value = jnp.asarray(value, jnp.float32)
        counts = (self.is_single > 0) & ~jnp.isnan(value)
        return jnp.maximum(self.best, jnp.where(counts, self._sign * value, -jnp.inf))


def _computed(metric: Metric) -> Any:
    return metric.compute()
