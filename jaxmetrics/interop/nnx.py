"""Metrics as an nnx module with their state in variables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics._lazy import optional
from jaxmetrics.core import Collection, Deferred, Metric, is_deleted, updated

with optional("jaxmetrics.interop.nnx", "flax"):
    from flax import nnx
    from flax.errors import TraceContextError

__all__ = ["Metrics"]


class Metrics(nnx.metrics.Metric):
    """Metrics that are updated in-place, as usual in nnx.

    Every leaf of the state is an `nnx.metrics.MetricState` under its name
    (`state/accuracy/correct`), which is split, merged, filtered, donated and saved
    with the rest of a model. Updates do not change types, so nothing is traced again.

    Pass the module to the nnx transform that updates it. Plain `jax.jit` does not
    return in-place updates: split and merge there, or pass immutable metrics.

    Args:
      metrics: Metric, Collection, or the deferred form of one. With a mesh, pass
        `metrics.place(mesh)` or `metrics.deferred(mesh)`.

    Example:
      >>> import jaxmetrics as jm
      >>> from flax import nnx
      >>> metrics = Metrics(jm.Collection(loss=jm.Mean("loss")))
      >>> @nnx.jit
      ... def step(metrics, loss):
      ...     metrics.update(loss=loss)
      >>> step(metrics, 2.0)
      >>> {name: float(value) for name, value in metrics.compute().items()}
      {'loss': 2.0}
    """

    def __init__(self, metrics: Metric | Collection | Deferred) -> None:
        """Create a variable for every array of the state."""
        self.state = nnx.data(jax.tree.map(_variable, metrics))

    @property
    def metrics(self) -> Any:
        """State as an immutable value, to log, merge, reduce or save.

        Raises:
          RuntimeError: The arrays were donated, or the module is abstract.
        """
        value = jax.tree.map(lambda v: v.get_value(), self.state, is_leaf=_is_variable)
        for x in jax.tree.leaves(value):
            if isinstance(x, jax.ShapeDtypeStruct):
                raise RuntimeError(
                    "Metrics: the module has types but no arrays, as after "
                    "nnx.eval_shape. Restore a state with nnx.update(metrics, state)."
                )
            if is_deleted(x):
                raise RuntimeError(
                    "Metrics: the arrays were donated to a step whose result was not "
                    "stored in the module. Store it with nnx.update(metrics, state), "
                    "or donate through nnx.jit."
                )
        return value

    def assign(self, metrics: Metric | Collection | Deferred) -> None:
        """Replace the state by an immutable one, such as a restored state.

        Raises:
          TypeError: It has other metrics or another configuration.
        """
        expected = jax.tree.structure(self.state, is_leaf=_is_variable)
        if jax.tree.structure(metrics) != expected:
            raise TypeError(
                f"Metrics.assign got {metrics!r}; expected a state of {self.state!r}. "
                "Create both from the same metrics."
            )
        with _with_advice("assign"):
            self._set(metrics)

    def update(self, **outputs: Any) -> None:
        """Add one batch, in-place.

        Raises:
          RuntimeError: The module belongs to another trace.
          TypeError: An output is missing, misspelt or has a wrong type.
          ValueError: Shapes do not fit.
        """
        with _with_advice("update"):
            metrics = self.metrics
            # In a MultiMetric another member may read what a single metric does not.
            single = isinstance(metrics, Metric)
            new = updated(metrics, outputs) if single else metrics.update(**outputs)
            self._set(new)

    def reset(self) -> None:
        """Empty the metrics in-place, on the same devices."""
        with _with_advice("reset"):
            self._set(self.metrics.empty())

    def compute(self) -> Any:
        """Return the values; every process calls it for global and deferred metrics."""
        with _with_advice("compute"):
            return self.metrics.compute()

    def _set(self, metrics: Any) -> None:
        variables = jax.tree.leaves(self.state, is_leaf=_is_variable)
        for variable, x in zip(variables, jax.tree.leaves(metrics), strict=True):
            variable.set_value(jnp.asarray(x))


def _variable(x: Any) -> nnx.metrics.MetricState:
    return nnx.metrics.MetricState(jnp.asarray(x))


def _is_variable(x: Any) -> bool:
    return isinstance(x, nnx.Variable)


@contextlib.contextmanager
def _with_advice(method: str) -> Iterator[None]:
    try:
        yield
    except TraceContextError as error:
        raise RuntimeError(
            f"Metrics.{method}: the module was created outside the current jit, grad, "
            "scan or vmap, and is not among its arguments. Pass it as an argument of "
            "the nnx transform, or return the outputs and update outside."
        ) from error
    except jax.errors.UnexpectedTracerError as error:
        raise RuntimeError(
            f"Metrics.{method}: the module, or an output, was created inside a jit, "
            "grad, scan or vmap that has ended. Create the module outside and pass it "
            "in, and return the outputs."
        ) from error
