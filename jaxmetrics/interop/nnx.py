"""A metric or a collection as an nnx module: its state lives in variables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics._lazy import optional
from jaxmetrics.core import Collection, Deferred, Metric, is_deleted

with optional("jaxmetrics.interop.nnx", "flax"):
    from flax import nnx
    from flax.errors import TraceContextError

__all__ = ["Metrics"]


class Metrics(nnx.metrics.Metric):
    """Metrics that are updated in place, as nnx users expect.

    Every leaf of the state is an `nnx.metrics.MetricState` under its name
    (`state/accuracy/correct`): it splits, merges, filters, donates and is saved with
    the rest of a model. No update changes a type, so nothing is traced twice.

    Pass the module to the nnx transform that updates it. Plain `jax.jit` gives the
    caller nothing back: split and merge there, or carry the immutable metrics.

    Args:
      metrics: a metric, a collection or a deferred one. With a mesh give one that is
        placed, `metrics.place(mesh)`, or deferred.

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
        """Make a variable of every array of the state."""
        self.state = nnx.data(jax.tree.map(_variable, metrics))

    @property
    def metrics(self) -> Any:
        """The state as an immutable value, to log, merge, reduce or save.

        Raises:
          RuntimeError: if its arrays were donated, or never made.
        """
        value = jax.tree.map(lambda v: v.get_value(), self.state, is_leaf=_is_variable)
        for x in jax.tree.leaves(value):
            if isinstance(x, jax.ShapeDtypeStruct):
                raise RuntimeError(
                    "Metrics: the module has types but no arrays, as nnx.eval_shape "
                    "leaves it. Restore a state with nnx.update(metrics, state)."
                )
            if is_deleted(x):
                raise RuntimeError(
                    "Metrics: the arrays were donated to a step whose result is not "
                    "back in the module. Put it there with nnx.update(metrics, state), "
                    "or donate through nnx.jit."
                )
        return value

    def assign(self, metrics: Metric | Collection | Deferred) -> None:
        """Take over an immutable state, such as one that was restored.

        Raises:
          TypeError: if it is of other metrics or configurations.
        """
        mine = jax.tree.structure(self.state, is_leaf=_is_variable)
        if jax.tree.structure(metrics) != mine:
            raise TypeError(
                f"Metrics.assign: {metrics!r} is no state of {self.state!r}. Make both "
                "from the same metrics."
            )
        with _explained("assign"):
            self._set(metrics)

    def update(self, **outputs: Any) -> None:
        """Count one batch more, in place.

        Raises:
          RuntimeError: if the module belongs to another trace.
          TypeError: if an output is missing, misspelt or of a wrong type.
          ValueError: if shapes do not fit.
        """
        with _explained("update"):
            self._set(self.metrics.update(**outputs))

    def reset(self) -> None:
        """Start empty again, in place; the placement stays."""
        with _explained("reset"):
            self._set(self.metrics.empty())

    def compute(self) -> Any:
        """The values; of global and deferred metrics every process calls it."""
        with _explained("compute"):
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
def _explained(method: str) -> Iterator[None]:
    try:
        yield
    except TraceContextError as error:
        raise RuntimeError(
            f"Metrics.{method}: the module was made outside of the jit, grad, scan or "
            "vmap that runs here, and is not among its arguments. Pass it as an "
            "argument of the nnx transform, or return the outputs and update outside."
        ) from error
    except jax.errors.UnexpectedTracerError as error:
        raise RuntimeError(
            f"Metrics.{method}: the module, or an output, was made inside a jit, grad, "
            "scan or vmap that has ended. Make the module outside and pass it in, and "
            "return outputs from there."
        ) from error
