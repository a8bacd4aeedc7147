"""Declarations of leaves: `correct: Array = count_leaf()` in a Metric's class body.

Their `init` is for type checkers only, which learn from its type that a leaf is no
argument of the constructor.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._buffer_kind import Buffer
from jaxmetrics.core._comoments_kind import Comoments
from jaxmetrics.core._exact_kind import ExactSum
from jaxmetrics.core._grid_kind import Grid
from jaxmetrics.core._kinds import (
    Count,
    Free,
    IntegerMax,
    IntegerMin,
    Max,
    Min,
    Sum,
)
from jaxmetrics.core._moments_kind import Moments

NotInInit = Literal[False]
Kind = (
    Count
    | Sum
    | ExactSum
    | Max
    | IntegerMax
    | Moments
    | Comoments
    | Buffer
    | Grid
    | Free
)


class _Unset:
    """Value of a state field until construction fills in the empty state."""

    def __repr__(self) -> str:
        return "unset"


UNSET = _Unset()


def count_leaf(
    dims: str = "", weighted: str | None = None, *, init: NotInInit = False
) -> Any:
    """Declare a counter, exact to 2^62, over up to 65,536 devices.

    `observe` returns `count_where(...)`, `count_at(...)`, `total(...)` of integers, or
    other integers that are not negative. A negative one is refused; under jit, where
    its value is not known, it is taken modulo 2^32.

    Args:
      dims: Configuration fields (or numbers) that are its shape: `"classes classes"`.
      weighted: Bool configuration field; if it is true the leaf is a sum leaf.
    """
    return _declare(dims, "count", weighted)


def sum_leaf(
    dims: str = "",
    reproducible: bool = False,
    *,
    moments: str | None = None,
    init: NotInInit = False,
) -> Any:
    """Declare a float sum; `observe` returns `total(...)`.

    Its error is at most (merges + 8) x 2^-48 of the sum of magnitudes.

    Args:
      dims: Configuration fields (or numbers) that are its shape.
      reproducible: Hold the exact sum, which reads as the next float64 on the host: the
        same bits under any order, batching and sharding. The state has 48 bytes in
        place of 8. `metric.reproducible()` turns it on for all leaves.
      moments: Bool configuration field; if it is true the leaf is a moments leaf, and
        `observe` returns `moments(...)`; of weights if its field `weighted` is true.
    """
    return _declare(dims, "sum", reproducible=reproducible, moments=moments)


def max_leaf(
    dims: str = "", dtype: Any = np.float32, *, init: NotInInit = False
) -> Any:
    """Declare a largest value; -inf without data, and NaN survives any sharding.

    Args:
      dims: Configuration fields (or numbers) that are its shape.
      dtype: float32, which refuses integers that it may round; or int32, which takes
        integers only, int32 and uint32, and reads exactly as they are on the host.
    """
    return _declare(dims, "max", dtype=_extreme_dtype("max_leaf", dtype))


def min_leaf(
    dims: str = "", dtype: Any = np.float32, *, init: NotInInit = False
) -> Any:
    """Declare a smallest value; inf without data, and NaN survives any sharding.

    Args:
      dims: Configuration fields (or numbers) that are its shape.
      dtype: float32 or int32; see `max_leaf`.
    """
    return _declare(dims, "min", dtype=_extreme_dtype("min_leaf", dtype))


def moments_leaf(
    dims: str = "", weighted: str | None = None, *, init: NotInInit = False
) -> Any:
    """Declare a count, mean and variance; `compute` sees `.n`, `.mean`, `.variance`.

    With weights `.n` is their sum, and `.effective_n` the number of equal weights whose
    mean has the same variance. The variance is right within 1e-6 at a mean of 1e6
    standard deviations.
    """
    return _declare(dims, "moments", weighted)


def comoments_leaf(
    dims: str = "", weighted: str | None = None, *, init: NotInInit = False
) -> Any:
    """Declare means, variances and covariance of two series.

    `observe` returns `comoments(x, y)`, and `compute` sees `.n`, `.mean_x`, `.mean_y`,
    `.mean_difference`, `.variance_x`, `.variance_y` and `.covariance`. The covariance
    is right within 1e-6 of the product of the standard deviations, also at means of
    1e6 standard deviations.

    Args:
      dims: Configuration fields (or numbers) that are its shape.
      weighted: Bool configuration field; if it is true the count is a sum of weights.
    """
    return _declare(dims, "comoments", weighted)


def buffer_leaf(capacity: str | int, dims: str = "", *, init: NotInInit = False) -> Any:
    """Declare a buffer of rows: up to `capacity` in all, or `compute` raises.

    `observe` returns a tuple (rows, mask), with None for all rows. On the host
    `compute` sees float64 `[rows, *dims]`, under jit float32 `[capacity, *dims]` padded
    with nan. Under plain jit a sharded batch is gathered, as each device holds the
    rows; in the deferred form each keeps its own.
    """
    return _declare(dims, "buffer", capacity=str(capacity))


def grid_leaf(
    dims: str = "",
    *,
    bins: str | int,
    columns: str | int,
    weighted: str | None = None,
    init: NotInInit = False,
) -> Any:
    """Declare two histograms of scores that widen themselves, see `_grid_kind`.

    `observe` returns `grid_counts(...)`, and `compute` sees a `GridValue`.
    A batch that is sharded under plain jit is counted where it lies. But weighted
    scores are gathered if two of their axes are sharded, as with `P("data", "model")`.

    Args:
      dims: Configuration fields (or numbers) that are its shape: one pair of
        histograms each.
      bins: Number of cells of a histogram, a power of two, at least 4.
      columns: Number of labels whose scores are counted separately.
      weighted: Bool configuration field; if it is true counts are sums of weights.
    """
    return _declare(dims, "grid", weighted, grid=(str(bins), str(columns)))


def leaf(
    dims: str = "",
    dtype: Any = np.float32,
    fill: float = 0,
    *,
    init: NotInInit = False,
) -> Any:
    """Declare a leaf that the class's own `merge` combines.

    Reducing it over devices gathers it: devices x its bytes.

    Args:
      dims: Configuration fields (or numbers) that are its shape.
      dtype: A 32-bit type.
      fill: Value of the empty state.
    """
    if np.dtype(dtype).itemsize != 4:
        raise TypeError(
            f"leaf() got dtype {np.dtype(dtype)}; a leaf has a 32-bit type. Use "
            "float32, int32 or uint32."
        )
    return _declare(dims, "free", dtype=np.dtype(dtype), fill=fill)


@dataclasses.dataclass(frozen=True)
class Leaf:
    """Declaration of a leaf; a metric's configuration decides its kind and shape.

    Args:
      dims: Configuration fields or numbers.
      name: "count", "sum", "max", "min", "moments", "comoments",
        "buffer", "grid" or "free".
      weighted: Configuration field that makes a count a sum of weights.
      reproducible: True for a sum that is exact whatever the metric's configuration.
      moments: Configuration field that makes a sum moments.
      capacity: Configuration field or number, for a buffer.
      grid: Configuration fields or numbers of a grid: bins and columns.
      dtype: Type of a free leaf, or of an extreme.
      fill: Value of the empty state of a free leaf.
    """

    dims: tuple[str, ...]
    name: str
    weighted: str | None = None
    reproducible: bool = False
    moments: str | None = None
    capacity: str = ""
    grid: tuple[str, ...] = ()
    dtype: Any = None
    fill: float = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the configuration fields that decide the kind and the shape."""
        sizes = (*self.dims, self.capacity, *self.grid)
        named = [size for size in sizes if size and not size.isdigit()]
        return (*named, *filter(None, (self.weighted, self.moments)))

    def layout(self, metric: Any) -> LeafLayout:
        """Return the kind and shape in the configuration of a metric."""
        kind = self._kind(metric)
        shape: tuple[int, ...] = sum((_sizes(dim, metric) for dim in self.dims), ())
        if isinstance(kind, Grid):
            shape = (*shape, kind.cells)
        return LeafLayout(kind, shape, self.dims)

    def _kind(self, metric: Any) -> Kind:
        weighted = self.weighted is not None and bool(getattr(metric, self.weighted))
        if self.moments is not None and getattr(metric, self.moments):
            return Moments(bool(getattr(metric, "weighted", False)))
        match self.name:
            case "count" if not weighted:
                return Count()
            case "count" | "sum":
                exact = self.reproducible or metric.reproducible_sums
                return ExactSum() if exact else Sum()
            case "max":
                return IntegerMax() if self.dtype.kind == "i" else Max()
            case "min":
                return IntegerMin() if self.dtype.kind == "i" else Min()
            case "moments":
                return Moments(weighted)
            case "comoments":
                return Comoments(weighted)
            case "buffer":
                return Buffer(*_sizes(self.capacity, metric))
            case "grid":
                bins, columns = (_sizes(size, metric)[0] for size in self.grid)
                return Grid(bins, columns, weighted)
            case _:
                return Free(self.dtype, self.fill)


