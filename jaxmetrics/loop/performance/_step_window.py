"""The last steps that were timed, and the totals of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_FIELDS = ("seconds", "device_seconds", "tokens", "padded_tokens", "data_wait_seconds")


class StepWindow:
    """Sums over all steps, in float64, and each of the last `size`, in float32.

    Args:
      size: How many steps it remembers.
    """

    def __init__(self, size: int = 48) -> None:
        self._last = np.zeros((len(_FIELDS), size), np.float32)
        self._totals = np.zeros(len(_FIELDS))
        self.steps = 0

    def add(self, **step: float) -> None:
        """Take in a step: all fields, by name."""
        row = [step[field] for field in _FIELDS]
        self._last[:, self.steps % self._last.shape[1]] = row
        self._totals += row
        self.steps += 1

    def total(self, field: str) -> float:
        """The sum over all steps."""
        return float(self._totals[_FIELDS.index(field)])

    def recent(self, field: str) -> np.ndarray:
        """The last values, in no order."""
        return self._last[_FIELDS.index(field), : self.steps]

    def recent_total(self, field: str) -> float:
        """The sum of the last values."""
        return float(self.recent(field).sum(dtype=np.float64))

    @property
    def recent_steps(self) -> int:
        """How many steps the recent values cover."""
        return min(self.steps, self._last.shape[1])

    @property
    def nbytes(self) -> int:
        """What the arrays hold."""
        return self._last.nbytes + self._totals.nbytes

    def state(self) -> dict[str, Any]:
        """Arrays of fixed shapes, as a checkpoint keeps them."""
        return {
            "steps": self.steps,
            "totals": self._totals.copy(),
            "last": self._last.copy(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`."""
        self.steps = int(state["steps"])
        self._totals = np.array(state["totals"], np.float64)
        self._last = np.array(state["last"], np.float32)
