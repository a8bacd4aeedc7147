"""Max, Min and Last of an output."""

from __future__ import annotations

from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    IntegerExtreme,
    Statistic,
    as_32bit_integers,
    count_elements,
    count_leaf,
    leaf,
    mask_like,
    max_leaf,
    maximum,
    min_leaf,
    minimum,
    namespace,
)

_FLOAT32, _INT32, _UINT32 = 1, 2, 3  # types of the last value


class Max(Statistic):
    """Largest value of an output; NaN if any value is NaN, nan without data.

    Integers of 32 bits are exact: of these the value is an int on the host, and of
    integers and floats together a float64. Under jit it is rounded to float32.

    Args:
      output: Name of the output; its values may have any shape.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Max("loss"), loss=[1.0, 5.0]))
      5.0
      >>> jm.evaluate(jm.Max("step"), step=[16_777_216, 16_777_217])
      16777217
    """

    largest: Array = max_leaf()
    largest_integer: Array = max_leaf(dtype=np.int32)
    count: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's largest value and its number of values."""
        largest, integer = maximum(values, mask), -np.inf
        if isinstance(largest, IntegerExtreme):
            largest, integer = -np.inf, largest
        return dict(
            largest=largest,
            largest_integer=integer,
            count=count_elements(values, mask),
        )

    def compute(self) -> Any:
        """Return the maximum, in the unit of the values."""
        xp = namespace(self)
        if xp is np and _all_integers(self.largest_integer, self.largest):
            return self.largest_integer
        value = xp.maximum(self.largest, self.largest_integer)
        return xp.where(self.count > 0, value, np.nan)[()]


class Min(Statistic):
    """Smallest value of an output; NaN if any value is NaN, nan without data.

    Integers of 32 bits are exact, as in `Max`.

    Args:
      output: Name of the output; its values may have any shape.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Min("loss"), loss=[1.0, 5.0]))
      1.0
    """

    smallest: Array = min_leaf()
    smallest_integer: Array = min_leaf(dtype=np.int32)
    count: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's smallest value and its number of values."""
        smallest, integer = minimum(values, mask), np.inf
        if isinstance(smallest, IntegerExtreme):
            smallest, integer = np.inf, smallest
        return dict(
            smallest=smallest,
            smallest_integer=integer,
            count=count_elements(values, mask),
        )

    def compute(self) -> Any:
        """Return the minimum, in the unit of the values."""
        xp = namespace(self)
        if xp is np and _all_integers(self.smallest_integer, self.smallest):
            return self.smallest_integer
        value = xp.minimum(self.smallest, self.smallest_integer)
        return xp.where(self.count > 0, value, np.nan)[()]


class Last(Statistic):
    """Last value of an output that was not masked; nan without data.

    Order matters, so `merge` is not commutative: the right operand wins if it has a
    value. Of an array the last entry in row-major order counts; over devices that of
    the device with the highest index.

    Integers of 32 bits are exact: the value is then an int on the host. Under jit it
    is rounded to float32.

    Args:
      output: Name of the output; its values may have any shape.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Last("loss"), loss=[1.0, 5.0], mask=[True, False]))
      1.0
    """

    value: Array = leaf()
    integer: Array = leaf(dtype=np.uint32)  # its bits
    seen: Array = leaf(dtype=np.uint32)  # 0 no value, else the type of the last one

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's last value, its bits if an integer, and its type."""
        values = jnp.asarray(values)
        kind = {"i": _INT32, "u": _UINT32}.get(values.dtype.kind, _FLOAT32)
        if kind == _FLOAT32:
            values = values.astype(jnp.float32)
        else:
            values = as_32bit_integers(values)
        valid = mask_like(values, mask).ravel()
        index = jnp.arange(valid.size)
        last = jnp.where(valid, index, -1).max(initial=-1)
        zero = jnp.zeros((), values.dtype)
        value = jnp.where(index == last, values.ravel(), zero).sum(dtype=values.dtype)
        has_value = last >= 0
        real, bits = value, jnp.uint32(0)
        if kind != _FLOAT32:
            real, bits = jnp.float32(0), value.astype(jnp.uint32)
        return dict(
            value=real,
            integer=bits,
            seen=jnp.where(has_value, jnp.uint32(kind), jnp.uint32(0)),
        )

    def merge(self, other: Any) -> Self:
        """Return the value of `other`, or of this metric if `other` has none."""
        other_has_value = jnp.asarray(other.seen) > 0
        names = ("value", "integer", "seen")
        later = {
            name: jnp.where(other_has_value, getattr(other, name), getattr(self, name))
            for name in names
        }
        return super().merge(other).with_fields(**later)

    def compute(self) -> Any:
        """Return the value, in the unit of the output."""
        xp = namespace(self)
        host = xp is np
        if host and not np.ndim(self.seen):
            return _last_of_scalars(self.value, self.integer, int(self.seen))
        wide = np.int64 if host else np.float32
        wide_nan = (np.float64 if host else np.float32)(np.nan)
        bits = xp.asarray(self.integer).astype(np.uint32)
        signed = bits.astype(np.int32).astype(wide)
        integer = xp.where(self.seen == _INT32, signed, bits.astype(wide))
        if host and np.all(self.seen >= _INT32):
            return integer[()]
        real = xp.where(self.seen == 0, wide_nan, self.value)
        return xp.where(self.seen >= _INT32, integer, real)[()]


def _last_of_scalars(value: Any, integer: Any, seen: int) -> Any:
    """Return the last value of one state on the host: `compute` without arrays."""
    if seen == _INT32:
        return np.int64(np.uint32(integer).astype(np.int32))
    if seen > _INT32:
        return np.int64(integer)
    return np.float64(value if seen else np.nan)


def _all_integers(integer: Any, real: Any) -> bool:
    """Return whether integers, and no floats, were seen in each state of a stack."""
    return np.asarray(integer).dtype.kind == "i" and bool(np.isinf(real).all())
