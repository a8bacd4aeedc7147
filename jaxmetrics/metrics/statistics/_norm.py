"""L2 norm of a tree of arrays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core import Array, Statistic, namespace, sum_leaf, total


class GlobalNorm(Statistic):
    """L2 norm of all values of an output, an array or a tree of arrays; 0 without data.

    The root of the sum of squares of everything observed. For one tree this is
    `optax.tree.norm`; over n batches it is the root of n times their mean square, so
    that parts of one tree on several devices add up to the norm of the whole tree.
    NaN if any value is NaN; inf if a square overflows float32 (values above 1.8e19).
    In a tree of 16 arrays or more, the squares of each are summed in float32, to about
    1e-7, and these sums and batches with compensation, so that it compiles fast.

    A tree has no rows: `mask` is ignored. In deferred form pass the partition,
    `deferred(mesh, grads=P())`, so that a replicated tree is counted once.

    Args:
      output: Name of the output, a tree of arrays.

    Example:
      >>> import jaxmetrics as jm
      >>> grads = {"bias": [3.0], "kernel": [[0.0, 4.0]]}
      >>> float(jm.evaluate(jm.GlobalNorm("grads"), grads=grads))
      5.0
    """

    squares: Array = sum_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's sum of squares."""
        leaves = [jnp.asarray(x).astype(jnp.float32) for x in jax.tree.leaves(values)]
        return dict(squares=sum((total(x * x) for x in leaves), total(0.0)))

    def compute(self) -> Any:
        """Return the norm, in the unit of the values."""
        return namespace(self).sqrt(self.squares)
