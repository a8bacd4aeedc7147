"""Whole states: computed in one call, or fetched in one launch and one transfer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._collection import Collection, flat
from jaxmetrics.core._deferred import Deferred
from jaxmetrics.core._metric import Metric

Metrics = Metric | Collection | Deferred


def evaluate(metric: Any, **outputs: Any) -> Any:
    """The value of a metric, or of a collection, on one batch.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Mean("loss"), loss=[1.0, 2.0]))
      1.5
    """
    metric = metric() if isinstance(metric, type) else metric
    return metric.from_model_output(**outputs).compute()


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A total on its way to the host: `compute` may run in any thread."""

    words: Any
    structure: Any
    leaves: Sequence[Any]  # of which only the shapes and dtypes are read
    stacked: bool
    name: str

    def metrics(self) -> Any:
        """The reduced metrics with NumPy leaves; one transfer."""
        words = np.asarray(self.words)
        leaves, at = [], 0
        for leaf in self.leaves:
            shape = leaf.shape[1:] if self.stacked else leaf.shape
            size = int(np.prod(shape))
            leaves.append(words[at : at + size].view(leaf.dtype).reshape(shape))
            at += size
        return jax.tree.unflatten(self.structure, leaves)

    def compute(self) -> dict[str, Any]:
        """The values by name; a lone metric's name is its output or its class."""
        value = self.metrics().compute()
        return value if self.name == "" else flat(self.name, value)


def snapshot(metrics: Metrics) -> Snapshot:
    """Reduce and copy a state in one launch, without waiting for the device.

    The state may be donated right after. Of deferred and global metrics every process
    calls it.
    """
    stacked = isinstance(metrics, Deferred)
    state = metrics.state if isinstance(metrics, Deferred) else metrics
    leaves, structure = jax.tree.flatten(state)
    name = "" if isinstance(state, Collection) else _name(state)
    return Snapshot(_words(metrics), structure, leaves, stacked, name)


@jax.jit
def _words(metrics: Metrics) -> jax.Array:
    """All leaves as one vector of 32-bit words: one buffer to copy."""
    total = metrics.reduce() if isinstance(metrics, Deferred) else metrics
    words = [
        jnp.asarray(x)
        if x.dtype == jnp.uint32
        else lax.bitcast_convert_type(x, jnp.uint32)
        for x in jax.tree.leaves(total)
    ]
    return jnp.concatenate([word.ravel() for word in words])


def _name(metric: Metric) -> str:
    output = getattr(metric, "output", "values")
    if output != "values":
        return output
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(metric).__name__)
    return words.lower()
