"""Size and class shares of a batch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core import as_32bit, count_where


def batch_statistics(
    labels: Any, classes: int, mask: Any = None
) -> dict[str, jax.Array]:
    """Return the number of labels in a batch and the share of each class.

    Keys are `batch/size`, an integer, and `batch/share/<class>`, in [0, 1]. A label
    outside [0, classes) counts in the size and in no share, so the shares may add up
    to less than 1. The shares of an empty batch are NaN.

    Args:
      labels: Integers `[...]`.
      classes: Number of classes.
      mask: bool, leading axes of `labels`; False leaves labels out.

    Raises:
      TypeError: The labels are not integers.
      ValueError: A label on the host has more than 32 bits.

    >>> statistics = batch_statistics(jnp.array([0, 1, 1, 1]), classes=2)
    >>> {key: x.item() for key, x in statistics.items()}
    {'batch/size': 4, 'batch/share/0': 0.25, 'batch/share/1': 0.75}
    """
    labels = jnp.asarray(as_32bit("labels", labels))
    if labels.dtype.kind not in "biu":
        raise TypeError(
            f"batch_statistics() got labels of {labels.dtype}; expected integer class "
            "numbers. Convert with .astype(int32), or argmax one-hot labels."
        )
    size = count_where(jnp.ones(labels.shape, bool), mask)
    statistics = {"batch/size": size}
    for i in range(classes):
        count = count_where(labels == i, mask).astype(jnp.float32)
        statistics[f"batch/share/{i}"] = count / size.astype(jnp.float32)
    return statistics
