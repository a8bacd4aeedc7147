"""Moving averages of losses."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics._other_names import explains_arguments
from jaxmetrics.core import is_ready
from jaxmetrics.loop.scalars import checked_scalars, fetch_scalars
from jaxmetrics.record import require_integers, states

_CALL = "LossTracker.update"
_MAX_PENDING = 16
_USUAL_WINDOW = 20


class LossTracker:
    """Keep the last values of each loss, and average them.

    Values may lie on a device: they are fetched once they are computed, at most 16
    updates later, so that `update` does not wait for a step in flight.

    Args:
      window: Number of values of each loss to keep.

    Raises:
      TypeError: The window is not an integer.
      ValueError: The window is below 1.

    Example:
      >>> losses = LossTracker()
      >>> for value in (4.0, 2.0, 1.0):
      ...     losses.update(ce_loss=value)
      >>> losses.get_average("ce_loss", window=2)
      1.5
    """

    @explains_arguments
    def __init__(self, window: int = 100) -> None:
        """Start without values."""
        require_integers("LossTracker", window=window)
        if window < 1:
            raise ValueError(
                f"LossTracker got window={window}; expected at least 1. Pass the "
                f"largest number of values that you want to average."
            )
        self.window: int = int(window)
        self._values: dict[str, np.ndarray] = {}  # ring buffers
        self._counts: dict[str, int] = {}
        self._pending: deque[Mapping[str, Any]] = deque()

    def update(self, **values: Any) -> None:
        """Add the losses of a step: numbers, or scalars on a device.

        None is an unknown value, which is left out.

        Raises:
          TypeError: A value is not a scalar, or is traced.
          RuntimeError: A value, of this or an earlier update, was deleted before it was
            fetched; the other values of earlier updates are kept.
        """
        self._pending.append(checked_scalars(_CALL, values))
        while self._pending and (
            len(self._pending) > _MAX_PENDING
            or all(map(is_ready, self._pending[0].values()))
        ):
            self._fetch()

    def get_average(self, name: str, window: int | None = None) -> float:
        """Return the mean of the last values, or of all while there are fewer.

        Waits for values that are not computed yet.

        Args:
          name: Name of a loss.
          window: Number of values, at most the window of the tracker. None takes 20,
            or all that a smaller tracker keeps.

        Raises:
          KeyError: There is no loss of that name.
          ValueError: `window` is larger than that of the tracker, or below 1.
        """
        while self._pending:
            self._fetch()
        if name not in self._values:
            raise KeyError(
                f"LossTracker.get_average() got {name!r}; expected one of "
                f"{sorted(self._values)}. Pass it to update() first."
            )
        window = min(_USUAL_WINDOW, self.window) if window is None else window
        require_integers("LossTracker.get_average()", window=window)
        if not 1 <= window <= self.window:
            raise ValueError(
                f"LossTracker.get_average() got window={window}; expected 1 to "
                f"{self.window}. Create the tracker with a larger window."
            )
        count = self._counts[name]
        last = np.arange(max(count - window, 0), count) % self.window
        return float(self._values[name][last].mean())

    @property
    def nbytes(self) -> int:
        """Size of the stored values in bytes."""
        return sum(values.nbytes for values in self._values.values())

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the state for a checkpoint; waits for values on devices."""
        while self._pending:
            self._fetch()
        values = {name: stored.copy() for name, stored in self._values.items()}
        return {"kept": values, "seen": dict(self._counts)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`, also after a round trip through JSON or orbax.

        Raises:
          ValueError: It is not a state, or that of a tracker with another window.
        """
        saved = states.read(
            "LossTracker",
            state,
            kept=states.mapping_of(states.floats),
            seen=states.mapping_of(states.count),
        )
        values, counts = saved["kept"], saved["seen"]
        shapes = {array.shape for array in values.values()}
        if shapes - {(self.window,)}:
            raise ValueError(
                f"LossTracker.load_state() got windows of {sorted(shapes)}; expected "
                f"{self.window} values. Create the tracker with the saved window."
            )
        if values.keys() != counts.keys():
            raise ValueError(
                f"LossTracker.load_state() got values of {sorted(values)} and counts "
                f"of {sorted(counts)}. Pass what state() returned, unchanged."
            )
        self._pending.clear()
        self._values, self._counts = values, counts

    def reset(self) -> None:
        """Begin without values, as a new tracker does."""
        self._pending.clear()
        self._values, self._counts = {}, {}

    def _fetch(self) -> None:
        fetch_scalars(_CALL, [self._pending.popleft()], self._append)

    def _append(self, name: str, number: float) -> None:
        values = self._values.setdefault(name, np.zeros(self.window))
        count = self._counts.get(name, 0)
        values[count % self.window] = number
        self._counts[name] = count + 1
