"""Declarations of leaves: `correct: Array = count_leaf()` in a Metric's class body.

Their `init` is only for type checkers, which learn from its type that a leaf is no
argument of the constructor.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._buffer_kind import Buffer
from jaxmetrics.core._kinds import Count, Free, Max, Min, Sum
from jaxmetrics.core._moments_kind import Moments

NotInInit = Literal[False]
Kind = Count | Sum | Max | Min | Moments | Buffer | Free


class _Unset:
    """What a state field holds until construction fills in its empty state."""

    def __repr__(self) -> str:
        return "unset"


UNSET = _Unset()


def count_leaf(
    dims: str = "", weighted: str | None = None, *, init: NotInInit = False
) -> Any:
    """A counter, exact to 2^62, over up to 65,536 devices.

    Args:
      dims: configuration fields (or numbers) that are its shape: `"classes classes"`.
      weighted: a bool configuration field; where it is true the leaf is a sum leaf.
    """
    return _declare(dims, "count", weighted)


def sum_leaf(dims: str = "", *, init: NotInInit = False) -> Any:
    """A float sum, relative error at most merges x 2^-48 of the sum of magnitudes."""
    return _declare(dims, "sum")


def max_leaf(dims: str = "", *, init: NotInInit = False) -> Any:
    """The largest float32; NaN survives any sharding."""
    return _declare(dims, "max")


def min_leaf(dims: str = "", *, init: NotInInit = False) -> Any:
    """The smallest float32; NaN survives any sharding."""
    return _declare(dims, "min")


def moments_leaf(
    dims: str = "", weighted: str | None = None, *, init: NotInInit = False
) -> Any:
    """Count, mean and variance; `compute` sees `.n`, `.mean`, `.variance`.

    The variance is right within 1e-6 at a mean of 1e6 standard deviations.
    """
    return _declare(dims, "moments", weighted)


def buffer_leaf(capacity: str | int, dims: str = "", *, init: NotInInit = False) -> Any:
    """Rows, kept up to `capacity` in all: exact, or an error in `compute`.

    `observe` returns (rows, mask). On the host `compute` sees float64
    `[rows, *dims]`, under jit float32 `[capacity, *dims]` with nan where no row is.
    """
    return _declare(dims, "buffer", capacity=str(capacity))


def leaf(
    dims: str = "",
    dtype: Any = np.float32,
    fill: float = 0,
    *,
    init: NotInInit = False,
) -> Any:
    """A leaf that the class's own `merge` combines; costs devices x its bytes.

    Args:
      dims: configuration fields (or numbers) that are its shape.
      dtype: a 32-bit type.
      fill: the value of the empty state.
    """
    if np.dtype(dtype).itemsize != 4:
        raise TypeError(f"a leaf is of a 32-bit type, got {np.dtype(dtype)}")
    return _declare(dims, "free", dtype=np.dtype(dtype), fill=fill)


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One declaration; its kind and shape follow from the metric's configuration."""

    dims: tuple[str, ...]
    name: str
    weighted: str | None = None
    capacity: str = ""
    dtype: Any = None
    fill: float = 0

    def kind(self, metric: Any) -> Kind:
        """The kind in this configuration."""
        weighted = self.weighted is not None and getattr(metric, self.weighted)
        match self.name:
            case "count":
                return Sum() if weighted else Count()
            case "sum":
                return Sum()
            case "max":
                return Max()
            case "min":
                return Min()
            case "moments":
                return Moments(bool(weighted))
            case "buffer":
                return Buffer(*_sizes(self.capacity, metric))
            case _:
                return Free(self.dtype, self.fill)

    def shape(self, metric: Any) -> tuple[int, ...]:
        """The declared shape, without parts."""
        return sum((_sizes(dim, metric) for dim in self.dims), ())

    def empty(self, metric: Any) -> np.ndarray:
        """The identity, read-only, without touching a device."""
        kind, shape = self.kind(metric), self.shape(metric)
        parts = (kind.parts,) if kind.parts else ()
        state = np.full((*parts, *shape), kind.fill, kind.dtype)
        state.flags.writeable = False
        return state

    def encode(self, metric: Any, value: Any) -> Any:
        """The state of a contribution or of a plain value.

        Raises:
          TypeError, ValueError: if the value is not of the declared kind and shape.
        """
        kind, shape = self.kind(metric), self.shape(metric)
        parts = kind.encode(value)
        state = _stack(parts) if isinstance(parts, tuple) else parts
        declared = ((kind.parts,) if kind.parts else ()) + shape
        if np.shape(state) != declared:
            given = np.shape(state)[1:] if kind.parts else np.shape(state)
            names = f" ({' '.join(self.dims)})" if self.dims else ""
            raise ValueError(f"has shape {given} but is declared {shape}{names}")
        return state

    def merge(self, metric: Any, a: Any, b: Any) -> Any:
        """The state of both samples; leading axes are batch axes."""
        kind = self.kind(metric)
        merged = kind.merge(self.front(metric, a), self.front(metric, b))
        return self.back(metric, merged)

    def decode(self, metric: Any, state: Any, host: bool) -> Any:
        """What `compute` sees."""
        return self.kind(metric).decode(self.front(metric, state), host)

    def front(self, metric: Any, state: Any) -> Any:
        """The state with the axis of its parts first."""
        axis = self._axis(metric)
        xp = np if isinstance(state, np.ndarray) else jnp
        return state if axis is None else xp.moveaxis(state, axis, 0)

    def back(self, metric: Any, state: Any) -> Any:
        """The state with its parts where they lie; undoes `front`."""
        state = _stack(state) if isinstance(state, tuple) else state
        axis = self._axis(metric)
        return state if axis is None else jnp.moveaxis(state, 0, axis)

    def _axis(self, metric: Any) -> int | None:
        return -1 - len(self.shape(metric)) if self.kind(metric).parts else None


def declare(declared: Leaf, *, init: NotInInit = False) -> Any:
    """The field of a leaf."""
    return dataclasses.field(
        default=UNSET, kw_only=True, repr=False, metadata={"leaf": declared}
    )


def _declare(dims: str, name: str, weighted: str | None = None, **more: Any) -> Any:
    return declare(Leaf(tuple(dims.split()), name, weighted, **more))


def _sizes(dim: str, metric: Any) -> tuple[int, ...]:
    size = int(dim) if dim.isdigit() else getattr(metric, dim)
    return size if isinstance(size, tuple) else (size,)


def _stack(parts: tuple[Any, ...]) -> Any:
    traced = any(isinstance(part, jax.Array) for part in parts)
    return jnp.stack(parts) if traced else np.stack(parts)