class LeafLayout:
    """A leaf of one configuration: how its state is stored, merged and read.

    A kind with several parts (a count has two limbs) works on states whose first axis
    is that of the parts. In the metric that axis lies before the leaf's own: at axis
    -1 - len(shape), after any batch axes. A count of shape [3] over 8 shards is
    uint32 [8, 2, 3]; `front` makes it [2, 8, 3] and `back` undoes that.

    Args:
      kind: Arithmetic of the leaf.
      shape: Shape without the axis of the parts.
      dims: The declared dims, for errors.
    """

    def __init__(
        self, kind: Any, shape: tuple[int, ...], dims: tuple[str, ...]
    ) -> None:
        """Derive the full shape and the axis of the parts."""
        self.kind = kind
        self.shape = shape
        self.stored_shape: tuple[int, ...] = (
            (kind.parts, *shape) if kind.parts else shape
        )
        self._dims = dims
        self._axis = -1 - len(shape) if kind.parts else None

    def empty(self) -> Any:
        """Return the identity as a read-only host array; no device is touched."""
        state = np.full(self.stored_shape, self.kind.fill, self.kind.dtype)
        state.flags.writeable = False
        return state

    def encode(self, value: Any) -> Any:
        """Return the state of a contribution or of a plain value.

        Raises:
          TypeError: The value is not of the declared kind.
          ValueError: The value is not of the declared shape.
        """
        parts = self.kind.encode(value)
        state = _stack(parts) if isinstance(parts, tuple) else parts
        if np.shape(state) != self.stored_shape:
            shape = np.shape(state)[1:] if self.kind.parts else np.shape(state)
            names = f" ({' '.join(self._dims)})" if self._dims else ""
            raise ValueError(f"has shape {shape} but is declared {self.shape}{names}")
        return state

    def merge(self, a: Any, b: Any) -> Any:
        """Return the state of both samples; leading axes are batch axes."""
        return self.back(self.kind.merge(self.front(a), self.front(b)))

    def decode(self, state: Any, host: bool) -> Any:
        """Return the value that `compute` sees."""
        return self.kind.decode(self.front(state), host)

    def front(self, state: Any) -> Any:
        """Move the axis of the parts to the front."""
        if self._axis is None or state.ndim == len(self.stored_shape):
            return state
        xp = np if isinstance(state, np.ndarray) else jnp
        return xp.moveaxis(state, self._axis, 0)

    def back(self, state: Any) -> Any:
        """Move the axis of the parts back; undoes `front`."""
        state = _stack(state) if isinstance(state, tuple) else state
        if self._axis is None or state.ndim == len(self.stored_shape):
            return state
        return jnp.moveaxis(state, 0, self._axis)


