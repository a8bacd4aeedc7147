"""The scalars of an epoch's batches, on their way from the device."""

from __future__ import annotations

import sys
from array import array
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.record import scalar

_BOUND = 256


class EpochValues:
    """Takes scalars batch by batch; what the device has not finished waits.

    At most `_BOUND` batches wait that are finished; a batch is then 8 bytes a value.
    """

    def __init__(self) -> None:
        """Begin without batches."""
        self.batches = 0
        self._waiting: deque[dict[str, Any]] = deque()
        self._values: dict[str, array[float]] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        """Take the scalars of one batch; nothing waits for the device.

        Raises:
          TypeError: One is no scalar, or has no value yet, within jit.
          RuntimeError: One was deleted.
        """
        checked = {name: _reference(name, value) for name, value in values.items()}
        self._waiting.append(checked)
        self.batches += 1
        if len(self._waiting) % _BOUND == 0:
            self._take(finished_only=True)

    def take(self) -> dict[str, np.ndarray]:
        """All values by name, float64 in their order; waits for the device.

        Raises:
          RuntimeError: One was donated since it was given.
        """
        self._take(finished_only=False)
        return {name: np.array(column) for name, column in self._values.items()}

    def _take(self, finished_only: bool) -> None:
        batches = []
        while self._waiting:
            if finished_only and not all(map(_finished, self._waiting[0].values())):
                break
            batches.append(self._waiting.popleft())
        for batch in batches:  # all copies under way before the first is waited for
            for value in batch.values():
                if hasattr(value, "copy_to_host_async") and not value.is_deleted():
                    value.copy_to_host_async()
        for batch in batches:
            for name, value in batch.items():
                column = self._values.setdefault(name, array("d"))
                column.append(_fetched(name, value))


def _reference(name: str, value: Any) -> Any:
    """A number, or a scalar that lies on a device."""
    jax = sys.modules.get("jax")
    try:
        if jax is None or not isinstance(value, jax.Array):
            return float(scalar(value))
        from jaxmetrics.core import is_tracer  # jax is there: the value is its array

        if is_tracer(value):
            raise TypeError("a value within jit has no number yet")
        if value.ndim:
            raise TypeError(f"an array of shape {value.shape} is not a number")
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"log_batch() got {name!r}: {error}. Log scalars, after the compiled step."
        ) from None
    if value.is_deleted():
        raise RuntimeError(_deleted(name, "it has been deleted"))
    return value


def _finished(value: Any) -> bool:
    return isinstance(value, float) or value.is_deleted() or value.is_ready()


def _fetched(name: str, value: Any) -> float:
    try:
        return float(scalar(value))
    except RuntimeError as error:
        raise RuntimeError(_deleted(name, str(error))) from None


def _deleted(name: str, why: str) -> str:
    return (
        f"log_batch() got {name!r}, which cannot be fetched: {why}. If the next step "
        f"donates it, log a value that the step returns and is not given again."
    )
