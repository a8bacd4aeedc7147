"""Critical success index of predicted events."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    as_numbers,
    count_leaf,
    count_where,
    divide,
    namespace,
)
from jaxmetrics.metrics.regression._series import paired


class CriticalSuccessIndex(Metric):
    """Fraction of the events, predicted or real, that were both: the threat score.

    An event is a value of at least the threshold: `hits / (hits + misses + false
    alarms)`, the Jaccard index of the events. In [0, 1], higher is better. Without any
    event it is nan, as without data: there was nothing to predict (torchmetrics gives
    0). As torchmetrics' `CriticalSuccessIndex`.

    Entries in which a value is NaN are left out and counted in `invalid`. Reads `preds`
    and `targets` of one shape.

    Args:
      threshold: Smallest value that is an event, in the unit of the values.
      weighted: Require `weights`, leading axes of the values.

    Example:
      >>> import jaxmetrics as jm
      >>> rain = jm.CriticalSuccessIndex(threshold=1.0)
      >>> preds, targets = [0.0, 1.0, 3.0, 0.5], [0.0, 2.0, 0.0, 1.0]
      >>> round(float(jm.evaluate(rain, preds=preds, targets=targets)), 4)
      0.3333
    """

    higher_is_better: ClassVar[Direction] = True

    threshold: float = 0.5
    weighted: bool = False
    hits: Array = count_leaf(weighted="weighted")
    misses: Array = count_leaf(weighted="weighted")
    false_alarms: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a threshold that is NaN."""
        if np.isnan(self.threshold):
            raise ValueError(
                "CriticalSuccessIndex: threshold is nan. Pass the smallest value that "
                "is an event."
            )

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's numbers of hits, misses and false alarms."""
        paired(preds, targets, None)  # refuses other shapes
        preds, targets = as_numbers(preds), as_numbers(targets)
        invalid = jnp.isnan(preds) | jnp.isnan(targets)
        predicted = self._is_event(preds) & ~invalid
        real = self._is_event(targets) & ~invalid
        return dict(
            hits=count_where(predicted & real, mask, weights),
            misses=count_where(real & ~predicted, mask, weights),
            false_alarms=count_where(predicted & ~real, mask, weights),
            invalid=count_where(invalid, mask),
        )

    def _is_event(self, values: jax.Array) -> jax.Array:
        """Return where values are at least the threshold."""
        if values.dtype == jnp.float32 or math.isinf(self.threshold):
            return values >= jnp.float32(self.threshold)
        least, bounds = math.ceil(self.threshold), jnp.iinfo(values.dtype)
        if least > bounds.max:
            return jnp.zeros(values.shape, bool)
        return values >= jnp.asarray(max(least, bounds.min), values.dtype)

    def compute(self) -> Any:
        """Return the index."""
        xp = namespace(self)
        hits, misses = xp.asarray(self.hits), xp.asarray(self.misses)
        return divide(hits, hits + misses + self.false_alarms)
