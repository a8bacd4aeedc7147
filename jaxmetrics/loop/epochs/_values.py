"""Collect the scalars of an epoch's batches without waiting for the device."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.core import is_deleted, is_on_device, is_ready, is_tracer
from jaxmetrics.record import scalar, states

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
        checked = {name: _checked(name, value) for name, value in values.items()}
        self._pending.append(checked)
        self.batches += 1
        if len(self._pending) % _FETCH_EVERY == 0:
            self._fetch(only_ready=True)

    def columns(self) -> dict[str, np.ndarray]:
        """Return all values by name, float64 `[batches]`; waits for the device.

        Raises:
          RuntimeError: A value was donated after it was added.
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
        for batch in batches:  # start all copies before waiting for the first
            for value in batch.values():
                if is_on_device(value) and not is_deleted(value):
                    value.copy_to_host_async()
        for batch in batches:
            for name, value in batch.items():
                column = self._values.setdefault(name, array("d"))
                column.append(_to_float(name, value))


def _checked(name: str, value: Any) -> Any:
    """Return a number, or a scalar on a device as it is."""
    try:
        if is_tracer(value):
            raise TypeError("a value within jit has no number yet")
        if not is_on_device(value):
            return float(scalar(value))
        if value.ndim:
            raise TypeError(f"an array of shape {value.shape} is not a number")
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"log_batch() got {name!r}: {error}. Log scalars, after the compiled step."
        ) from None
    if is_deleted(value):
        raise RuntimeError(_deleted(name, "it has been deleted"))
    return value


def _to_float(name: str, value: Any) -> float:
    try:
        return float(scalar(value))
    except RuntimeError as error:
        raise RuntimeError(_deleted(name, str(error))) from None


def _deleted(name: str, reason: str) -> str:
    return (
        f"log_batch() got {name!r}, which cannot be fetched: {reason}. If the next "
        f"step donates it, log an output of the step that is not passed to it again."
    )
