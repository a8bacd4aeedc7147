"""Max, Min and Last of an output."""

from __future__ import annotations

from collections.abc import Mapping
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
    replicated_once,
)

_FLOAT32, _INT32, _UINT32 = 1, 2, 3  # types of the last value
_TYPE = np.uint32(3)  # bits of `seen` that hold the type; the others hold the age
_OLDEST = np.uint32((1 << 30) - 1)  # age at which it stays


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
        if xp is np and _all_integers(self.largest_integer, self.largest, -np.inf):
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
        if xp is np and _all_integers(self.smallest_integer, self.smallest, np.inf):
            return self.smallest_integer
        value = xp.minimum(self.smallest, self.smallest_integer)
        return xp.where(self.count > 0, value, np.nan)[()]


class Last(Statistic):
    """Last value of an output that was not masked; nan without data.

    Order matters, so `merge` is not commutative: the right operand wins if it has a
    value. Of an array the last entry in row-major order counts; over devices that of
    the latest update, and of one update that of the device with the highest index.

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
    # The type of the last value, 0 without one, and above these two bits its age: the
    # number of updates after it (without a value, of all updates). Shards that saw the
    # same updates have the same clock, so the younger value is the later one.
    seen: Array = leaf(dtype=np.uint32)

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
        real, bits = value, jnp.uint32(0)
        if kind != _FLOAT32:
            real, bits = jnp.float32(0), value.astype(jnp.uint32)
        seen = jnp.where(last >= 0, jnp.uint32(kind), _seen(jnp.uint32(0), 1))
        return dict(value=real, integer=bits, seen=seen)

    def merge(self, other: Any) -> Self:
        """Return the value of `other`, or of this metric if `other` has none."""
        is_later = _type(other.seen) > 0
        age = jnp.minimum(_age(self.seen) + _age(other.seen), _OLDEST)
        return self._chosen(other, is_later, _seen(_type(self.seen), age))

    def merge_shards(self, other: Any) -> Self:
        """Return the younger value, of two of one age that of `other`."""
        age, other_age = (
            jnp.where(_type(x.seen) > 0, _age(x.seen), _OLDEST + np.uint32(1))
            for x in (self, other)
        )
        return self._chosen(other, other_age <= age, jnp.asarray(self.seen))

    def updated(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state with one more batch, without a check of the names.

        A batch that is the same on all devices is counted on the first one. The values
        of the others age all the same.
        """
        state, batch = replicated_once(self, self.contribution(outputs))
        seen = jnp.asarray(batch.seen)
        seen = jnp.where(_type(seen) > 0, seen, _seen(jnp.uint32(0), 1))
        return state.merge(batch.with_fields(seen=seen))

    def _chosen(self, other: Any, is_later: Any, own_seen: Any) -> Self:
        """Return the value of `other` where it is later, else this with `own_seen`."""
        later = {
            name: jnp.where(is_later, getattr(other, name), own)
            for name, own in (
                ("value", self.value),
                ("integer", self.integer),
                ("seen", own_seen),
            )
        }
        return super().merge(other).with_fields(**later)

    def compute(self) -> Any:
        """Return the value, in the unit of the output."""
        xp = namespace(self)
        host = xp is np
        kind = self.seen & int(_TYPE)
        if host and not np.ndim(kind):
            return _last_of_scalars(self.value, self.integer, int(kind))
        wide = np.int64 if host else np.float32
        wide_nan = (np.float64 if host else np.float32)(np.nan)
        bits = xp.asarray(self.integer).astype(np.uint32)
        signed = bits.astype(np.int32).astype(wide)
        integer = xp.where(kind == _INT32, signed, bits.astype(wide))
        if host and np.all(kind >= _INT32):
            return integer[()]
        real = xp.where(kind == 0, wide_nan, self.value)
        return xp.where(kind >= _INT32, integer, real)[()]


def _type(seen: Any) -> Any:
    return jnp.asarray(seen) & _TYPE


def _age(seen: Any) -> Any:
    return jnp.asarray(seen) >> 2


def _seen(kind: Any, age: Any) -> Any:
    return kind | jnp.asarray(age, jnp.uint32) << 2


def _last_of_scalars(value: Any, integer: Any, kind: int) -> Any:
    """Return the last value of one state on the host: `compute` without arrays."""
    if kind == _INT32:
        return np.int64(np.uint32(integer).astype(np.int32))
    if kind > _INT32:
        return np.int64(integer)
    return np.float64(value if kind else np.nan)


def _all_integers(integer: Any, real: Any, no_value: float) -> bool:
    """Return whether integers, and no floats, were seen in each state of a stack."""
    is_integer = np.asarray(integer).dtype.kind == "i"
    return is_integer and bool((np.asarray(real) == no_value).all())
