"""Units that are never active."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    count_leaf,
    count_where,
    divide,
    namespace,
)


class DeadUnits(Metric):
    """Fraction of units that were never active in all data; in [0, 1].

    A unit is active where its activation is above `threshold`; a unit of a ReLU that is
    dead has no gradient and stays dead (Lu et al. 2019, Dying ReLU). Lower is better;
    nan without data. The fewer examples, the more units seem dead: measure over a
    window of fixed size, such as all training steps between two logs.

    Reads `activations` `[..., units]`, outputs of the nonlinearity. NaN is counted in
    `invalid` and says nothing about its unit.

    Args:
      units: Number of units, the last axis.
      threshold: Activation above which a unit is active. Default 0, for ReLU; for GELU
        or SiLU pass the absolute values and a small number.

    Example:
      >>> import jaxmetrics as jm
      >>> activations = [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
      >>> value = jm.evaluate(jm.DeadUnits(units=3), activations=activations)
      >>> round(float(value), 4)
      0.3333
    """

    higher_is_better: ClassVar[Direction] = False

    units: int = 1
    threshold: float = 0.0
    active: Array = count_leaf("units")
    seen: Array = count_leaf("units")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse fewer than one unit, and a threshold of nan."""
        if self.units < 1 or math.isnan(self.threshold):
            raise ValueError(
                f"DeadUnits: units is {self.units} and threshold {self.threshold}, but "
                "units must be at least 1, and threshold a number. Set units to the "
                "size of the layer."
            )

    def observe(self, *, activations: Any, mask: Any = None) -> dict[str, Any]:
        """Return by unit how often it was active and seen, and the number of NaN."""
        values = jnp.asarray(activations)
        if values.shape[-1:] != (self.units,):
            raise ValueError(
                f"DeadUnits: activations have shape {values.shape}, but their last "
                f"axis must be the {self.units} units. Configure units="
                f"{values.shape[-1] if values.ndim else 1}."
            )
        known = ~jnp.isnan(values)
        return dict(
            active=count_where(values > self.threshold, mask, keep=1),
            seen=count_where(known, mask, keep=1),
            invalid=count_where(~known, mask),
        )

    def compute(self) -> Any:
        """Return the fraction of the units seen that were not active."""
        xp = namespace(self)
        seen, active = xp.asarray(self.seen) > 0, xp.asarray(self.active) > 0
        return divide((seen & ~active).sum(-1), seen.sum(-1))
