"""Values of whole states: computed in one call, or copied to the host in one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._collection import Collection, flat
from jaxmetrics.core._declaration import refuse_no_metric
from jaxmetrics.core._decoding import fetch, on_host
from jaxmetrics.core._deferred import Deferred, reduce_with_marks
from jaxmetrics.core._inputs import refuse_misspelt
from jaxmetrics.core._inside import leading_axes
from jaxmetrics.core._metric import Direction, Metric
from jaxmetrics.core._unscored import warn_of_invalid
from jaxmetrics.record import Better

_SPREADS = ("std", "stderr")  # parts of values, of which none is better
_ROUNDING = 1e-9  # distance of bounds that are equal but for rounding

Metrics = Metric | Collection | Deferred


def evaluate(metric: Any, **outputs: Any) -> Any:
    """Return the value of a metric, or of a collection, on one batch.

    Entries that cannot be scored, such as labels out of range, are left out of the
    value, with a warning that has their number.

    Args:
      metric: A metric, a collection, or a metric class.
      **outputs: The batch by the names that the metric reads.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Mean("loss"), loss=[1.0, 2.0]))
      1.5
    """
    metric = metric() if isinstance(metric, type) else metric
    if isinstance(metric, Deferred):
        raise TypeError(
            "evaluate takes a metric or a collection, got a deferred state. Pass the "
            "metric itself, or call .update(...) and .compute()."
        )
    refuse_no_metric("evaluate", "metric", metric)
    refuse_misspelt(metric.reads(), outputs)
    state = metric.from_model_output(**outputs)
    if isinstance(state, Metric | Collection) and on_host(state):
        state = fetch(state)
        warn_of_invalid(state, outputs)
    return state.compute()


class Snapshot(NamedTuple):
    """A reduced state that is being copied to the host.

    `compute` waits for the copy and may run in any thread.

    Attributes:
      words: The leaves as one vector of 32-bit words, on device, then the marks.
      state: The state, of which only the structure, shapes and dtypes are used.
      stacked: The leaves have a leading shard axis, which the words do not have.
      marks_shape: Shape of the marks of all shards.
    """

    words: Any
    state: Any
    stacked: bool
    marks_shape: tuple[int, ...] = (0,)

    @property
    def name(self) -> str:
        """Name of a single metric; empty for a collection."""
        return "" if isinstance(self.state, Collection) else _name(self.state)

    def metrics(self) -> Any:
        """Return the reduced metrics with NumPy leaves; one transfer."""
        words = np.asarray(self.words)
        of_state, structure = jax.tree.flatten(self.state)
        leaves, offset = [], 0
        for leaf in of_state:
            shape = leaf.shape[1:] if self.stacked else leaf.shape
            size = int(np.prod(shape))
            part = words[offset : offset + size]
            leaves.append(part.view(leaf.dtype).reshape(shape))
            offset += size
        return jax.tree.unflatten(structure, leaves)

    def marks(self) -> np.ndarray:
        """Return the marks of all shards, zeros where there is no shard."""
        words = np.asarray(self.words)
        size = math.prod(self.marks_shape)
        return words[len(words) - size :].reshape(self.marks_shape)

    def compute(self) -> dict[str, Any]:
        """Return the values by name, a metric's by its output or class."""
        return self._values(self.metrics())

    def record(self, split: str) -> dict[str, Any]:
        """Return the values by name, and diagnostics as `health/{what}/{split}/...`.

        For a metric with `bounds()`, `{name}_error_bound` is the largest possible error
        of the value; it is left out where the bounds are equal. For a metric that
        cannot be computed, such as one with a full buffer, the value is the error.
        """
        metrics = self.metrics()
        if isinstance(metrics, Collection):
            named = list(metrics.items())
        else:
            named = [(self.name, metrics)]
        try:
            values = self._values(metrics)
        except Exception:
            values = _values_or_errors(named)
            named = [x for x in named if not isinstance(values.get(x[0]), Exception)]
        values |= _error_bounds(named, values)
        for name, metric in named:
            for what, value in metric.diagnostics().items():
                values[f"health/{what}/{split}/{name}"] = value
        return values

    def better(self, values: Mapping[str, Any]) -> dict[str, Better]:
        """Return the directions that the metrics declare, by name of the value.

        Args:
          values: Values that `record` returned.
        """
        declared = self.state.higher_is_better
        if not isinstance(self.state, Collection):
            declared = {self.name: declared}
        known: dict[str, Better] = {}
        for path in values:
            name = path
            while name and name not in declared:
                name = name.rpartition("/")[0]
            higher = _declared(declared.get(name), path.removeprefix(name)[1:])
            if higher is not None:
                known[path] = "max" if higher else "min"
        return known

    def _values(self, metrics: Any) -> dict[str, Any]:
        value, name = metrics.compute(), self.name
        return flat(name, value) if name else value


