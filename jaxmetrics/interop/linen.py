"""Train state of flax linen with metrics."""

from __future__ import annotations

from typing import Any, Self

from jaxmetrics._lazy import optional
from jaxmetrics.core import Collection, Deferred, Metric, register_with_flax

with optional("jaxmetrics.interop.linen", "flax"):
    from flax import struct
    from flax.training import train_state

__all__ = ["TrainState", "serializable"]


class TrainState(train_state.TrainState):
    """Train state of flax with a field for metrics.

    Example:
      >>> import jax, jax.numpy as jnp, optax, jaxmetrics as jm
      >>> state = TrainState.create(
      ...     apply_fn=lambda params, x: params["scale"] * x,
      ...     params={"scale": jnp.float32(1.0)},
      ...     tx=optax.sgd(0.1),
      ...     metrics=jm.Collection(loss=jm.Mean("loss")),
      ... )
      >>> @jax.jit
      ... def step(state, x):
      ...     loss, grads = jax.value_and_grad(state.apply_fn)(state.params, x)
      ...     return state.apply_gradients(grads=grads).update_metrics(loss=loss)
      >>> values = step(state, 2.0).metrics.compute()
      >>> {name: float(value) for name, value in values.items()}
      {'loss': 2.0}
    """

    metrics: Any = struct.field(pytree_node=True)

    @classmethod
    def create(cls, *, metrics: Any, **fields: Any) -> Self:
        """Return a new state; see `flax.training.train_state.TrainState.create`.

        Args:
          metrics: Metric, Collection, or the deferred form of one.
          **fields: apply_fn, params, tx and the fields of a subclass.

        Raises:
          TypeError: The metrics are something else, such as a dict or None.
        """
        _register("TrainState.create", type(metrics))
        return super().create(metrics=metrics, **fields)

    def update_metrics(self, **outputs: Any) -> Self:
        """Return the state with metrics updated by one batch."""
        return self.replace(metrics=self.metrics.update(**outputs))

    def reset_metrics(self) -> Self:
        """Return the state with empty metrics, on the same devices."""
        return self.replace(metrics=self.metrics.empty())


def serializable(*classes: type) -> None:
    """Register metric classes with `flax.serialization` (`to_bytes`, `from_bytes`).

    Classes register themselves at the first instance made after flax was imported; this
    is for a class without an instance since then.

    Raises:
      TypeError: A class is not one of metrics.
    """
    for cls in classes:
        _register("serializable", cls)


def _register(call: str, cls: type) -> None:
    """Register a class, unless it belongs to someone else, such as dict."""
    if not issubclass(cls, (Metric, Collection, Deferred)):
        raise TypeError(
            f"{call}() got {cls.__name__}, expected a Metric, a Collection or the "
            "deferred form of one. Pass several as jm.Collection(train=..., val=...)."
        )
    register_with_flax(cls)
