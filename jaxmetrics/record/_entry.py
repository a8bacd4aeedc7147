"""Entries of a metrics log: training steps with a fixed set of fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxmetrics.record._json import number

_FLOAT_FIELDS = ("wall_time_ms", "loss", "grad_norm", "throughput_samples_per_sec")


@dataclass(frozen=True)
class MetricsEntry:
    """One training step of a `MetricsLog`.

    Attributes:
      step: Number of completed optimizer updates.
      wall_time_ms: Milliseconds since the start of training.
      loss: Loss; may be NaN.
      grad_norm: Norm of the gradient.
      throughput_samples_per_sec: Samples per second.
      extra: Further values by name, sorted by name.

    Raises:
      TypeError: The step is not an integer, a value is not a number, or a name is not
        a string.
      ValueError: The step is negative or has more than 63 bits, or a value is an
        integer too large for a float.
    """

    step: int
    wall_time_ms: float
    loss: float
    grad_norm: float
    throughput_samples_per_sec: float
    extra: Mapping[str, float | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Convert all values to Python numbers."""
        step = _plain("step", self.step)
        if not isinstance(step, int):
            raise TypeError(
                f"MetricsEntry got a step of type {type(self.step).__name__}, expected "
                f"an int. Count completed updates."
            )
        if not 0 <= step < 2**63:
            raise ValueError(
                f"MetricsEntry got step {step}, expected 0 to 2**63 - 1. Count "
                f"completed updates."
            )
        object.__setattr__(self, "step", step)
        for name in _FLOAT_FIELDS:
            object.__setattr__(self, name, _real(name, getattr(self, name)))
        if not isinstance(self.extra, Mapping) or not all(
            isinstance(name, str) for name in self.extra
        ):
            raise TypeError(
                f"MetricsEntry got extra={self.extra!r}, expected numbers by name. "
                f"Pass a dict whose keys are strings."
            )
        extra = {name: _plain(name, self.extra[name]) for name in sorted(self.extra)}
        object.__setattr__(self, "extra", extra)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> MetricsEntry:
        """Return the entry of a row read from a file; unknown fields are ignored.

        Raises:
          TypeError: A field is missing or not a number.
          ValueError: As for the entry itself.
        """
        missing = [name for name in ("step", *_FLOAT_FIELDS) if name not in row]
        if missing:
            raise TypeError(f"a row without {', '.join(missing)}")
        extra = row.get("extra", {})
        if isinstance(extra, dict):
            extra = {name: number(value) for name, value in extra.items()}
        values = {name: number(row[name]) for name in _FLOAT_FIELDS}
        return cls(row["step"], extra=extra, **values)

    def line(self) -> dict[str, object]:
        """Return the row to write, with the fields in their order."""
        return {name: getattr(self, name) for name in ("step", *_FLOAT_FIELDS, "extra")}


def _real(name: str, value: Any) -> float:
    try:
        return float(_plain(name, value))
    except OverflowError:
        raise ValueError(
            f"MetricsEntry got a {name} that is too large for a float, expected a "
            f"float. Pass math.inf."
        ) from None


def _plain(name: str, value: Any) -> float | int:
    """Return a Python number for a number of any type except bool."""
    array = np.asarray(value)
    if array.ndim == 0 and not isinstance(value, bool):
        if array.dtype.kind in "iu" or isinstance(value, int):
            return int(value)
        if array.dtype.kind == "f" or array.dtype.name.startswith(("bfloat", "float")):
            return float(array)
    raise TypeError(
        f"MetricsEntry got {name}={value!r} of type {type(value).__name__}, expected a "
        f"number. Convert it first."
    )