def declare(declaration: Leaf, *, init: NotInInit = False) -> Any:
    """Return the dataclass field of a leaf."""
    return dataclasses.field(
        default=UNSET, kw_only=True, repr=False, metadata={"leaf": declaration}
    )


def _declare(dims: str, name: str, weighted: str | None = None, **more: Any) -> Any:
    names = dims.split() if isinstance(dims, str) else None
    if names is None or not all(n.isidentifier() or n.isdigit() for n in names):
        raise TypeError(
            f"{'leaf' if name == 'free' else name + '_leaf'}() got dims {dims!r}; they "
            "are names of fields or numbers in one string, with spaces between them. "
            'Write "classes 3", or "" for a scalar.'
        )
    return declare(Leaf(tuple(dims.split()), name, weighted, **more))


def _extreme_dtype(name: str, dtype: Any) -> np.dtype[Any]:
    dtype = np.dtype(dtype)
    if dtype not in (np.dtype(np.float32), np.dtype(np.int32)):
        raise TypeError(
            f"{name}() got dtype {dtype}; an extreme is float32 or int32, which holds "
            "uint32 too. Use one of these."
        )
    return dtype


def _sizes(dim: str, metric: Any) -> tuple[int, ...]:
    size = int(dim) if dim.isdigit() else getattr(metric, dim)
    sizes = size if isinstance(size, tuple) else (size,)
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in sizes):
        raise ValueError(
            f"{type(metric).__name__}: {dim} is {size!r}, but is the size of a leaf. "
            "Pass an integer of at least 0, or a tuple of them."
        )
    return sizes


def _stack(parts: tuple[Any, ...]) -> Any:
    for part in parts:
        if isinstance(part, jax.Array):
            return jnp.stack(parts)
    return np.stack(parts)
