"""What is in a batch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core import count_where


def batch_statistics(
    labels: Any, classes: int, mask: Any = None
) -> dict[str, jax.Array]:
    """How many labels a batch has, and the share of each class among them.

    Keys are `batch/size`, an integer, and `batch/share/<class>`, in [0, 1]. A label
    outside of the classes counts in the size and in no share, so that the shares may
    add up to less than 1; of an empty batch they are nan.

    Args:
      labels: Integers `[...]`.
      classes: How many classes there are.
      mask: bool, leading axes of `labels`; False leaves labels out.

    Raises:
      TypeError: The labels are no integers.

    >>> found = batch_statistics(jnp.array([0, 1, 1, 1]), classes=2)
    >>> {key: x.item() for key, x in found.items()}
    {'batch/size': 4, 'batch/share/0': 0.25, 'batch/share/1': 0.75}
    """
    labels = jnp.asarray(labels)
    if labels.dtype.kind not in "biu":
        raise TypeError(
            f"batch_statistics() got labels of {labels.dtype}; expected integer class "
            "numbers. Convert with .astype(int32), or argmax one-hot labels."
        )
    size = count_where(jnp.ones(labels.shape, bool), mask)
    found = {"batch/size": size}
    for i in range(classes):
        count = count_where(labels == i, mask).astype(jnp.float32)
        found[f"batch/share/{i}"] = count / size.astype(jnp.float32)
    return found
