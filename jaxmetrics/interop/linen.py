"""Train state of flax linen with metrics, and serialization of metrics by flax."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from jaxmetrics._lazy import optional
from jaxmetrics.core import Collection, Deferred, from_saved, saved_form

with optional("jaxmetrics.interop.linen", "flax"):
    from flax import serialization, struct
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
        """
        serializable(type(metrics))
        return super().create(metrics=metrics, **fields)

    def update_metrics(self, **outputs: Any) -> Self:
        """Return the state with metrics updated by one batch."""
        return self.replace(metrics=self.metrics.update(**outputs))

    def reset_metrics(self) -> Self:
        """Return the state with empty metrics, on the same devices."""
        return self.replace(metrics=self.metrics.empty())


def serializable(*classes: type) -> None:
    """Register metric classes with `flax.serialization` (`to_bytes`, `from_bytes`).

    Importing this module registers collections and deferred metrics, and `create` the
    class of the metrics in a train state. States are saved by name and can be restored
    on another number of devices, or with metrics added or removed, as checkpoints can.
    """
    for cls in classes:
        serialization.register_serialization_state(
            cls, _to_state_dict, _from_state_dict, override=True
        )


def _to_state_dict(metrics: Any) -> dict[str, Any]:
    saved = saved_form(metrics)
    return {"layout": json.dumps(saved.layout), "arrays": dict(saved.arrays)}


def _from_state_dict(template: Any, state: Mapping[str, Any]) -> Any:
    arrays = {name: np.asarray(x) for name, x in state["arrays"].items()}
    metrics, _ = from_saved(template, json.loads(state["layout"]), arrays)
    return metrics


serializable(Collection, Deferred)
