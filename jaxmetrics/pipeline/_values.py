"""What `log_step` is given, checked and named in the training thread."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from jaxmetrics.pipeline._row import Row
from jaxmetrics.record import COUNT_FIELDS, key, scalar

_MOST = 1024


class Values:
    """Puts values into rows, and remembers the names and kinds that it has seen.

    Scalars of a device stay there, and names that came before are not looked at again:
    what is wrong with their values shows when they are fetched.
    """

    def __init__(self) -> None:
        self._keys: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._kinds: set[type] = {float, int}

    def add(self, row: Row, metrics: Any, values: Mapping[str, Any]) -> list[Exception]:
        """Add what `log_step` was given to a row; what is wrong with some is returned.

        Args:
          row: Takes every value that is right.
          metrics: Whole metrics, whose reduction is launched here, a mapping, or None.
          values: Scalars by name.
        """
        errors: list[Exception] = []
        if isinstance(metrics, Mapping):
            self._add(row, metrics, errors)
        elif metrics is not None:
            _add_whole(row, metrics, errors)
        if values:
            self._add(row, values, errors)
        return errors

    def _add(
        self, row: Row, values: Mapping[str, Any], errors: list[Exception]
    ) -> None:
        new = not row.parts
        names = row.split, tuple(values)
        if new and (keys := self._keys.get(names)) is not None:
            if set(map(type, values.values())) <= self._kinds:
                row.parts = dict(zip(keys, values.values()))
                return
        for name, value in values.items():
            try:
                full = name if name in COUNT_FIELDS else key(name, row.split)
                row.add(full, reference(name, value))
            except (TypeError, ValueError, RuntimeError) as error:
                errors.append(error)
                continue
            if is_array(value):
                self._kinds.add(type(value))
        if new and not errors and len(self._keys) < _MOST:
            self._keys[names] = tuple(row.parts)


def is_array(value: object) -> bool:
    """Whether it is an array of JAX; asking does not import it."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def reference(name: str, value: Any) -> object:
    """A number, or a scalar that lies on a device.

    Args:
      name: What the user called it, for the error.
      value: A number of Python or NumPy, an array of rank 0, or a scalar of JAX.

    Raises:
      TypeError: It is no number, or one that does not exist yet.
      RuntimeError: The array was deleted.
    """
    try:
        if not is_array(value):
            return scalar(value)
        if isinstance(value, sys.modules["jax"].core.Tracer):
            raise TypeError("a value within jit has no number yet")
        if value.ndim:
            raise TypeError(f"an array of shape {value.shape} is not a number")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"log_step() got {name!r}: {error}. Log scalars, after the compiled step; "
            f"pass a metric or a Collection as metrics=."
        ) from None
    if value.is_deleted():
        raise RuntimeError(
            f"log_step() got {name!r}, whose array has been deleted, as donated ones "
            f"are. Log a value that the step returns and is not given again."
        )
    return value


def _add_whole(row: Row, metrics: Any, errors: list[Exception]) -> None:
    if not hasattr(metrics, "compute") or isinstance(metrics, type):
        errors.append(
            TypeError(
                f"log_step() got metrics of type {type(metrics).__name__}, expected a "
                f"Metric, a Collection or a mapping. Log scalars by name: loss=loss."
            )
        )
        return
    from jaxmetrics.core import snapshot

    try:
        row.add_later(snapshot(metrics).compute)
    except Exception as error:
        errors.append(
            RuntimeError(
                f"log_step() could not reduce metrics={type(metrics).__name__} "
                f"({error}). Log the metrics that the last step returned."
            )
        )
