"""The norm of a tree of arrays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core import Array, Statistic, namespace, sum_leaf, total


class GlobalNorm(Statistic):
    """L2 norm of all values of an output, an array or a tree of arrays; 0 of nothing.

    The root of the sum of squares of everything seen, as `optax.tree.norm` of one
    tree; over n batches it is the root of n times their quadratic mean. So parts of a
    tree on several devices add up to the whole. NaN if any value is, inf from a
    square beyond float32 (values past 1.8e19).

    A tree has no rows: `mask` is left aside. In deferred form name the partition,
    `deferred(mesh, grads=P())`: a tree that is replicated is counted once.

    Args:
      output: the output's name; `values` is a tree of arrays.

    Example:
      >>> import jaxmetrics as jm
      >>> grads = {"bias": [3.0], "kernel": [[0.0, 4.0]]}
      >>> float(jm.evaluate(jm.GlobalNorm("grads"), grads=grads))
      5.0
    """

    squares: Array = sum_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The sum of squares."""
        leaves = [jnp.asarray(x).astype(jnp.float32) for x in jax.tree.leaves(values)]
        return dict(squares=sum((total(x * x) for x in leaves), jnp.float32(0)))

    def compute(self) -> Any:
        """The norm, in the unit of the values."""
        return namespace(self).sqrt(self.squares)
