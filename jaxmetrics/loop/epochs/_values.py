"""Collect the scalars of an epoch's batches without waiting for the device."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.core import is_ready
from jaxmetrics.loop.scalars import checked_scalars, fetch_scalars
from jaxmetrics.record import states

_CALL = "log_batch"
_FETCH_EVERY = 256


class EpochValues:
    """Store scalars batch by batch; values that are not computed yet stay pending.

    Every 256 batches those that are computed are fetched, and then take 8 bytes per
    value.

    Attributes:
      batches: Number of batches.
    """

    def __init__(self) -> None:
        """Start without batches."""
        self.batches = 0
        self._pending: deque[dict[str, Any]] = deque()
        self._values: dict[str, array[float]] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        """Add the scalars of a batch, without waiting for the device.

        Raises:
          TypeError: A value is not a scalar, or is traced.
          RuntimeError: A value was deleted.
        """
        self._pending.append(checked_scalars(_CALL, values))
        self.batches += 1
        if len(self._pending) % _FETCH_EVERY == 0:
            self._fetch(only_ready=True)

    def columns(self) -> dict[str, np.ndarray]:
        """Return all values by name, float64 `[batches]`; waits for the device.

        Raises:
          RuntimeError: A value was donated after it was added; the others are kept.
        """
        self._fetch(only_ready=False)
        return {name: np.array(column) for name, column in self._values.items()}

    def state(self) -> dict[str, Any]:
        """Return the values for a checkpoint; waits for the device."""
        columns = self.columns()
        return {"batches": self.batches, "names": list(columns), "columns": columns}

    @classmethod
    def from_state(cls, state: object) -> EpochValues:
        """Return the values of a `state`.

        Raises:
          TypeError: It is not a mapping.
          ValueError: It is not a state.
        """
        saved = states.fields_of(
            batches=states.count,
            names=states.list_of(states.text),
            columns=states.mapping_of(states.floats),
        )(state)
        if saved["columns"].keys() != set(saved["names"]):
            raise ValueError(f"it has values of {sorted(saved['columns'])}")
        values = cls()
        values.batches = saved["batches"]
        for name in saved["names"]:
            values._values[name] = array("d", saved["columns"][name].tolist())
        return values

    def _fetch(self, only_ready: bool) -> None:
        batches = []
        while self._pending:
            if only_ready and not all(map(is_ready, self._pending[0].values())):
                break
            batches.append(self._pending.popleft())
        fetch_scalars(_CALL, batches, self._append)

    def _append(self, name: str, number: float) -> None:
        self._values.setdefault(name, array("d")).append(number)
