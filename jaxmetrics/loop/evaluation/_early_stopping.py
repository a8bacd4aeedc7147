"""Stop a training whose evaluations no longer improve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jaxmetrics._other_names import explains_arguments
from jaxmetrics.record import Better, require_numbers, scalar, states


class EarlyStopping:
    """Tell when evaluations have not improved for a while.

    `PlateauDetector` and `OverfittingDetector` of `jaxmetrics.telemetry` take the noise
    of the values into account; this one counts evaluations, as Keras and Lightning do.

    Args:
      patience: Number of evaluations in a row without an improvement after which to
        stop, at least 1. Default 5.
      min_delta: Change beyond which a value is an improvement, at least 0. Default 0.
      better: "min" if lower values are better (the default), or "max".

    Attributes:
      best: Best value so far; nan before the first.
      is_best: Whether the last value was an improvement.
      waited: Number of evaluations since the best one.

    Raises:
      TypeError: An argument is of another type, or unknown.
      ValueError: An argument is out of its range.

    Example:
      >>> stopping = EarlyStopping(patience=2)
      >>> [stopping.update(loss) for loss in (0.9, 0.7, 0.8, 0.6, 0.65, 0.61)]
      [False, False, False, False, False, True]
      >>> stopping.best
      0.6
    """

    @explains_arguments
    def __init__(
        self, patience: int = 5, min_delta: float = 0.0, better: Better = "min"
    ) -> None:
        """Start without evaluations."""
        advice = "Pass numbers here, and the values of a key to update(value)."
        numbers = dict(patience=patience, min_delta=min_delta)
        require_numbers("EarlyStopping", advice, **numbers)
        if not (patience >= 1 and min_delta >= 0) or better not in ("min", "max"):
            raise ValueError(
                f"EarlyStopping got patience={patience}, min_delta={min_delta}, "
                f"better={better!r}; expected a patience of at least 1, a min_delta of "
                "at least 0, and 'min' or 'max'."
            )
        self.patience: int = patience
        self.min_delta: float = min_delta
        self.better: Better = better
        self.reset()

    def update(self, value: float) -> bool:
        """Add an evaluation, and return whether to stop. NaN is no improvement."""
        value = float(scalar(value))
        gain = self.best - value if self.better == "min" else value - self.best
        is_first = math.isnan(self.best) and not math.isnan(value)
        self.is_best = is_first or gain > self.min_delta
        if self.is_best:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def state(self) -> dict[str, Any]:
        """Return the state as plain values, for a checkpoint."""
        best = states.strict(self.best)
        return dict(best=best, is_best=self.is_best, waited=self.waited)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`, also after a round trip through JSON or orbax.

        Raises:
          ValueError: It is not a state of an `EarlyStopping`; nothing is changed.
        """
        saved = states.read(
            "EarlyStopping",
            state,
            best=states.real,
            is_best=states.flag,
            waited=states.count,
        )
        self.best, self.is_best = saved["best"], saved["is_best"]
        self.waited = saved["waited"]

    def reset(self) -> None:
        """Begin without evaluations."""
        self.best: float = math.nan
        self.is_best: bool = False
        self.waited: int = 0
