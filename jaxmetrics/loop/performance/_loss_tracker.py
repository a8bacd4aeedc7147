"""Windows of recent losses."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

_WAITING = 16


class LossTracker:
    """Keeps the last values of each loss, and averages them.

    Values may lie on a device: they are fetched once they are there, at the latest 16
    updates on, so that `update` waits for no step in flight.

    Args:
      window: How many values of each name it keeps.

    Example:
      >>> losses = LossTracker()
      >>> for value in (4.0, 2.0, 1.0):
      ...     losses.update(ce_loss=value)
      >>> losses.get_average("ce_loss", window=2)
      1.5
    """

    def __init__(self, window: int = 100) -> None:
        """Keep nothing yet."""
        if window < 1:
            raise ValueError(
                f"LossTracker got window={window}; it keeps at least 1 value. Give how "
                f"many you want to average at most."
            )
        self.window = window
        self._kept: dict[str, np.ndarray] = {}
        self._seen: dict[str, int] = {}
        self._waiting: deque[Mapping[str, Any]] = deque()

    def update(self, **values: Any) -> None:
        """Take in the losses of a step: numbers, or scalars on a device.

        Raises:
          TypeError: A value is no scalar.
          RuntimeError: A value of an earlier update was deleted before it was fetched.
        """
        for name, value in values.items():
            if np.shape(value) != ():
                raise TypeError(
                    f"LossTracker.update() got {name} of shape {np.shape(value)}; "
                    f"expected a scalar. Average it first."
                )
        self._waiting.append(values)
        while self._waiting and (
            len(self._waiting) > _WAITING or _is_ready(self._waiting[0])
        ):
            self._fetch()

    def get_average(self, name: str, window: int = 20) -> float:
        """The mean of the last values, fewer while there are fewer; waits for them.

        Args:
          name: A loss that was given to `update`.
          window: How many, at most those that are kept.

        Raises:
          KeyError: No such loss.
          ValueError: More than are kept.
        """
        while self._waiting:
            self._fetch()
        if name not in self._kept:
            raise KeyError(
                f"LossTracker has {sorted(self._kept)} and no {name!r}. Give it to "
                f"update() first."
            )
        if not 1 <= window <= self.window:
            raise ValueError(
                f"LossTracker.get_average() got window={window}; it keeps {self.window}"
                f" values. Make it with a larger window."
            )
        seen = self._seen[name]
        last = np.arange(max(seen - window, 0), seen) % self.window
        return float(self._kept[name][last].mean())

    @property
    def nbytes(self) -> int:
        """What the windows hold."""
        return sum(kept.nbytes for kept in self._kept.values())

    def state(self) -> dict[str, dict[str, Any]]:
        """The windows, as a checkpoint keeps them; waits for values on devices."""
        while self._waiting:
            self._fetch()
        kept = {name: values.copy() for name, values in self._kept.items()}
        return {"kept": kept, "seen": dict(self._seen)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`, of a tracker of the same window."""
        sizes = {np.shape(values) for values in state["kept"].values()}
        if sizes - {(self.window,)}:
            raise ValueError(
                f"LossTracker.load_state() got windows of {sorted(sizes)}; this one "
                f"keeps {self.window} values. Make it with the window that was saved."
            )
        self._waiting.clear()
        self._kept = {n: np.array(v, np.float64) for n, v in state["kept"].items()}
        self._seen = {name: int(seen) for name, seen in state["seen"].items()}

    def _fetch(self) -> None:
        for name, value in self._waiting.popleft().items():
            if getattr(value, "is_deleted", bool)():
                raise RuntimeError(
                    f"LossTracker: the value of {name!r} was deleted before it was "
                    f"fetched, as a step does to what it is donated. Leave it out of "
                    f"the donated arguments."
                )
            kept = self._kept.setdefault(name, np.zeros(self.window))
            seen = self._seen.get(name, 0)
            kept[seen % self.window] = np.asarray(value, np.float64)
            self._seen[name] = seen + 1


def _is_ready(values: Mapping[str, Any]) -> bool:
    """Whether fetching waits for nothing."""
    return all(
        not hasattr(value, "is_ready") or value.is_deleted() or value.is_ready()
        for value in values.values()
    )
