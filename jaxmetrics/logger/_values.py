"""What `log_step` is given, checked and named in the training thread."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from jaxmetrics.record import key
from jaxmetrics.writers._row import FIELDS, Row, scalar

_MOST_NAMES = 2**14


class Values:
    """Puts values into rows, and remembers the keys of the names that it has seen.

    Scalars of a device stay there: a step takes a few microseconds here, and the thread
    that needs a value first copies it.
    """

    def __init__(self) -> None:
        self._keys: dict[str, dict[str, str]] = {}
        self._arrays: set[type] = set()

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
        self._add(row, values, errors)
        return errors

    def _add(
        self, row: Row, values: Mapping[str, Any], errors: list[Exception]
    ) -> None:
        keys = self._keys.setdefault(row.split, {})
        parts, arrays = row.parts, self._arrays
        for name, value in values.items():
            kind, full = type(value), keys.get(name)
            known = kind is float or kind is int
            if not known and kind in arrays:
                known = not value.shape and not value.is_deleted()
            if known and full is not None and full not in parts:
                parts[full] = value
                continue
            try:
                full = name if name in FIELDS else key(name, row.split)
                row.add(full, reference(name, value))
            except (TypeError, ValueError, RuntimeError) as error:
                errors.append(error)
                continue
            if len(keys) < _MOST_NAMES:
                keys[name] = full
            if is_array(value):
                arrays.add(kind)


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