def snapshot(metrics: Metrics, marks: Any = None) -> Snapshot:
    """Reduce a state and start to copy it in one launch, without waiting.

    The state may be donated right after. If the metrics are deferred or global, every
    process has to call it.

    Args:
      metrics: Metric, collection, or the deferred form of one.
      marks: Array of uint32, `[shards, ...]`, that is reduced with a deferred state;
        each shard has entries of its own and zeros.

    Raises:
      ValueError: The metrics are a stack of states, as pmap and vmap return them.
    """
    stacked = isinstance(metrics, Deferred)
    state = metrics.state if isinstance(metrics, Deferred) else metrics
    marks = marks if stacked else None
    words = _words(metrics, marks)
    shape = (0,) if marks is None else marks.shape[1:]
    return Snapshot(words, state, stacked, shape)


def _refuse_stack(metrics: Any) -> None:
    """Refuse states with a leading axis: a record would get one value for each."""
    named = metrics.items() if isinstance(metrics, Collection) else [("", metrics)]
    for _, metric in named:
        axes = leading_axes(metric) if isinstance(metric, Metric) else 0
        if axes:
            shape = np.shape(jax.tree.leaves(metric)[0])[:axes]
            raise ValueError(
                f"{type(metric).__name__} is a stack of states, of shape {shape}, as "
                "pmap and vmap return them when nothing was reduced. For one total "
                "pass metrics.reduce(); for one value each, compute each state: "
                "jax.tree.map(lambda x: x[i], metrics).compute()"
            )


@jax.jit
def _words(metrics: Metrics, marks: Any) -> jax.Array:
    """Return all leaves as one vector of 32-bit words: one buffer to copy."""
    total: Any = metrics
    if isinstance(metrics, Deferred):
        total = reduce_with_marks(metrics, marks)
    else:
        _refuse_stack(metrics)
    words = [
        jnp.asarray(x)
        if x.dtype == jnp.uint32
        else lax.bitcast_convert_type(x, jnp.uint32)
        for x in jax.tree.leaves(total)  # the marks, behind the totals, are the last
    ]
    return jnp.concatenate([word.ravel() for word in words])


def _values_or_errors(named: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the values by name, and the error of each metric that has none."""
    values: dict[str, Any] = {}
    for name, metric in named:
        try:
            values |= flat(name, metric.compute())
        except Exception as error:
            values[name] = error
    return values


def _error_bounds(named: Iterable[tuple[str, Any]], values: Any) -> dict[str, float]:
    """Return the distance of scalar values to the farther of their bounds, by name."""
    errors = {}
    for name, metric in named:
        if getattr(metric, "bounds", None) is None:
            continue
        low, high = (flat(name, bound) for bound in metric.bounds())
        for path in low:
            key, value = f"{path}_error_bound", values.get(path)
            if value is None or key in values or np.ndim(value):
                continue
            error = max(float(high[path] - value), float(value - low[path]))
            if error > _ROUNDING:  # not of nan
                errors[key] = error
    return errors


def _declared(declared: Direction, part: str) -> bool | None:
    """Return whether higher is better of a value, or of a part of one.

    Parts of a metric of each group, or inside another one, have longer names.
    """
    while isinstance(declared, Mapping):
        if part in declared:
            declared, part = declared[part], ""
        elif "/" in part:
            part = part.partition("/")[2]
        else:
            return None
    return None if part.rpartition("/")[2] in _SPREADS else declared


def _name(metric: Metric) -> str:
    output = getattr(metric, "output", "values")
    if output != "values":
        return output
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(metric).__name__)
    return words.lower()
